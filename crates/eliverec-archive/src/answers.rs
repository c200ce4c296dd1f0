//! How a day's answers came to be, on the way into its folder.

use std::path::Path;

use eliverec_core::{Event, EventKind};
use eliverec_state::{Answered, Drawn};
use eliverec_tables::events::{AnswerRow, AnswersWriter};

use crate::error::Error;

/// Records of answers as rows.
#[derive(Debug)]
pub(crate) struct Answers {
    writer: AnswersWriter,
    count: u64,
    /// The request of the impression before, who asked, and when.
    shown: Option<(u64, u64, i64)>,
}

impl Answers {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { writer: AnswersWriter::new(folder), count: 0, shown: None }
    }

    /// The next event of the log.
    pub(crate) fn shown(&mut self, event: &Event) {
        if event.kind == EventKind::Impression {
            let of = event.request_id.zip(event.user_id);
            self.shown = of.map(|(request_id, user_id)| (request_id, user_id, event.ts_ms));
        }
    }

    pub(crate) fn push(&mut self, answered: &Answered) -> Result<(), Error> {
        let row = AnswerRow {
            request_id: answered.request_id,
            user_id: answered.user_id,
            at_ms: answered.at_ms,
            bucket: None,
            bundle: &answered.bundle,
            drawn: &answered.drawn,
        };
        if answered.buckets.is_empty() {
            self.writer.push(row)?;
        }
        for (layer, bucket) in &answered.buckets {
            self.writer.push(AnswerRow { bucket: Some((layer, bucket)), ..row })?;
        }
        self.count += 1;
        Ok(())
    }

    /// Of a log of layout 2, where the impressions of the same request stand just before it and the bundle is not known.
    pub(crate) fn push_drawn(&mut self, drawn: Drawn) -> Result<(), Error> {
        let Drawn { request_id, channels, available_at_ms } = drawn;
        let Some((_, user_id, at_ms)) = self.shown.filter(|(of, ..)| *of == request_id) else {
            let reason = format!(
                "request {request_id}: what was drawn does not stand behind its impressions"
            );
            return Err(Error::Core(eliverec_core::Error::Event { field: "request_id", reason }));
        };
        self.push(&Answered {
            request_id,
            user_id,
            at_ms,
            bundle: String::new(),
            buckets: Vec::new(),
            drawn: channels,
            available_at_ms,
        })
    }

    /// The number of answers, whose rows are on disk.
    pub(crate) fn finish(self) -> Result<u64, Error> {
        self.writer.finish()?;
        Ok(self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_drawn_is_of_the_impressions_before() {
        let folder = tempfile::tempdir().unwrap();
        let mut answers = Answers::new(folder.path());
        let impression = Event {
            request_id: Some(3),
            user_id: Some(7),
            ..Event::new(1, 100, EventKind::Impression)
        };
        let drawn =
            |request_id| Drawn { request_id, channels: vec![(5, 0.5)], available_at_ms: 101 };
        answers.shown(&impression);
        answers.push_drawn(drawn(3)).unwrap();
        let told = answers.push_drawn(drawn(4)).unwrap_err().to_string();
        assert!(told.contains("request 4: what was drawn does not stand"), "{told}");
        assert_eq!(answers.finish().unwrap(), 1);
    }
}
