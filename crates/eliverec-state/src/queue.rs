//! What many callers bring, until the thread that writes takes it, group by group.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use eliverec_core::Event;

use crate::error::Error;
use crate::record::{Answered, Upsert};

/// What became of a batch that was taken in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Acknowledged {
    /// The number of a record at which all of the batch is in the log; every request that stands there or later knows it.
    pub sequence: u64,
    /// Events given to the folds, or rows changed.
    pub applied: u64,
    /// Events that had been taken in before.
    pub duplicates: u64,
    /// Events that arrived too late for the folds; they are in the log, where labels may need them.
    pub late: u64,
}

/// What a caller brings.
#[derive(Debug)]
pub(crate) enum Batch {
    Events(Vec<Event>),
    /// Impressions of one request, whose ids are the log's to give, and how its answer came to be; one of the two may be missing.
    Answer {
        shown: Vec<Event>,
        answered: Option<Answered>,
    },
    Upserts(Vec<Upsert>),
}

impl Batch {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Events(events) => events.len(),
            Self::Answer { shown, answered } => shown.len() + usize::from(answered.is_some()),
            Self::Upserts(upserts) => upserts.len(),
        }
    }
}

/// A batch that waits.
pub(crate) struct Waiting {
    pub(crate) now_ms: i64,
    pub(crate) batch: Batch,
    /// Whoever hears what became of it; nobody of a note.
    pub(crate) reply: Option<Sender<Result<Acknowledged, Error>>>,
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiting").field("records", &self.batch.len()).finish_non_exhaustive()
    }
}

/// Batches on their way to the log.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    inside: Mutex<Inside>,
    came: Condvar,
}

#[derive(Debug, Default)]
struct Inside {
    waiting: VecDeque<Waiting>,
    records: usize,
    /// Batches among them that somebody waits for.
    awaited: usize,
    is_closed: bool,
    /// Why nothing is taken in any more, and whether the disk is full.
    stopped: Option<(String, bool)>,
}

/// A group ends at this many records: requests of its shards wait while it is applied, some milliseconds at most.
const GROUP_RECORDS: usize = 4096;

/// And where the next batch came so much later, milliseconds: a group has one stamp, that of its last batch, and callers' clocks may
/// go on by days between two batches.
const GROUP_MS: i64 = 1_000;

/// Notes are gathered for so long unless a batch comes that somebody waits for: a group takes an fsync, however small it is.
const NOTES: Duration = Duration::from_millis(100);

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a batch behind those that wait; the receiver hears what became of it.
    pub(crate) fn push(
        &self,
        now_ms: i64,
        batch: Batch,
        most: usize,
    ) -> Result<Receiver<Result<Acknowledged, Error>>, Error> {
        let (reply, receiver) = channel();
        self.put(Waiting { now_ms, batch, reply: Some(reply) }, most)?;
        Ok(receiver)
    }

    /// The same of a batch that nobody waits for.
    pub(crate) fn note(&self, now_ms: i64, batch: Batch, most: usize) -> Result<(), Error> {
        self.put(Waiting { now_ms, batch, reply: None }, most)
    }

    fn put(&self, waiting: Waiting, most: usize) -> Result<(), Error> {
        let mut inside = self.lock();
        if let Some((reason, is_disk_full)) = inside.stopped.clone() {
            return Err(Error::Stopped { reason, is_disk_full });
        }
        let given = waiting.batch.len();
        if given > most {
            return Err(Error::Batch { given, most });
        }
        if inside.records + given > most {
            return Err(Error::Busy { waiting: inside.records });
        }
        inside.records += given;
        inside.awaited += usize::from(waiting.reply.is_some());
        inside.waiting.push_back(waiting);
        drop(inside);
        self.came.notify_one();
        Ok(())
    }

    /// Nothing more comes.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
        self.came.notify_all();
    }

    /// Why nothing is taken in any more.
    pub(crate) fn stopped(&self) -> Option<Error> {
        let stopped = self.lock().stopped.clone();
        stopped.map(|(reason, is_disk_full)| Error::Stopped { reason, is_disk_full })
    }

    /// The next group; `None` when nothing more comes.
    pub(crate) fn next(&self, gather: Duration) -> Option<Vec<Waiting>> {
        let inside = self.lock();
        let nothing = |inside: &mut Inside| inside.waiting.is_empty() && !inside.is_closed;
        let inside = self.came.wait_while(inside, nothing).unwrap_or_else(PoisonError::into_inner);
        let few = |inside: &Inside| inside.records < GROUP_RECORDS && !inside.is_closed;
        let notes = |inside: &mut Inside| inside.awaited == 0 && few(inside);
        let waited = self.came.wait_timeout_while(inside, NOTES, notes);
        let (inside, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let waited = self.came.wait_timeout_while(inside, gather, |inside| few(inside));
        let (mut inside, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let (mut group, mut records) = (Vec::new(), 0);
        let until_ms = inside.waiting.front().map(|first| first.now_ms.saturating_add(GROUP_MS));
        while records < GROUP_RECORDS
            && let Some(waiting) = inside.waiting.pop_front_if(|next| until_ms >= Some(next.now_ms))
        {
            records += waiting.batch.len();
            inside.awaited -= usize::from(waiting.reply.is_some());
            group.push(waiting);
        }
        inside.records -= records;
        (!group.is_empty()).then_some(group)
    }

    /// Takes nothing in any more; whoever waits hears why.
    pub(crate) fn stop(&self, reason: &str, is_disk_full: bool) {
        let mut inside = self.lock();
        inside.stopped = Some((reason.into(), is_disk_full));
        (inside.records, inside.awaited) = (0, 0);
        for reply in inside.waiting.drain(..).filter_map(|waiting| waiting.reply) {
            let _ = reply.send(Err(Error::Stopped { reason: reason.into(), is_disk_full }));
        }
    }
}

/// Stops the queue if the thread that has it panics: nobody would take out what waits.
pub(crate) struct StopOnPanic<'a>(pub(crate) &'a Queue);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop("the thread that writes it panicked", false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 10;

    fn nothing() -> Batch {
        let answered = Answered {
            request_id: 1,
            user_id: 1,
            at_ms: 0,
            bundle: "a".into(),
            buckets: Vec::new(),
            drawn: Vec::new(),
            available_at_ms: 0,
        };
        Batch::Answer { shown: Vec::new(), answered: Some(answered) }
    }

    fn moments(group: Option<Vec<Waiting>>) -> Option<Vec<i64>> {
        group.map(|group| group.iter().map(|waiting| waiting.now_ms).collect())
    }

    #[test]
    fn notes_come_with_what_follows_them_but_for_a_jump_of_the_clock() {
        let queue = Queue::default();
        let next = || moments(queue.next(Duration::ZERO));
        queue.note(5, nothing(), MOST).unwrap();
        let heard = queue.push(6, nothing(), MOST).unwrap();
        queue.note(6 + 86_400_000, nothing(), MOST).unwrap();
        assert_eq!(next(), Some(vec![5, 6]));
        // Nobody waits for it, and it comes all the same.
        assert_eq!(next(), Some(vec![6 + 86_400_000]));
        queue.note(7, nothing(), MOST).unwrap();
        queue.close();
        assert_eq!((next(), next()), (Some(vec![7]), None));
        drop(heard);
    }

    #[test]
    fn no_more_wait_than_may() {
        let queue = Queue::default();
        for _ in 0..MOST {
            queue.note(5, nothing(), MOST).unwrap();
        }
        let full = queue.push(5, nothing(), MOST);
        assert!(matches!(full, Err(Error::Busy { waiting: MOST })));
        queue.stop("it is over", true);
        let over = queue.note(5, nothing(), MOST);
        assert!(matches!(over, Err(Error::Stopped { is_disk_full: true, .. })));
    }
}
