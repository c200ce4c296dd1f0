//! What the operators of a run count, on any thread.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use eliverec_features::freshness::Fates;
use eliverec_tables::check::{Checked, Read};
use eliverec_tables::events::check::WithoutRow;
use eliverec_tables::events::{Day, ReadCounts};

use crate::record::TaskCounts;
use crate::summary::{DaySummary, Refusal, SampleProgress, Summary};

/// The counts of a run.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) rows_read: AtomicU64,
    pub(crate) days_read: AtomicU64,
    pub(crate) days_to_read: AtomicU64,
    used: AtomicU64,
    late: AtomicU64,
    duplicates: AtomicU64,
    impressions: AtomicU64,
    refused: [AtomicU64; Refusal::ALL.len()],
    read: Mutex<ReadCounts>,
    without_row: Mutex<WithoutRow>,
    /// Feeds of each day that has any.
    feeds: Mutex<BTreeMap<Day, u64>>,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }

    /// An event has been offered to the features.
    pub(crate) fn add_fates(&self, fates: Fates) {
        Self::add(&self.used, fates.admitted);
        Self::add(&self.late, fates.late);
        Self::add(&self.duplicates, fates.duplicate);
    }

    pub(crate) fn refuse(&self, refusal: Refusal, count: u64) {
        Self::add(&self.refused[refusal as usize], count);
    }

    pub(crate) fn add_impressions(&self, count: u64) {
        Self::add(&self.impressions, count);
    }

    pub(crate) fn add_read(&self, counts: ReadCounts) {
        let mut read = lock(&self.read);
        read.events += counts.events;
        for (key, count) in counts.rejected {
            *read.rejected.entry(key).or_default() += count;
        }
    }

    pub(crate) fn add_without_row(&self, counted: &WithoutRow) {
        lock(&self.without_row).merge(counted);
    }

    /// What has been counted, for the record of a task.
    pub(crate) fn counts(&self) -> TaskCounts {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let fates = Fates {
            admitted: get(&self.used),
            late: get(&self.late),
            duplicate: get(&self.duplicates),
            ..Fates::default()
        };
        TaskCounts {
            impressions: get(&self.impressions),
            refused: self.refused(),
            feeds: lock(&self.feeds).clone(),
            ..TaskCounts::new(&lock(&self.read), lock(&self.without_row).clone(), fates)
        }
    }

    /// Takes in what a task has counted under its keys; what it read of the log is counted once, see [`Self::add_read`].
    pub(crate) fn add_task(&self, counts: &TaskCounts) {
        self.add_fates(counts.fates());
        self.add_impressions(counts.impressions);
        for (refusal, count) in &counts.refused {
            self.refuse(*refusal, *count);
        }
        self.add_feeds(&counts.feeds);
    }

    fn refused(&self) -> BTreeMap<Refusal, u64> {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let refused = Refusal::ALL.into_iter().zip(self.refused.each_ref().map(get));
        refused.filter(|(_, count)| *count > 0).collect()
    }

    pub(crate) fn add_feeds(&self, of_days: &BTreeMap<Day, u64>) {
        let mut feeds = lock(&self.feeds);
        for (day, count) in of_days {
            *feeds.entry(*day).or_default() += count;
        }
    }

    /// The days that have feeds; complete once all requests have been put together.
    pub(crate) fn days_with_feeds(&self) -> Vec<Day> {
        lock(&self.feeds).keys().copied().collect()
    }

    pub(crate) fn progress(&self, feeds: u64, spilled_bytes: u64) -> SampleProgress {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SampleProgress {
            rows_read: get(&self.rows_read),
            days_read: get(&self.days_read),
            days_to_read: get(&self.days_to_read),
            feeds,
            spilled_bytes,
        }
    }

    /// What a run came to, of a log of which so many rows were `read`.
    pub(crate) fn summary(
        &self,
        days: Vec<DaySummary>,
        notes: Vec<String>,
        read: impl FnOnce(u64) -> Read,
    ) -> Summary {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counts = lock(&self.read).clone();
        let rows_in = counts.rows();
        let mut summary = Summary {
            rows_in,
            events_used: get(&self.used),
            late: get(&self.late),
            duplicates: get(&self.duplicates),
            rejected: counts.rejected,
            impressions_in: get(&self.impressions),
            refused: self.refused(),
            days,
            notes,
            checked: Checked {
                read: read(rows_in),
                covers: Vec::new(),
                findings: lock(&self.without_row).findings(),
            },
        };
        summary.checked.read.left_out = summary.left_out();
        summary
    }
}

/// A counter map is whole after every statement, so a panic elsewhere does not spoil it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
