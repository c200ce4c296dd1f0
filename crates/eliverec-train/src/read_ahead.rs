//! Batches made on a thread of their own while the model computes; at most two wait, so memory stays bounded.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use eliverec_core::{Batch, Schema};
use eliverec_run::Prepared;

use crate::error::Error;

/// Batches that wait to be used.
const WAITING: usize = 2;

/// Prepared batches, in the order of the source.
#[derive(Debug)]
pub struct ReadAhead {
    receiver: Receiver<Result<Prepared, Error>>,
    worker: Option<JoinHandle<()>>,
}

impl ReadAhead {
    /// Starts to prepare the batches of `source`. The thread ends with the source, at its first error, or after this is
    /// dropped.
    pub fn new<S, E>(source: S, schema: Arc<Schema>) -> Self
    where
        S: Iterator<Item = Result<Batch, E>> + Send + 'static,
        E: Into<Error>,
    {
        let (sender, receiver) = sync_channel(WAITING);
        let worker = std::thread::spawn(move || {
            for batch in source {
                let prepared = batch.map_err(Into::into).map(|batch| Prepared::of(&schema, batch));
                let last = prepared.is_err();
                if sender.send(prepared).is_err() || last {
                    break;
                }
            }
        });
        Self { receiver, worker: Some(worker) }
    }
}

impl Iterator for ReadAhead {
    type Item = Result<Prepared, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Ok(prepared) = self.receiver.recv() {
            return Some(prepared);
        }
        // A panic over there must not look like the end of the data.
        if let Some(Err(panic)) = self.worker.take().map(JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use eliverec_core::toy;
    use eliverec_core::unique::UniqueIds;

    fn source(count: u64) -> impl Iterator<Item = Result<Batch, Error>> + Send + 'static {
        (0..count).map(|i| Ok(toy::batch(3, i)))
    }

    #[test]
    fn order_and_content_are_those_of_the_source() {
        let schema = Arc::new(toy::schema());
        let prepared = ReadAhead::new(source(7), Arc::clone(&schema)).map(|p| p.unwrap());
        let prepared: Vec<Prepared> = prepared.collect();
        assert_eq!(prepared.len(), 7);
        for (i, prepared) in prepared.iter().enumerate() {
            let batch = toy::batch(3, i as u64);
            assert_eq!(prepared.batch.user_ids, batch.user_ids);
            assert_eq!(prepared.unique, UniqueIds::of(&schema, &batch));
        }
    }

    #[test]
    fn an_error_is_passed_on_and_ends_the_batches() {
        let wrong = || {
            let place = "batch 1".into();
            Error::Run(eliverec_run::Error::Config { place, reason: "wrong on purpose".into() })
        };
        let source = source(1).chain([Err(wrong())]).chain(source(1));
        let mut ahead = ReadAhead::new(source, Arc::new(toy::schema()));
        assert!(ahead.next().unwrap().is_ok());
        assert!(ahead.next().unwrap().is_err());
        assert!(ahead.next().is_none());
    }

    #[test]
    #[should_panic(expected = "broken source")]
    fn a_panic_of_the_source_is_no_end() {
        let source = source(1).chain(std::iter::once_with(|| panic!("broken source")));
        ReadAhead::new(source, Arc::new(toy::schema())).for_each(drop);
    }
}
