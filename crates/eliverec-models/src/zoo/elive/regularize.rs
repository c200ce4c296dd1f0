//! Self-supervised regularisation (Eq. 8-10) on one impression per feed.
//!
//! Rows of one feed are near copies, and the cost is quadratic in rows: one drawn per feed and step loses nothing.

use std::collections::HashMap;

use burn::tensor::{Int, Tensor};
use eliverec_core::batch::Offsets;

use super::config::{Alignment, Correlation};
use crate::draws::Draws;
use crate::ops::{self, Estimator};
use crate::rows::indices;
use crate::term::{Term, TermKind};

/// Keeps the root of a zero distance differentiable.
const GUARD: f32 = 1e-12;

/// One impression of each feed `[b]`, drawn uniformly: the rows of the regularisers in one update. `before` feeds of the batch come
/// before these.
pub fn drawn_impressions(candidates: &Offsets, draws: &Draws, before: usize) -> Vec<u32> {
    let mut random = draws.stream("regulariser rows");
    for _ in 0..before {
        random.below(1);
    }
    candidates.ranges().map(|range| (range.start + random.below(range.len())) as u32).collect()
}

/// L_nce of a model that cannot tell users apart: the mean of ln(1 + negatives) over the feeds with both histories, where
/// the negatives of a feed are those feeds of other users (Eq. 9). 0 without such feeds. `histories` lead from feed to events, live
/// first.
pub(super) fn alignment_floor(histories: &[&Offsets], user_ids: &[u64]) -> f32 {
    let [live, product] = histories else { return 0.0 };
    let both = product.ranges().zip(live.ranges());
    let users: Vec<u64> = both
        .zip(user_ids)
        .filter(|((products, channels), _)| !products.is_empty() && !channels.is_empty())
        .map(|(_, user)| *user)
        .collect();
    let mut feeds_of: HashMap<u64, usize> = HashMap::new();
    users.iter().for_each(|user| *feeds_of.entry(*user).or_default() += 1);
    let logs = users.iter().map(|user| ((1 + users.len() - feeds_of[user]) as f64).ln());
    (logs.sum::<f64>() / users.len().max(1) as f64) as f32
}

/// z_c and z_s of one domain `[n, d]`, and from feed to its events there.
pub(super) struct Intents<'a> {
    pub(super) consistent: Tensor<2>,
    pub(super) specific: Tensor<2>,
    pub(super) events: &'a Offsets,
}

impl Intents<'_> {
    /// Whether a feed has at least so many events.
    fn has(&self, feed: usize, events: usize) -> bool {
        self.events.range(feed).len() >= events
    }

    /// Those of some rows, side by side `[rows, 2 d]`.
    fn of(&self, rows: Tensor<1, Int>) -> Tensor<2> {
        let select = |z: &Tensor<2>| z.clone().select(0, rows.clone());
        Tensor::cat(vec![select(&self.consistent), select(&self.specific)], 1)
    }
}

/// The rows of the regularisers `[b, 2 d]` or, with products, `[b, 4 d]`, for [`apart`].
pub(super) fn joined(domains: &[Intents<'_>], sampled: &[u32]) -> Tensor<2> {
    let rows = indices(sampled.to_vec(), &domains[0].consistent.device());
    Tensor::cat(domains.iter().map(|domain| domain.of(rows.clone())).collect(), 1)
}

/// What [`joined`] has joined.
pub(super) fn apart<'a>(rows: Tensor<2>, events: &[&'a Offsets]) -> Vec<Intents<'a>> {
    let mut parts = rows.chunk(2 * events.len(), 1).into_iter();
    let mut next = || parts.next().expect("two parts for each domain");
    events.iter().map(|events| Intents { consistent: next(), specific: next(), events }).collect()
}

#[derive(Clone, Debug)]
pub(super) struct Regularizer {
    pub(super) correlation: Correlation,
    pub(super) alignment: Alignment,
    pub(super) separate_specific: bool,
    pub(super) temperature: f32,
    pub(super) correlation_weight: f32,
    pub(super) alignment_weight: f32,
}

impl Regularizer {
    /// The terms of L_reg. `domains` holds live and, where there is one, product; `sampled` one row of theirs per feed.
    pub(super) fn terms(
        &self,
        domains: &[Intents<'_>],
        sampled: &[u32],
        users: &[u64],
    ) -> Vec<Term> {
        let term = |name, weight, value| {
            let kind = TermKind::Regulariser;
            Term { name, kind, weight, value }
        };
        let mut terms = Vec::new();
        let estimator = match self.correlation {
            Correlation::None => None,
            Correlation::Plain => Some(Estimator::Plain),
            Correlation::BiasCorrected => Some(Estimator::BiasCorrected),
        };
        if let Some(estimator) = estimator {
            let value = correlation(domains, sampled, estimator);
            terms.push(term("correlation", self.correlation_weight, value));
        }
        if let [live, product] = domains {
            let both = |feed| live.has(feed, 1) && product.has(feed, 1);
            let feeds = feeds_with(both, sampled);
            let paired: Vec<u64> = feeds.iter().map(|feed| users[*feed]).collect();
            let rows: Vec<u32> = feeds.iter().map(|feed| sampled[*feed]).collect();
            let of = |z: &Tensor<2>| z.clone().select(0, indices(rows.clone(), &z.device()));
            let weight = self.alignment_weight;
            let enough = rows.len() >= 2;
            let zero = || Tensor::zeros([1], &live.consistent.device());
            if self.alignment != Alignment::None {
                let value = if enough {
                    self.align(of(&live.consistent), of(&product.consistent), &paired)
                } else {
                    zero()
                };
                terms.push(term("alignment", weight, value));
            }
            if self.separate_specific {
                let nce = |x, y| ops::info_nce(x, y, &paired, self.temperature).neg();
                let value =
                    if enough { nce(of(&live.specific), of(&product.specific)) } else { zero() };
                terms.push(term("separation", weight, value));
            }
        }
        terms
    }

    /// eq. 9 or what stands in for it.
    fn align(&self, live: Tensor<2>, product: Tensor<2>, users: &[u64]) -> Tensor<1> {
        match self.alignment {
            Alignment::InfoNce => ops::info_nce(live, product, users, self.temperature),
            Alignment::Cosine => {
                let cosine = (ops::unit(live) * ops::unit(product)).sum_dim(1);
                cosine.neg().mean() + 1.0
            }
            Alignment::Euclidean => {
                (live - product).square().sum_dim(1).clamp_min(GUARD).sqrt().mean()
            }
            Alignment::None => unreachable!("asked only for a given alignment"),
        }
    }
}

/// eq. 8: dCor(z_c, z_s), summed over the domains; a domain's rows are the feeds with at least two events there, since
/// with one o_c = o_s and z_c = z_s.
fn correlation(domains: &[Intents<'_>], sampled: &[u32], estimator: Estimator) -> Tensor<1> {
    let fewest = match estimator {
        Estimator::Plain => 2,
        Estimator::BiasCorrected => 4,
    };
    let mut sum = Tensor::zeros([1], &domains[0].consistent.device());
    for domain in domains {
        let feeds = feeds_with(|feed| domain.has(feed, 2), sampled);
        if feeds.len() < fewest {
            continue;
        }
        let rows: Vec<u32> = feeds.iter().map(|feed| sampled[*feed]).collect();
        let of = |z: &Tensor<2>| z.clone().select(0, indices(rows.clone(), &z.device()));
        let distances = |z| ops::pairwise_distance(of(z));
        sum = sum
            + ops::distance_correlation(
                [distances(&domain.consistent), distances(&domain.specific)],
                estimator,
            );
    }
    sum
}

fn feeds_with(keep: impl Fn(usize) -> bool, sampled: &[u32]) -> Vec<usize> {
    (0..sampled.len()).filter(|feed| keep(*feed)).collect()
}
