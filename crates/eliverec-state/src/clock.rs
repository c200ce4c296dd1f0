//! The one order: stamps of groups of records, and moments of requests between them.
//!
//! A group's stamp becomes the arrival of its records, and a request at a moment knows exactly the records that arrived before that
//! millisecond. So a stamp is not before any moment at which a request has read, and a request reads after the last stamp that
//! was applied and not after one that is on its way to disk. Stamps only grow, whatever the clock of the machine does.

use eliverec_core::Day;

use crate::error::Error;

/// Refuses a moment behind which no stamps have room: each group of records has a later one than the group before.
pub(crate) fn check_moment(now_ms: i64) -> Result<(), Error> {
    match Day::of(now_ms).and_then(|day| day.plus(1)) {
        Some(_) => Ok(()),
        None => Err(Error::Clock { now_ms }),
    }
}

/// Where the order stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// The stamp of the last group applied; `None` before the first.
    applied_ms: Option<i64>,
    /// The sequence number of the last record applied, 0 before the first.
    position: u64,
    /// The latest moment at which a request has read.
    read_ms: i64,
    /// The stamp of a group that is being written.
    pending_ms: Option<i64>,
}

impl Clock {
    /// Nothing has happened.
    pub(crate) const fn new() -> Self {
        Self { applied_ms: None, position: 0, read_ms: i64::MIN, pending_ms: None }
    }

    /// The stamp of the next group, when it is `now_ms`.
    pub(crate) fn stamp(&mut self, now_ms: i64) -> i64 {
        let stamp_ms = now_ms.max(self.read_ms).max(self.first_ms());
        self.pending_ms = Some(stamp_ms);
        stamp_ms
    }

    /// The group with that stamp is applied, up to `position`.
    pub(crate) fn apply(&mut self, stamp_ms: i64, position: u64) {
        self.applied_ms = Some(stamp_ms);
        self.position = position;
        self.pending_ms = None;
    }

    /// The group that was being written has no records, or failed. Its stamp is past all the same.
    pub(crate) fn give_up(&mut self) {
        self.read_ms =
            self.pending_ms.take().map_or(self.read_ms, |stamp_ms| self.read_ms.max(stamp_ms));
    }

    /// The moment of a request, when it is `now_ms`, and the position that it stands at.
    pub(crate) fn read(&mut self, now_ms: i64) -> (i64, u64) {
        let at_ms = now_ms.max(self.first_ms());
        let at_ms = self.pending_ms.map_or(at_ms, |pending_ms| at_ms.min(pending_ms));
        self.read_ms = self.read_ms.max(at_ms);
        (at_ms, self.position)
    }

    /// The first moment after the last stamp.
    fn first_ms(&self) -> i64 {
        self.applied_ms.map_or(i64::MIN, |applied_ms| applied_ms + 1)
    }

    /// The stamp of the last group applied.
    pub(crate) const fn applied_ms(&self) -> Option<i64> {
        self.applied_ms
    }

    /// Begins with a state that was read from disk.
    pub(crate) const fn set(&mut self, applied_ms: Option<i64>, position: u64) {
        self.applied_ms = applied_ms;
        self.position = position;
    }

    /// No stamp is before that moment.
    pub(crate) fn not_before(&mut self, earliest_ms: i64) {
        self.read_ms = self.read_ms.max(earliest_ms);
    }

    /// The sequence number of the last record applied.
    pub(crate) const fn position(&self) -> u64 {
        self.position
    }

    /// The earliest stamp that the next group can have.
    pub(crate) fn earliest_stamp_ms(&self) -> i64 {
        self.pending_ms.unwrap_or_else(|| self.read_ms.max(self.first_ms()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_reads_between_two_stamps() {
        let mut clock = Clock::new();
        assert_eq!(clock.stamp(100), 100);
        // On its way to disk: not known yet, however late it is.
        assert_eq!(clock.read(150), (100, 0));
        clock.apply(100, 3);
        assert_eq!((clock.read(100), clock.read(90)), ((101, 3), (101, 3)));
        assert_eq!(clock.read(170), (170, 3));
        // What a request at 170 did not know has not arrived before 170.
        assert_eq!(clock.stamp(160), 170);
        assert_eq!(clock.read(500), (170, 3));
        clock.give_up();
        assert_eq!(clock.read(500), (500, 3));
        assert_eq!(clock.stamp(0), 500);
        clock.apply(500, 4);
        assert_eq!(clock.earliest_stamp_ms(), 501);
    }
}
