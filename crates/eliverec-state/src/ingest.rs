//! From callers to the log and the store: one thread writes groups of what many callers bring.
//!
//! A group gets its stamp, goes to the log with one commit, is applied and then acknowledged, in this order. So what is acknowledged
//! is on disk and known to every request that begins afterwards, and what was not acknowledged may still be on disk: whoever does
//! not hear of a batch sends it again. When the log fails or the thread panics, nothing of the group is acknowledged and no other group
//! is begun.
//!
//! Where other processes follow the state, they are told of a group before it is acknowledged.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use eliverec_core::{Day, Event};

use crate::clock::Clock;
use crate::error::Error;
use crate::group::{Group, Publisher};
use crate::known::{Fate, Known};
use crate::log::Log;
use crate::queue::{Acknowledged, Batch, Queue, StopOnPanic, Waiting};
use crate::record::{Answered, Record, Upsert, own_event_id};
use crate::store::FeatureStore;

/// Idle users, channels and products are looked for so often, by the stamps.
pub(crate) const FORGET_MS: i64 = 3_600_000;

/// The thread that writes.
pub(crate) struct Writer<'a> {
    pub(crate) queue: &'a Queue,
    pub(crate) known: &'a Mutex<Known>,
    pub(crate) known_ids: usize,
    pub(crate) log: &'a Mutex<Log>,
    pub(crate) store: &'a FeatureStore,
    pub(crate) gather: Duration,
    pub(crate) publisher: &'a OnceLock<Arc<dyn Publisher>>,
    /// Texts of channels that those who follow have not been told yet.
    pub(crate) names: &'a Mutex<Vec<(u64, String)>>,
}

impl Writer<'_> {
    /// Writes group after group until nothing more comes or the log fails.
    pub(crate) fn run(&self) {
        let _stopping = StopOnPanic(self.queue);
        let mut forgot_ms = None;
        let mut forgotten = Vec::new();
        while let Some(group) = self.queue.next(self.gather) {
            let stamp_ms = match self.write(group, &mut forgotten) {
                Ok(stamp_ms) => stamp_ms,
                Err(error) => {
                    self.queue.stop(&error.to_string(), error.is_disk_full());
                    return;
                }
            };
            let before_ms = *forgot_ms.get_or_insert(stamp_ms);
            if stamp_ms.saturating_sub(before_ms) >= FORGET_MS {
                let users = self.store.forget_idle_users(stamp_ms);
                self.store.forget_idle_channels(stamp_ms);
                if self.publisher.get().is_some() {
                    forgotten.extend(users);
                }
                forgot_ms = Some(stamp_ms);
            }
        }
    }

    /// Takes a group in; its stamp. Those who follow are told of the users that were forgotten before.
    fn write(&self, group: Vec<Waiting>, forgotten: &mut Vec<u64>) -> Result<i64, Error> {
        let now_ms = group.iter().map(|waiting| waiting.now_ms).max().unwrap_or(i64::MIN);
        // Held until the group is applied: a snapshot of it stands at the position of the store.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        // Before the locks are free: no snapshot may have ids of a group that is not in the log.
        let _stopping = StopOnPanic(self.queue);
        let stamp_ms = self.store.with_clock(|clock| clock.stamp(now_ms));
        let mut taking =
            Taking { known: &mut known, records: Vec::new(), next: log.next(), stamp_ms };
        let mut replies = Vec::new();
        for Waiting { batch, reply, .. } in group {
            let taken = taking.take(batch, self.known_ids);
            replies.extend(reply.map(|reply| (reply, taken)));
        }
        let records = taking.records;
        let written =
            if records.is_empty() { Ok(()) } else { commit(&mut log, stamp_ms, &records) };
        drop(log);
        if let Err(error) = written {
            self.store.with_clock(Clock::give_up);
            let (reason, is_disk_full) = (error.to_string(), error.is_disk_full());
            self.queue.stop(&reason, is_disk_full);
            for (reply, _) in replies {
                let _ = reply.send(Err(Error::Stopped { reason: reason.clone(), is_disk_full }));
            }
            return Err(error);
        }
        if records.is_empty() {
            self.store.with_clock(Clock::give_up);
        } else {
            self.store.apply(stamp_ms, &records)?;
        }
        drop(known);
        if let Some(publisher) = self.publisher.get()
            && !records.is_empty()
        {
            let forgotten = std::mem::take(forgotten);
            let names =
                std::mem::take(&mut *self.names.lock().unwrap_or_else(PoisonError::into_inner));
            publisher.publish(Group::of(self.store, stamp_ms, records, forgotten, names)?);
        }
        for (reply, taken) in replies {
            // Who does not wait any more needs no answer.
            let _ = reply.send(taken);
        }
        Ok(stamp_ms)
    }
}

/// Puts the records of a group, which have that stamp, on disk.
fn commit(log: &mut Log, stamp_ms: i64, records: &[(u64, Record)]) -> Result<(), Error> {
    let day = Day::of(stamp_ms).ok_or(Error::Clock { now_ms: stamp_ms })?;
    let encoded = records.iter().map(|(sequence, record)| {
        let reason = |e: postcard::Error| format!("record {sequence}: {e}");
        record.encode(*sequence).map_err(|e| Error::log(std::path::Path::new("log"), reason(e)))
    });
    log.append(day, &encoded.collect::<Result<Vec<_>, Error>>()?)
}

/// A group that is being put together.
struct Taking<'a> {
    known: &'a mut Known,
    records: Vec<(u64, Record)>,
    next: u64,
    stamp_ms: i64,
}

impl Taking<'_> {
    fn take(&mut self, batch: Batch, known_ids: usize) -> Result<Acknowledged, Error> {
        let mut of = Acknowledged::default();
        match batch {
            Batch::Events(events) => {
                self.make_room(events.len(), known_ids)?;
                for (index, event) in events.into_iter().enumerate() {
                    self.event(index, event, &mut of)?;
                }
            }
            Batch::Answer { shown, answered } => {
                if let Some(request_id) = shown.first().and_then(|event| event.request_id) {
                    self.make_room(shown.len() + 1, known_ids)?;
                    if !self.known.answer(request_id, self.stamp_ms) {
                        return Err(Error::Answered { request_id });
                    }
                }
                for (index, event) in shown.into_iter().enumerate() {
                    let event = Event { event_id: own_event_id(self.next), ..event };
                    self.event(index, event, &mut of)?;
                }
                if let Some(answered) = answered {
                    let available_at_ms = self.stamp_ms;
                    self.push(Record::Answered(Answered { available_at_ms, ..answered }));
                }
            }
            Batch::Upserts(upserts) => {
                for upsert in upserts {
                    of.applied += 1;
                    self.push(Record::Upsert(Upsert { available_at_ms: self.stamp_ms, ..upsert }));
                }
            }
        }
        of.sequence = self.next - 1;
        Ok(of)
    }

    /// Refuses what would be more ids than may be remembered.
    fn make_room(&mut self, ids: usize, most: usize) -> Result<(), Error> {
        if ids > most {
            return Err(Error::Batch { given: ids, most });
        }
        self.known.advance(self.stamp_ms);
        let known = self.known.len();
        let Some(beyond) = (known + ids).checked_sub(most).filter(|beyond| *beyond > 0) else {
            return Ok(());
        };
        let room_ms = self.known.room_ms(beyond).unwrap_or(self.stamp_ms);
        let room_in_s = room_ms.saturating_sub(self.stamp_ms).max(0).cast_unsigned().div_ceil(1000);
        let room_in_s = u32::try_from(room_in_s).unwrap_or(u32::MAX).max(1);
        Err(Error::KnownFull { known, room_in_s })
    }

    /// Takes an event in, unless it is there.
    fn event(&mut self, index: usize, event: Event, of: &mut Acknowledged) -> Result<(), Error> {
        let event = Event { available_at_ms: self.stamp_ms, ..event };
        // Checked before it was put into the queue, for an earlier moment.
        let event_id = event.event_id;
        let wrong =
            |e: eliverec_core::Error| Error::Event { index, event_id, reason: e.to_string() };
        match self.known.offer(&event).map_err(wrong)? {
            Fate::Duplicate => {
                of.duplicates += 1;
                return Ok(());
            }
            Fate::Late => of.late += 1,
            Fate::Applied => of.applied += 1,
        }
        self.push(Record::Event(event));
        Ok(())
    }

    fn push(&mut self, record: Record) {
        self.records.push((self.next, record));
        self.next += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_waits_hears_of_a_panic() {
        let queue = Queue::default();
        let reply = queue.push(0, Batch::Events(Vec::new()), 1).unwrap();
        let ended: std::thread::Result<()> = std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let _stopping = StopOnPanic(&queue);
                panic!("the writer of a test");
            });
            writer.join()
        });
        assert!(ended.is_err());
        assert!(matches!(reply.recv(), Ok(Err(Error::Stopped { is_disk_full: false, .. }))));
        assert!(queue.stopped().unwrap().to_string().contains("panicked"));
        assert!(queue.push(0, Batch::Events(Vec::new()), 1).is_err());
    }
}
