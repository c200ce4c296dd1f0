//! One vocabulary in memory: an index from id to slot, and rows in pages.
//!
//! Pages instead of one vector: growing copies no rows, so no step pays for the size of the table, and rows of
//! different pages can be updated in parallel without sharing anything.

use crate::config::StoreConfig;
use crate::index::{IdMap, map_bytes};
use crate::row::{Initial, Mark};
use eliverec_core::TableSpec;
use eliverec_core::id::IdHash;
use eliverec_core::seed::stream;
use rayon::prelude::*;

/// Rows of a full page; few in tests, so that small tables have many borders.
pub(crate) const ROWS_PER_PAGE: usize = if cfg!(test) { 4 } else { 1024 };
/// Fewest rows that are worth handing to another thread; few in tests, so that small batches are shared out.
pub(crate) const ROWS_PER_TASK: usize = if cfg!(test) { 2 } else { 512 };
/// The slot of ids without a row.
pub(crate) const NONE: u32 = u32::MAX;

/// Consecutive slots.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// Row-major, each row its vector followed by its accumulator: an update touches neighbouring memory.
    pub(crate) values: Vec<f32>,
    pub(crate) marks: Vec<Mark>,
}

/// An id without a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Counter {
    /// Occurrences in training, saturating.
    pub(crate) count: u32,
    /// Step of the last batch that had the id, saturating: 16 bytes per entry instead of 24.
    pub(crate) seen: u32,
}

/// The row that ids without a row of their own share.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RareRow {
    /// Vector, then accumulator.
    pub(crate) values: Vec<f32>,
    pub(crate) period: u32,
    /// Whether it has ever been updated.
    pub(crate) trained: bool,
}

/// One vocabulary.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) spec: TableSpec,
    pub(crate) initial: Initial,
    /// Seed of the stream of id dropout.
    pub(crate) dropout: u64,
    pub(crate) index: IdMap<u32>,
    pub(crate) pages: Vec<Page>,
    pub(crate) counters: IdMap<Counter>,
    pub(crate) rare: RareRow,
    /// Changes whenever rows move to other slots.
    pub(crate) generation: u64,
}

/// Page and row within it.
pub(crate) fn place(slot: u32) -> (usize, usize) {
    (slot as usize / ROWS_PER_PAGE, slot as usize % ROWS_PER_PAGE)
}

impl Table {
    /// `dropout` names the stream of id dropout, one for all tables of a key: an id that drops out does so in each of them.
    pub(crate) fn new(seed: u64, spec: TableSpec, dropout: &str, config: &StoreConfig) -> Self {
        let initial = Initial::new(seed, &spec.name, &spec.law, config.init_std);
        let mut values = vec![config.adagrad.initial_accumulator; 2 * spec.width];
        initial.fill_rare(&mut values[..spec.width]);
        Self {
            initial,
            dropout: stream(seed, &format!("dropout/{dropout}")),
            index: IdMap::with_hasher(IdHash { key: stream(seed, "index") }),
            pages: Vec::new(),
            counters: IdMap::with_hasher(IdHash { key: stream(seed, "counters") }),
            rare: RareRow { values, period: 0, trained: false },
            generation: 0,
            spec,
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.index.len()
    }

    /// Allocated bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        let page =
            |page: &Page| 4 * page.values.capacity() + size_of::<Mark>() * page.marks.capacity();
        self.pages.iter().map(page).sum::<usize>()
            + self.pages.capacity() * size_of::<Page>()
            + 4 * self.rare.values.capacity()
            + map_bytes::<u32>(self.index.capacity())
            + map_bytes::<Counter>(self.counters.capacity())
    }

    /// The slot of each id, [`NONE`] for ids without a row.
    pub(crate) fn slots(&self, ids: &[u64]) -> Vec<u32> {
        let slot = |id| self.index.get(id).copied().unwrap_or(NONE);
        ids.par_iter().with_min_len(ROWS_PER_TASK).map(slot).collect()
    }

    pub(crate) fn mark(&self, slot: u32) -> &Mark {
        let (page, row) = place(slot);
        &self.pages[page].marks[row]
    }

    pub(crate) fn mark_mut(&mut self, slot: u32) -> &mut Mark {
        let (page, row) = place(slot);
        &mut self.pages[page].marks[row]
    }

    /// Vector and accumulator of a slot.
    pub(crate) fn row(&self, slot: u32) -> (&[f32], &[f32]) {
        let (page, row) = place(slot);
        let width = self.spec.width;
        self.pages[page].values[row * 2 * width..][..2 * width].split_at(width)
    }

    /// Appends rows of zeros for ids that have none and returns the first slot.
    pub(crate) fn push_rows(&mut self, marks: impl Iterator<Item = Mark>) -> u32 {
        let first = self.rows() as u32;
        for mark in marks {
            let slot = self.rows() as u32;
            let (page, row) = place(slot);
            if page == self.pages.len() {
                self.pages.push(Page::default());
            }
            let page = &mut self.pages[page];
            page.marks.push(mark);
            page.values.resize((row + 1) * 2 * self.spec.width, 0.0);
            self.index.insert(mark.id, slot);
        }
        first
    }

    /// Removes a row; the last one takes its slot.
    pub(crate) fn swap_remove(&mut self, slot: u32) {
        let length = 2 * self.spec.width;
        let (page, row) = place(slot);
        let (last_page, last_row) = place(self.rows() as u32 - 1);
        self.index.remove(&self.pages[page].marks[row].id);
        if (page, row) != (last_page, last_row) {
            let moved = self.pages[last_page].marks[last_row];
            self.pages[page].marks[row] = moved;
            self.index.insert(moved.id, slot);
            let (from, to) = (last_row * length, row * length);
            if page == last_page {
                self.pages[page].values.copy_within(from..from + length, to);
            } else {
                let (before, rest) = self.pages.split_at_mut(last_page);
                before[page].values[to..to + length]
                    .copy_from_slice(&rest[0].values[from..from + length]);
            }
        }
        let last = &mut self.pages[last_page];
        last.marks.pop();
        last.values.truncate(last_row * length);
        if last_row == 0 {
            self.pages.pop();
        }
        self.generation += 1;
    }
}
