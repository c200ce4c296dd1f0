//! One day on its way into its folder, or compared with it.

use std::path::Path;

use eliverec_core::Event;
use eliverec_core::id::mix;
use eliverec_state::{LoggedDay, Record, State};
use eliverec_tables::events::{ANSWERS_FILE, EventLog, EventWriter, Row, Store};

use crate::answers::Answers;
use crate::error::Error;
use crate::folder::{folder, sync};
use crate::rows::Rows;

/// Where a day is made; readers pass the name over.
const PARTIAL: &str = ".archive-partial";

/// How a day came to be in its folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It was there, with the same events.
    Found,
    /// It was written, if it has events.
    Written,
}

/// Which events there are, whatever their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Content {
    events: u64,
    /// Of hashes of id and moment.
    sum: u64,
}

impl Content {
    fn add(&mut self, event: &Event) {
        self.events += 1;
        let of = mix(event.event_id).wrapping_add(event.ts_ms.cast_unsigned());
        self.sum = self.sum.wrapping_add(mix(of));
    }
}

/// What became of a day.
pub(crate) struct Moved {
    pub(crate) events: u64,
    pub(crate) fate: Fate,
    /// Rows of tables that are new.
    pub(crate) rows: u64,
    /// Answers whose making the day knows.
    pub(crate) answers: u64,
}

/// Writes a day, unless it is there.
pub(crate) fn move_day(state: &State, logs: &Path, day: LoggedDay) -> Result<Moved, Error> {
    let store = Store::local(logs)?;
    let partial = logs.join(PARTIAL);
    if partial.exists() {
        fs_err::remove_dir_all(&partial)?;
    }
    let folder = folder(logs, day.day);
    let is_there = folder.exists();
    let schema = EventLog::open(&store)?.schema().clone();
    let mut writer = if is_there {
        None
    } else {
        fs_err::create_dir(&partial)?;
        Some(EventWriter::create(&Store::local(&partial)?, &schema)?)
    };
    let mut rows = Rows::new(&store, &schema);
    let (mut content, mut answers) = (Content::default(), Answers::new(&partial));
    state.read_day(day, |_, record| {
        match record {
            Record::Event(event) => {
                content.add(&event);
                answers.shown(&event);
                if let Some(writer) = &mut writer {
                    writer.push(&event)?;
                }
            }
            Record::Upsert(of) => rows.push(of)?,
            Record::Answered(of) if writer.is_some() => answers.push(&of)?,
            Record::Drawn(of) if writer.is_some() => answers.push_drawn(of)?,
            Record::Answered(_) | Record::Drawn(_) => {}
        }
        Ok::<(), Error>(())
    })?;
    let rows = rows.finish()?;
    let answers = answers.finish()?;
    if let Some(writer) = writer {
        writer.finish()?;
        if content.events > 0 || answers > 0 {
            fs_err::create_dir_all(logs.join("events"))?;
            let made = crate::folder::folder(&partial, day.day);
            if answers > 0 {
                fs_err::create_dir_all(&made)?;
                fs_err::rename(partial.join(ANSWERS_FILE), made.join(ANSWERS_FILE))?;
                sync(&made)?;
            }
            fs_err::rename(made, &folder)?;
            sync(&logs.join("events"))?;
            sync(logs)?;
        }
        fs_err::remove_dir_all(&partial)?;
    } else {
        let mut found = Content::default();
        let log = EventLog::open(&store)?;
        // A day of answers alone has a folder without files of events.
        let rows = log.days().any(|of| of == day.day).then(|| log.read(day.day..=day.day));
        for row in rows.transpose()?.into_iter().flatten() {
            if let Row::Event(event) = row? {
                found.add(&event);
            }
        }
        if found != content {
            let (found, expected) = (found.events, content.events);
            return Err(Error::OtherDay { path: folder, found, expected });
        }
    }
    let fate = if is_there { Fate::Found } else { Fate::Written };
    Ok(Moved { events: content.events, fate, rows, answers })
}
