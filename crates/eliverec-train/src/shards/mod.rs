//! Training in shards: each batch is cut by feeds into `training.shards` parts, the rows are shared out by their ids over as many, and
//! each rank has some of both. Whatever is added up over shards is added in an order of theirs, so no number depends on how many
//! ranks there are. With one shard there is nothing to add, and an update is that of a batch in one piece.
//!
//! - [`Shards`]: who has which; sums and lists over all of them; [`traffic`]: how much that sends.
//! - `tree`: the order of sums; [`dense`]: those of dense gradients; [`cut`]: a batch and its parts; [`rows`]: the rows of a
//!   batch and their gradients, `spaces`, `reader`: which, and for evaluation.

pub(crate) mod cut;
pub(crate) mod dense;
#[cfg(test)]
mod learners;
mod reader;
pub mod rows;
mod spaces;
pub mod traffic;
mod tree;

use std::ops::Range;
use std::sync::Arc;

use self::traffic::{Counters, Sent, Traffic};
use crate::error::Error;
use crate::ranks::{Ranks, alone, any, barrier, bytes};

/// The shards of a run, and which of them this rank has.
#[derive(Clone, Debug)]
pub struct Shards {
    count: usize,
    ranks: Ranks,
    /// By rank, its shards.
    by_rank: Vec<Range<usize>>,
    sent: Arc<Counters>,
}

impl Shards {
    /// So many, shared out over ranks.
    ///
    /// # Errors
    /// More ranks than shards.
    pub fn new(count: usize, ranks: Ranks) -> Result<Self, Error> {
        let all = ranks.ranks();
        if all > count {
            return Err(eliverec_run::Error::Config {
                place: "training.shards".into(),
                reason: format!(
                    "is {count}, and there are {all} ranks, each of which needs a shard; begin the run with training.shards={all} or more, or start {count} ranks or fewer"
                ),
            }
            .into());
        }
        let by_rank = (0..all).map(|rank| rank * count / all..(rank + 1) * count / all).collect();
        Ok(Self { count, ranks, by_rank, sent: Arc::default() })
    }

    /// So many, all of them here.
    pub fn here(count: usize) -> Self {
        let by_rank = std::iter::once(0..count).collect();
        Self { count, ranks: alone(), by_rank, sent: Arc::default() }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Those of this rank.
    pub fn own(&self) -> Range<usize> {
        self.by_rank[self.ranks.rank()].clone()
    }

    /// Those of every rank.
    pub(crate) fn by_rank(&self) -> &[Range<usize>] {
        &self.by_rank
    }

    /// Whether a batch is one piece.
    pub(crate) fn is_one(&self) -> bool {
        self.count == 1
    }

    /// The processes.
    pub fn ranks(&self) -> &Ranks {
        &self.ranks
    }

    /// Whether this is the rank that writes what there is one of.
    pub fn is_first(&self) -> bool {
        self.ranks.rank() == 0
    }

    /// Waits for every rank.
    pub(crate) fn barrier(&self) {
        barrier(&*self.ranks);
    }

    /// Whether something holds on any rank.
    pub(crate) fn any(&self, holds: bool) -> bool {
        any(&*self.ranks, holds)
    }

    /// What this rank has sent to others, per update.
    pub fn traffic(&self) -> Option<Traffic> {
        (self.by_rank.len() > 1).then(|| self.sent.per_update())
    }

    pub(crate) fn count_update(&self) {
        self.sent.count_update();
    }

    /// Sends `parts[r]` to rank r, and notes how much goes to others.
    pub(crate) fn exchange(&self, parts: Vec<Vec<u8>>, sent: Sent) -> Vec<Vec<u8>> {
        let others = parts.iter().enumerate().filter(|(rank, _)| *rank != self.ranks.rank());
        self.sent.add(sent, others.map(|(_, part)| part.len()).sum());
        self.ranks.exchange(parts)
    }

    /// What every shard has, from that of this rank's own, in order.
    pub(crate) fn gather(&self, own: &[Vec<u8>]) -> Vec<Vec<u8>> {
        if self.by_rank.len() == 1 {
            return own.to_vec();
        }
        let parts = vec![bytes::joined(own); self.by_rank.len()];
        let all = self.exchange(parts, Sent::Gathered);
        all.iter().flat_map(|lists| bytes::apart(lists)).collect()
    }

    /// Sums over all shards, one after the other, from those of this rank's own; a shard without feeds has no numbers.
    pub(crate) fn sum(&self, own: &[Vec<f64>]) -> Vec<f64> {
        let own: Vec<Vec<u8>> = own.iter().map(|numbers| bytes::of(numbers)).collect();
        let all = self.gather(&own).into_iter().map(|numbers| bytes::numbers::<f64>(&numbers));
        let sum = |mut sum: Vec<f64>, numbers: Vec<f64>| {
            sum.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += number);
            sum
        };
        all.filter(|numbers| !numbers.is_empty()).reduce(sum).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ranks::threads::on_ranks;

    #[test]
    fn sums_are_those_of_one_rank_and_empty_shards_add_nothing() {
        let of_shard = |shard: usize| match shard {
            2 => Vec::new(),
            _ => vec![0.1 * shard as f64, 1e15 / (1.0 + shard as f64)],
        };
        let on = |shards: &Shards| shards.sum(&shards.own().map(of_shard).collect::<Vec<_>>());
        let alone = on(&Shards::here(5));
        for count in 1..=5 {
            for sum in on_ranks(count, |ranks| on(&Shards::new(5, ranks).unwrap())) {
                assert_eq!(sum, alone);
            }
        }
    }

    #[test]
    fn more_ranks_than_shards_are_refused() {
        for result in on_ranks(3, |ranks| Shards::new(2, ranks).map(|_| ())) {
            let message = result.unwrap_err().to_string();
            assert!(message.contains("training.shards: is 2, and there are 3 ranks"), "{message}");
        }
    }
}
