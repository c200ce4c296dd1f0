//! What is to happen next: the day's visits, sorted once, and everything that follows from others, in a heap.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::draft::Draft;

/// A visit of the day's plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Visit {
    pub(crate) ts_ms: i64,
    pub(crate) user: u32,
    pub(crate) live: bool,
}

/// Something that happens at a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Item {
    /// An event for the log.
    Happens(Draft),
    /// A user opens the application.
    Visits(Visit),
    /// A user asks for a further feed.
    Asks { user: u32, scene: usize },
    /// An anchor goes live until then.
    Starts { anchor: u32, end_ms: i64 },
    /// The goods of an anchor's stream change, or it ends.
    Turns { anchor: u32 },
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    ts_ms: i64,
    number: u64,
    item: Item,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.ts_ms, self.number).cmp(&(other.ts_ms, other.number))
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Reverse<Entry>>,
    /// Latest first, so that the next is the last.
    visits: Vec<Visit>,
    numbers: u64,
    /// Events of users among the entries.
    pub(crate) drafts: usize,
}

impl Queue {
    pub(crate) fn push(&mut self, ts_ms: i64, item: Item) {
        self.numbers += 1;
        self.drafts += usize::from(matches!(item, Item::Happens(_)));
        self.heap.push(Reverse(Entry { ts_ms, number: self.numbers, item }));
    }

    pub(crate) fn happens(&mut self, draft: Draft) {
        self.push(draft.ts_ms, Item::Happens(draft));
    }

    /// Takes a day's visits, in any order.
    pub(crate) fn plan(&mut self, visits: Vec<Visit>) {
        self.visits.extend(visits);
        self.visits.sort_unstable_by(|a, b| b.cmp(a));
    }

    /// The next item before a moment; of two at once, those of the heap in the order of their pushing, then visits.
    pub(crate) fn pop(&mut self, before_ms: i64) -> Option<(i64, Item)> {
        let visit = self.visits.last().map(|visit| visit.ts_ms);
        let entry = self.heap.peek().map(|entry| entry.0.ts_ms);
        let next = visit.into_iter().chain(entry).min().filter(|next| *next < before_ms)?;
        if entry == Some(next) {
            let Reverse(entry) = self.heap.pop()?;
            self.drafts -= usize::from(matches!(entry.item, Item::Happens(_)));
            return Some((next, entry.item));
        }
        self.visits.pop().map(|visit| (next, Item::Visits(visit)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use eliverec_core::EventKind;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn everything_comes_out_in_the_order_of_time(
            times in prop::collection::vec((0_i64..50, any::<bool>()), 0..60),
        ) {
            let mut queue = Queue::default();
            let mut visits = Vec::new();
            for (user, (ts_ms, visit)) in times.iter().enumerate() {
                if *visit {
                    visits.push(Visit { ts_ms: *ts_ms, user: user as u32, live: true });
                } else {
                    queue.happens(Draft::new(*ts_ms, EventKind::Like));
                }
            }
            queue.plan(visits);
            let mut expected: Vec<i64> = times.iter().map(|time| time.0).filter(|t| *t < 40).collect();
            expected.sort_unstable();
            let out: Vec<i64> = std::iter::from_fn(|| queue.pop(40)).map(|next| next.0).collect();
            prop_assert_eq!(out, expected);
            while queue.pop(i64::MAX).is_some() {}
            prop_assert_eq!(queue.drafts, 0);
        }
    }
}
