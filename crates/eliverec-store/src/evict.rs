//! Forgetting: by age, and least recently seen first when capacity runs out. Both cost a constant per admitted id:
//! a sweep of the table makes room for a tenth of it, or runs once in a tenth of the age limit.
//!
//! Which ids go is a function of what was seen when, never of slots: ties go by how often the id was seen, then by
//! the id. A forgotten id comes back as a new one, with a count of zero.

use crate::config::StoreConfig;
use crate::table::Table;

/// What stays of `capacity` once it has run out.
fn keep(capacity: usize) -> usize {
    capacity - capacity / 10
}

impl Table {
    /// Forgets what `max_age_steps` says, at steps that are multiples of its tenth.
    pub(crate) fn forget_aged(&mut self, step: u64, config: &StoreConfig) {
        let Some(max_age) = config.max_age_steps else { return };
        if !step.is_multiple_of((max_age / 10).max(1)) {
            return;
        }
        let Some(oldest) = step.checked_sub(max_age) else { return };
        let aged = (0..self.rows() as u32).filter(|slot| self.mark(*slot).seen < oldest).collect();
        self.remove_rows(aged);
        self.counters.retain(|_, counter| u64::from(counter.seen) >= oldest);
    }

    /// Makes room for `wanted` new rows as far as rows of earlier batches can go. Returns whether rows moved.
    pub(crate) fn make_room(&mut self, wanted: usize, step: u64, config: &StoreConfig) -> bool {
        let capacity = config.capacity();
        if self.rows() + wanted <= capacity {
            return false;
        }
        let excess = self.rows().saturating_sub(keep(capacity).saturating_sub(wanted));
        let mut slots: Vec<u32> =
            (0..self.rows() as u32).filter(|slot| self.mark(*slot).seen < step).collect();
        if excess < slots.len() {
            let age = |slot: &u32| {
                let mark = self.mark(*slot);
                (mark.seen, mark.count, mark.id)
            };
            slots.select_nth_unstable_by_key(excess, age);
            slots.truncate(excess);
        }
        let moved = !slots.is_empty();
        self.remove_rows(slots);
        moved
    }

    /// Makes room for `wanted` new counters as far as possible.
    pub(crate) fn make_counter_room(&mut self, wanted: usize, step: u64, config: &StoreConfig) {
        if self.counters.len() + wanted <= config.max_counted {
            return;
        }
        let now = saturate(step);
        let left = keep(config.max_counted).saturating_sub(wanted);
        let excess = self.counters.len().saturating_sub(left);
        let mut old: Vec<(u32, u32, u64)> = self
            .counters
            .iter()
            .filter(|(_, counter)| counter.seen < now)
            .map(|(id, counter)| (counter.seen, counter.count, *id))
            .collect();
        if excess < old.len() {
            old.select_nth_unstable(excess);
            old.truncate(excess);
        }
        for (_, _, id) in old {
            self.counters.remove(&id);
        }
    }

    fn remove_rows(&mut self, mut slots: Vec<u32>) {
        // From the end, so that the row that moves into a gap is never one that goes.
        slots.sort_unstable_by(|a, b| b.cmp(a));
        slots.into_iter().for_each(|slot| self.swap_remove(slot));
    }
}

/// Steps and periods as 32 bits.
pub(crate) fn saturate(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
