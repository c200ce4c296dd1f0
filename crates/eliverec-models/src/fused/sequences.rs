//! Sequences of a batch in the order in which a recurrence runs them: partitions of feeds, and chunks of sequences that step together.

use std::ops::Range;

use eliverec_core::batch::Offsets;

/// Steps of sequences at which a partition of feeds is closed; each costs a copy of the weights' gradients.
const PARTITION_STEPS: usize = 2_048;

/// No more partitions than this, unless single feeds are larger.
const PARTITIONS: usize = 16;

/// One sequence of a partition.
pub(super) struct Sequence {
    /// Its first event, counted from the partition's.
    pub(super) start: usize,
    pub(super) length: usize,
    /// Its feed's or impression's row, counted from the partition's first.
    pub(super) row: usize,
}

/// Consecutive feeds to be worked off by one thread.
pub(super) struct Partition {
    /// Rows of their events.
    pub(super) events: Range<usize>,
    /// Rows of their impressions, if those are asked for; else of their events.
    pub(super) rows: Range<usize>,
    /// The longest first.
    pub(super) sequences: Vec<Sequence>,
}

/// Where the steps of a chunk lie among its rows, one step after the other.
pub(super) struct Steps {
    /// Rows of each step: the sequences that run.
    pub(super) running: Vec<usize>,
    /// Rows of all steps before.
    pub(super) starts: Vec<usize>,
}

impl Steps {
    /// Of sequences, the longest first.
    pub(super) fn of(chunk: &[Sequence]) -> Self {
        let longest = chunk.first().map_or(0, |sequence| sequence.length);
        let running = |step| chunk.partition_point(|sequence| sequence.length > step);
        let running: Vec<usize> = (0..longest).map(running).collect();
        let mut rows = 0;
        let starts = running.iter().map(|running| {
            rows += running;
            rows - running
        });
        Self { starts: starts.collect(), running }
    }

    /// Rows of all steps.
    pub(super) fn rows(&self) -> usize {
        self.running.iter().sum()
    }
}

/// All feeds: a sequence for each of their impressions if `candidates` are given, else one for each feed. Depends on the batch alone.
pub(super) fn partitions(histories: &Offsets, candidates: Option<&Offsets>) -> Vec<Partition> {
    let steps = |i: usize| {
        let shown = candidates.map_or(1, |candidates| candidates.range(i).len());
        histories.range(i).len() * shown
    };
    let feeds = histories.feeds();
    let enough = PARTITION_STEPS.max((0..feeds).map(steps).sum::<usize>().div_ceil(PARTITIONS));
    let mut partitions = Vec::new();
    let (mut start, mut open) = (0, 0);
    for i in 0..feeds {
        open += steps(i);
        if open >= enough || i + 1 == feeds {
            partitions.push(partition(histories, candidates, start..i + 1));
            (start, open) = (i + 1, 0);
        }
    }
    partitions
}

fn partition(histories: &Offsets, candidates: Option<&Offsets>, feeds: Range<usize>) -> Partition {
    let rows =
        |offsets: &Offsets| offsets.range(feeds.start).start..offsets.range(feeds.end - 1).end;
    let events = rows(histories);
    let own = candidates.map_or(events.clone(), rows);
    let mut sequences = Vec::new();
    for feed in feeds.clone() {
        let (past, from) = (histories.range(feed), events.start);
        let shown = candidates.map_or(past.start..past.start + 1, |of| of.range(feed));
        let first = own.start;
        let sequence =
            |row| Sequence { start: past.start - from, length: past.len(), row: row - first };
        if !past.is_empty() {
            sequences.extend(shown.map(sequence));
        }
    }
    sequences.sort_by_key(|sequence| std::cmp::Reverse(sequence.length));
    Partition { events, rows: own, sequences }
}
