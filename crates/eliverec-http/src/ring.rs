//! What happened lately, in buckets of equal length: bounded, what is older leaves.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The newest buckets of some counts.
#[derive(Debug)]
pub(crate) struct Ring<T> {
    began: Instant,
    width: Duration,
    most: usize,
    buckets: Mutex<VecDeque<(u64, T)>>,
}

impl<T: Default> Ring<T> {
    /// Room for `most` buckets, each `width` long; the first begins now.
    pub(crate) fn new(width: Duration, most: usize) -> Self {
        Self { began: Instant::now(), width, most, buckets: Mutex::default() }
    }

    /// Since the ring began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// The number of the bucket of a moment since the beginning.
    pub(crate) fn number(&self, at: Duration) -> u64 {
        (at.as_nanos() / self.width.as_nanos()) as u64
    }

    /// Hands the bucket of a moment since the beginning to `with`. What comes later than what stands there already counts with that.
    pub(crate) fn change(&self, at: Duration, with: impl FnOnce(&mut T)) {
        let number = self.number(at);
        // What `with` does cannot leave a count half changed that others rely on.
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.back().is_none_or(|(newest, _)| *newest < number) {
            buckets.push_back((number, T::default()));
        }
        self.forget(&mut buckets, number);
        if let Some((_, newest)) = buckets.back_mut() {
            with(newest);
        }
    }

    /// Hands all buckets that are in the ring at a moment to `with`, the oldest first, each with its number; those in which nothing
    /// happened are not there.
    pub(crate) fn read<R>(&self, at: Duration, with: impl FnOnce(&VecDeque<(u64, T)>) -> R) -> R {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        self.forget(&mut buckets, self.number(at));
        with(&buckets)
    }

    fn forget(&self, buckets: &mut VecDeque<(u64, T)>, now: u64) {
        let most = self.most as u64;
        while buckets.front().is_some_and(|(oldest, _)| *oldest + most <= now) {
            buckets.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_leaves() {
        let ring = Ring::<u32>::new(Duration::from_secs(5), 3);
        let seconds = Duration::from_secs;
        for at in [0, 4, 7, 12, 14] {
            ring.change(seconds(at), |count| *count += 1);
        }
        let all =
            |at| ring.read(seconds(at), |buckets| buckets.iter().copied().collect::<Vec<_>>());
        assert_eq!(all(14), [(0, 2), (1, 1), (2, 2)]);
        assert_eq!(all(15), [(1, 1), (2, 2)]);
        // A thread that was late counts with the newest.
        ring.change(seconds(6), |count| *count += 1);
        assert_eq!(all(15), [(1, 1), (2, 3)]);
        assert_eq!(all(1_000), []);
    }
}
