//! Rows of a batch as blocks. For training: count, admit, drop out; for evaluation: look up only.

use eliverec_core::seed::{Random, numbered};
use rayon::prelude::*;

use crate::config::StoreConfig;
use crate::evict::saturate;
use crate::row::Mark;
use crate::table::{Counter, NONE, ROWS_PER_TASK, Table, place};

/// The rows of a batch, and where their gradients go.
#[derive(Debug)]
pub struct Gathered {
    /// By table, row-major `[distinct ids, width]`: the leaves of the model.
    pub rows: Vec<Vec<f32>>,
    pub(crate) places: Vec<Places>,
}

/// Where the rows of one block came from.
#[derive(Debug)]
pub(crate) struct Places {
    /// (slot, place in the block), ascending.
    pub(crate) rows: Vec<(u32, u32)>,
    /// Places in the block that hold the rare-id row, by ascending id: the order in which their gradients are summed.
    pub(crate) rare: Vec<u32>,
    /// Of the table at that time.
    pub(crate) generation: u64,
}

impl Table {
    /// Counts ids, admits those that have reached `min_count`, and copies rows.
    pub(crate) fn gather_for_training(
        &mut self,
        ids: &[u64],
        counts: &[u32],
        step: u64,
        config: &StoreConfig,
    ) -> (Vec<f32>, Places) {
        self.forget_aged(step, config);
        let mut slots = self.slots(ids);
        let newcomers = self.count(ids, counts, &slots, step, config);
        if self.make_room(newcomers.len(), step, config) {
            slots = self.slots(ids);
        }
        self.admit(ids, counts, newcomers, &mut slots, step, config);
        self.drop_out(ids, &mut slots, step, config.id_dropout);

        let mut block = vec![0.0; ids.len() * self.spec.width];
        block.par_chunks_mut(self.spec.width).zip(&slots).with_min_len(ROWS_PER_TASK).for_each(
            |(vector, slot)| {
                let row = if *slot == NONE { &self.rare.values } else { self.row(*slot).0 };
                vector.copy_from_slice(&row[..self.spec.width]);
            },
        );

        let (mut rows, mut rare) = (Vec::with_capacity(ids.len()), Vec::new());
        for (position, slot) in (0..).zip(&slots) {
            if *slot == NONE { rare.push(position) } else { rows.push((*slot, position)) }
        }
        rows.sort_unstable();
        rare.sort_unstable_by_key(|position: &u32| ids[*position as usize]);
        (block, Places { rows, rare, generation: self.generation })
    }

    /// Copies rows without changing anything.
    pub(crate) fn gather(&self, ids: &[u64]) -> Vec<f32> {
        let width = self.spec.width;
        let mut block = vec![0.0; ids.len() * width];
        block
            .par_chunks_mut(width)
            .zip(ids)
            .with_min_len(ROWS_PER_TASK)
            .for_each(|(vector, id)| self.read(*id, vector));
        block
    }

    /// Copies a row. An id without one gets the rare-id row if that was ever trained: it is what such ids have in common. Otherwise
    /// it gets the value that its own row would start from.
    pub(crate) fn read(&self, id: u64, vector: &mut [f32]) {
        match self.index.get(&id) {
            Some(slot) => vector.copy_from_slice(self.row(*slot).0),
            None if self.rare.trained => {
                vector.copy_from_slice(&self.rare.values[..self.spec.width]);
            }
            None => self.initial.fill(id, vector),
        }
    }

    /// Notes what was seen. Returns the places of ids that have no row and deserve one.
    fn count(
        &mut self,
        ids: &[u64],
        counts: &[u32],
        slots: &[u32],
        step: u64,
        config: &StoreConfig,
    ) -> Vec<usize> {
        let (mut newcomers, mut fresh) = (Vec::new(), Vec::new());
        let seen = saturate(step);
        for (position, (id, count)) in ids.iter().zip(counts).enumerate() {
            if slots[position] != NONE {
                let mark = self.mark_mut(slots[position]);
                mark.seen = step;
                mark.count = mark.count.saturating_add(*count);
            } else if let Some(counter) = self.counters.get_mut(id) {
                counter.seen = seen;
                counter.count = counter.count.saturating_add(*count);
                if counter.count >= self.spec.min_count {
                    newcomers.push(position);
                }
            } else if *count >= self.spec.min_count {
                newcomers.push(position);
            } else {
                fresh.push(position);
            }
        }
        self.make_counter_room(fresh.len(), step, config);
        let room = config.max_counted.saturating_sub(self.counters.len());
        smallest_ids(&mut fresh, ids, room);
        for position in fresh {
            self.counters.insert(ids[position], Counter { count: counts[position], seen });
        }
        newcomers
    }

    /// Gives newcomers rows, as many as there is room for.
    fn admit(
        &mut self,
        ids: &[u64],
        counts: &[u32],
        mut newcomers: Vec<usize>,
        slots: &mut [u32],
        step: u64,
        config: &StoreConfig,
    ) {
        smallest_ids(&mut newcomers, ids, config.capacity().saturating_sub(self.rows()));
        let period = saturate(config.adagrad.periods(step));
        let marks: Vec<Mark> = newcomers
            .iter()
            .map(|position| {
                let id = ids[*position];
                let counter = self.counters.remove(&id);
                let count = counter.map_or(counts[*position], |counter| counter.count);
                Mark { id, seen: step, count, period }
            })
            .collect();
        let first = self.push_rows(marks.into_iter());
        for (position, slot) in newcomers.into_iter().zip(first..) {
            slots[position] = slot;
        }

        let (first_page, first_row) = place(first);
        let (width, initial) = (self.spec.width, &self.initial);
        let fresh_pages = self.pages.get_mut(first_page..).unwrap_or_default();
        fresh_pages.par_iter_mut().enumerate().for_each(|(page, rows)| {
            let skip = if page == 0 { first_row } else { 0 };
            let fresh = rows.values[skip * 2 * width..].par_chunks_mut(2 * width);
            fresh.zip(&rows.marks[skip..]).with_min_len(64).for_each(|(row, mark)| {
                let (vector, accumulator) = row.split_at_mut(width);
                initial.fill(mark.id, vector);
                accumulator.fill(config.adagrad.initial_accumulator);
            });
        });
    }

    /// Sends ids to the rare-id row for this batch, each by a draw of its own.
    fn drop_out(&self, ids: &[u64], slots: &mut [u32], step: u64, probability: f64) {
        if probability == 0.0 {
            return;
        }
        let draws = numbered(self.dropout, step);
        for (id, slot) in ids.iter().zip(slots) {
            if Random::new(numbered(draws, *id)).uniform() < probability {
                *slot = NONE;
            }
        }
    }
}

/// Keeps the places of the `room` smallest ids: a choice that does not depend on their order in the batch.
fn smallest_ids(places: &mut Vec<usize>, ids: &[u64], room: usize) {
    if places.len() > room {
        places.sort_unstable_by_key(|place| ids[*place]);
        places.truncate(room);
    }
}
