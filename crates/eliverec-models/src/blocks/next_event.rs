//! Which event comes next: the pairs that a history teaches, and drawn events that did not come.
//!
//! Numbers of events only. What is computed from them is the model's own: whoever uses them takes the *bare* vectors of a
//! history, without what only an event has, which gives the answer away; [`NextEvents::prefixes`] are what was known before.

use burn::tensor::{Bool, Tensor, TensorData};
use eliverec_core::batch::Offsets;
use eliverec_core::seed::Random;

use crate::inputs::History;
use crate::rows::indices;

/// Pairs of an event and the one after it, in the same feed. `p` pairs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextEvents {
    /// The last event of the prefix, as a row of the history `[p]`.
    pub before: Vec<u32>,
    /// The event after it: the positive `[p]`.
    pub next: Vec<u32>,
    /// Whose history it is `[p]`.
    pub feeds: Vec<u32>,
}

/// How far a draw of negatives is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Each positive has its own.
    Pair,
    /// All positives of a feed have the same.
    Feed,
    /// All positives of the batch have the same.
    Batch,
}

/// Which drawn events do not count. They are not drawn again, so what is drawn for one positive depends on no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hidden {
    /// Those of the same entity as the positive.
    Positive,
    /// Those, and all entities of the feed's own history.
    History,
}

/// Events drawn uniformly over the events of the batch, with replacement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negatives {
    /// Drawn for each positive, `k`.
    pub count: usize,
    /// Rows of the history `[groups * k]`.
    events: Vec<u32>,
    /// Which group each positive draws on `[p]`.
    groups: Vec<u32>,
    /// Whether the i-th negative of a positive counts `[p * k]`.
    counts: Vec<bool>,
}

impl NextEvents {
    /// Every event that has one before it.
    pub fn every(events: &Offsets) -> Self {
        Self::of(events, |range| range.start + 1..range.end)
    }

    /// The newest event of every feed that has at least two.
    pub fn newest(events: &Offsets) -> Self {
        Self::of(events, |range| (range.end.max(range.start + 2) - 1)..range.end)
    }

    fn of(
        events: &Offsets,
        positives: impl Fn(std::ops::Range<usize>) -> std::ops::Range<usize>,
    ) -> Self {
        let mut pairs = Self { before: Vec::new(), next: Vec::new(), feeds: Vec::new() };
        for (feed, range) in events.ranges().enumerate() {
            for next in positives(range) {
                pairs.before.push(next as u32 - 1);
                pairs.next.push(next as u32);
                pairs.feeds.push(feed as u32);
            }
        }
        pairs
    }

    /// One history for each pair: the events before the next one.
    pub fn prefixes(&self, history: &History) -> History {
        let events = &history.rows.offsets;
        let prefix =
            |(before, feed): (&u32, &u32)| events.range(*feed as usize).start..*before as usize + 1;
        let prefixes: Vec<_> = self.before.iter().zip(&self.feeds).map(prefix).collect();
        history.of(&prefixes)
    }

    /// `count` negatives for each positive.
    pub fn negatives(
        &self,
        history: &History,
        count: usize,
        sharing: Sharing,
        hidden: Hidden,
        random: &mut Random,
    ) -> Negatives {
        let positives: Vec<u64> =
            self.next.iter().map(|event| history.ids[*event as usize]).collect();
        Negatives::draw(history, &positives, &self.feeds, count, sharing, hidden, random)
    }
}

impl Negatives {
    /// `count` events of `history` for each of `positives`, entities that belong to `feeds`.
    pub fn draw(
        history: &History,
        positives: &[u64],
        feeds: &[u32],
        count: usize,
        sharing: Sharing,
        hidden: Hidden,
        random: &mut Random,
    ) -> Self {
        let groups: Vec<u32> = match sharing {
            Sharing::Pair => (0..positives.len() as u32).collect(),
            Sharing::Feed => feeds.to_vec(),
            Sharing::Batch => vec![0; positives.len()],
        };
        let total = history.rows.total();
        // A draw for every feed, with a positive or without: what one feed gets depends on its place alone.
        let drawn = match sharing {
            Sharing::Pair => positives.len(),
            Sharing::Feed => history.rows.feeds(),
            Sharing::Batch => 1,
        };
        let drawn = if total == 0 { 0 } else { drawn * count };
        let events: Vec<u32> = (0..drawn).map(|_| random.below(total) as u32).collect();
        let mut counts = Vec::with_capacity(positives.len() * count);
        for ((positive, feed), group) in positives.iter().zip(feeds).zip(&groups) {
            let own = &history.ids[history.rows.offsets.range(*feed as usize)];
            let drawn = events.iter().skip(*group as usize * count).take(count);
            counts.extend(drawn.map(|event| {
                let id = history.ids[*event as usize];
                id != *positive && (hidden == Hidden::Positive || !own.contains(&id))
            }));
        }
        Self { count, events, groups, counts }
    }

    /// What was drawn, rows of the history: `count` after one another for everything that shares a draw.
    pub fn events(&self) -> &[u32] {
        &self.events
    }

    /// The negatives that count: the place of the positive, and the row of the history, of each.
    pub fn counting(&self) -> (Vec<u32>, Vec<u32>) {
        let all = self.counts.iter().enumerate().filter(|(_, counts)| **counts);
        all.map(|(i, _)| {
            let (positive, k) = (i / self.count, i % self.count);
            (positive as u32, self.events[self.groups[positive] as usize * self.count + k])
        })
        .unzip()
    }

    /// Inner products `[p, k]` of `anchors` `[p, d]` with the negatives' `vectors` `[m, d]`, those of the whole history.
    pub fn scores(&self, anchors: Tensor<2>, vectors: &Tensor<2>) -> Tensor<2> {
        let device = anchors.device();
        let [p, d] = anchors.dims();
        let of = |events: Vec<u32>| vectors.clone().select(0, indices(events, &device));
        if self.events.len() == self.count {
            return anchors.matmul(of(self.events.clone()).transpose());
        }
        let of_positive = |group: &u32| &self.events[*group as usize * self.count..][..self.count];
        let events = self.groups.iter().flat_map(of_positive).copied().collect();
        let drawn = of(events).reshape([p, self.count, d]);
        (drawn * anchors.unsqueeze_dim(1)).sum_dim(2).squeeze_dim(2)
    }

    /// `[p, k]`: true where the negative counts.
    pub fn mask(&self, vectors: &Tensor<2>) -> Tensor<2, Bool> {
        let data = TensorData::new(self.counts.clone(), [self.groups.len(), self.count]);
        Tensor::from_data(data, &vectors.device())
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use proptest::prelude::*;

    use super::*;
    use crate::rows::Rows;

    /// A history of the given entities, each event's vector its row's number and the entity.
    fn history(feeds: &[Vec<u64>]) -> History {
        let device = Device::flex();
        let ids: Vec<u64> = feeds.iter().flatten().copied().collect();
        let vectors: Vec<f32> =
            ids.iter().enumerate().flat_map(|(row, id)| [row as f32, *id as f32]).collect();
        let items = Tensor::from_data(TensorData::new(vectors, [ids.len(), 2]), &device);
        let rows = Rows::new(Offsets::from_lengths(feeds.iter().map(Vec::len)), &device);
        let age_s = (0..ids.len()).map(|row| row as f32).collect();
        History { bare: items.clone(), items, rows, age_s, ids }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn pairs_prefixes_and_negatives_equal_the_loop(
            feeds in prop::collection::vec(prop::collection::vec(0_u64..6, 0..6), 1..7),
            newest: bool,
            sharing in prop::sample::select(vec![Sharing::Pair, Sharing::Feed, Sharing::Batch]),
            own: bool,
            seed: u64,
        ) {
            let history = history(&feeds);
            let offsets = &history.rows.offsets;
            let pairs = if newest { NextEvents::newest(offsets) } else { NextEvents::every(offsets) };
            let hidden = if own { Hidden::History } else { Hidden::Positive };
            let draw = || pairs.negatives(&history, 3, sharing, hidden, &mut Random::new(seed));
            let negatives = draw();
            prop_assert_eq!(&negatives, &draw());

            // The loop.
            let all: Vec<u64> = feeds.concat();
            let (mut random, mut start) = (Random::new(seed), 0);
            let mut three = || -> Vec<usize> { (0..3).map(|_| random.below(all.len())).collect() };
            let shared = if all.is_empty() || sharing != Sharing::Batch { vec![] } else { three() };
            let (mut expected, mut prefixes, mut pair) = (vec![], vec![], 0);
            for (feed, events) in feeds.iter().enumerate() {
                let of_feed = if all.is_empty() || sharing != Sharing::Feed { vec![] } else { three() };
                let first = if newest { events.len().max(2) - 1 } else { 1 };
                for next in first..events.len() {
                    prop_assert_eq!(pairs.next[pair] as usize, start + next);
                    prop_assert_eq!(pairs.before[pair] as usize, start + next - 1);
                    prop_assert_eq!(pairs.feeds[pair] as usize, feed);
                    let drawn = match sharing {
                        Sharing::Pair => three(),
                        Sharing::Feed => of_feed.clone(),
                        Sharing::Batch => shared.clone(),
                    };
                    for event in drawn {
                        let same = all[event] == events[next];
                        let hidden = same || own && events.contains(&all[event]);
                        if !hidden {
                            expected.push((pair as u32, event as u32));
                        }
                    }
                    prefixes.push(events[..next].to_vec());
                    pair += 1;
                }
                start += events.len();
            }
            prop_assert_eq!(pairs.next.len(), pair);
            let (positives, events) = negatives.counting();
            prop_assert_eq!(positives.into_iter().zip(events).collect::<Vec<_>>(), expected);
            if pair == 0 {
                return Ok(());
            }
            let before = pairs.prefixes(&history);
            let found: Vec<Vec<u64>> =
                before.rows.offsets.ranges().map(|range| before.ids[range].to_vec()).collect();
            prop_assert_eq!(found, prefixes);

            // Scores of the anchor (1, 0) are the numbers of the events, whether they count or not.
            let ones: Vec<f32> = (0..pair).flat_map(|_| [1.0, 0.0]).collect();
            let anchors =
                Tensor::from_data(TensorData::new(ones, [pair, 2]), &Device::flex());
            let scores: Vec<f32> = negatives.scores(anchors, &history.bare).try_into_vec_as().unwrap();
            let mask = negatives.mask(&history.bare).float().try_into_vec_as::<f32>().unwrap();
            let counting: Vec<u32> = scores
                .iter()
                .zip(mask)
                .filter(|(_, counts)| *counts > 0.0)
                .map(|(score, _)| *score as u32)
                .collect();
            prop_assert_eq!(counting, negatives.counting().1);
        }
    }
}
