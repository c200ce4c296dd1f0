//! Self-supervised regularisation (Eq. 8-10) on one impression per feed.
//!
//! Rows of one feed are near copies, and the cost is quadratic in rows: one drawn per feed and step loses nothing.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::disentangle::Retrieval;
use crate::inputs::History;
use crate::ops::{self, Estimator};
use crate::rows::indices;
use crate::trunk::Penalty;

/// L_cor: how dependence of z_c and z_s is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Correlation {
    /// Not at all: wo.C.
    None,
    /// Distance correlation (literal).
    #[default]
    Plain,
    /// Its bias-corrected estimator.
    BiasCorrected,
}

/// L_nce: how the consistent intents of the two domains are pulled together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alignment {
    /// Not at all: wo.N.
    None,
    /// InfoNCE with the other users of the batch as negatives (literal).
    #[default]
    InfoNce,
    /// Mean of 1 - cos: Cos.
    Cosine,
    /// Mean Euclidean distance: Enc.
    Euclidean,
}

/// Keeps the root of a zero distance differentiable.
const GUARD: f32 = 1e-12;

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
    /// The terms of L_reg. `domains` holds live and, where there is one, product; `sampled` one impression per feed.
    pub(super) fn penalties(
        &self,
        domains: &[(Retrieval, &History)],
        sampled: &[u32],
        users: &[u64],
    ) -> Vec<Penalty> {
        let mut penalties = Vec::new();
        let estimator = match self.correlation {
            Correlation::None => None,
            Correlation::Plain => Some(Estimator::Plain),
            Correlation::BiasCorrected => Some(Estimator::BiasCorrected),
        };
        if let Some(estimator) = estimator {
            let value = correlation(domains, sampled, estimator);
            penalties.push(Penalty { name: "correlation", weight: self.correlation_weight, value });
        }
        if let [(live, live_history), (product, product_history)] = domains {
            let feeds = feeds_with(
                |feed| events(live_history, feed) > 0 && events(product_history, feed) > 0,
                sampled,
            );
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
                penalties.push(Penalty { name: "alignment", weight, value });
            }
            if self.separate_specific {
                let nce = |x, y| ops::info_nce(x, y, &paired, self.temperature).neg();
                let value =
                    if enough { nce(of(&live.specific), of(&product.specific)) } else { zero() };
                penalties.push(Penalty { name: "separation", weight, value });
            }
        }
        penalties
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
fn correlation(
    domains: &[(Retrieval, &History)],
    sampled: &[u32],
    estimator: Estimator,
) -> Tensor<1> {
    let fewest = match estimator {
        Estimator::Plain => 2,
        Estimator::BiasCorrected => 4,
    };
    let mut sum = Tensor::zeros([1], &domains[0].0.consistent.device());
    for (retrieval, history) in domains {
        let feeds = feeds_with(|feed| events(history, feed) >= 2, sampled);
        if feeds.len() < fewest {
            continue;
        }
        let rows: Vec<u32> = feeds.iter().map(|feed| sampled[*feed]).collect();
        let of = |z: &Tensor<2>| z.clone().select(0, indices(rows.clone(), &z.device()));
        let distances = |z| ops::pairwise_distance(of(z));
        sum = sum
            + ops::distance_correlation(
                [distances(&retrieval.consistent), distances(&retrieval.specific)],
                estimator,
            );
    }
    sum
}

fn events(history: &History, feed: usize) -> usize {
    history.rows.offsets.range(feed).len()
}

fn feeds_with(keep: impl Fn(usize) -> bool, sampled: &[u32]) -> Vec<usize> {
    (0..sampled.len()).filter(|feed| keep(*feed)).collect()
}
