//! Which event comes next, as a further signal for any model's training: a sampled softmax over the histories' bare vectors.
//!
//! Per domain K with its events x_1..x_l:
//!
//! - `next_K`: the anchor a_t = mean(x_1..x_t) A_K asks for x_t+1. A prefix's mean knows nothing of what comes after it, so the
//!   model's encoder may look both ways.
//! - `watched_K`: the anchor mean(x) B_K asks for the channel that the user watched in this feed (one of them, drawn), whichever
//!   domain K is.
//!
//! The answer stands against events drawn from the batch, shared by all its anchors; those of the same entity as the answer do
//! not count. A and B exist for training alone: no score depends on them.

use burn::module::{Module, Param};
use burn::tensor::{Bool, Tensor};
use eliverec_core::seed::Random;
use serde::{Deserialize, Serialize};

use crate::blocks::{Hidden, Negatives, NextEvents, Sharing};
use crate::builder::Builder;
use crate::draws::Draws;
use crate::error::Error;
use crate::inputs::{History, Inputs};
use crate::ops;
use crate::rows::indices;
use crate::site::Site;
use crate::term::{Term, TermKind};
use crate::trace::Trace;

/// `[training.next_event]` of an experiment file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NextEventConfig {
    /// Weight of `next_K`, for each domain.
    pub weight: f32,
    /// Weight of `watched_K`, for each domain.
    pub watched_weight: f32,
    /// Events drawn per batch and domain, with replacement.
    pub negatives: usize,
}

impl Default for NextEventConfig {
    fn default() -> Self {
        Self { weight: 0.3, watched_weight: 0.1, negatives: 64 }
    }
}

impl NextEventConfig {
    /// Checks sizes.
    ///
    /// # Errors
    /// [`Error::Config`] names the key.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let wrong = |key, reason: &str| Err(Error::Config { key, reason: reason.into() });
        let positive = |weight: f32| weight.is_finite() && weight >= 0.0;
        if !positive(self.weight) {
            return wrong("training.next_event.weight", "must be a number, not negative");
        }
        if !positive(self.watched_weight) {
            return wrong("training.next_event.watched_weight", "must be a number, not negative");
        }
        if self.negatives == 0 {
            return wrong("training.next_event.negatives", "must be positive");
        }
        Ok(())
    }
}

/// The maps of the anchors.
#[derive(Module, Debug)]
pub(crate) struct NextEventTerms {
    live: Anchors,
    product: Option<Anchors>,
    #[module(skip)]
    config: Settings,
}

/// What of [`NextEventConfig`] every batch needs.
#[derive(Clone, Copy, Debug)]
struct Settings {
    weights: [f32; 2],
    negatives: usize,
}

/// Of one domain, each `[d, d]`; `None` where its term has no weight.
#[derive(Module, Debug)]
struct Anchors {
    next: Option<Param<Tensor<2>>>,
    watched: Option<Param<Tensor<2>>>,
}

impl NextEventTerms {
    pub(crate) fn new(config: &NextEventConfig, site: &Site<'_>, builder: &Builder) -> Self {
        let map = |weight: f32| (weight > 0.0).then(|| builder.matrix(site.width, site.width));
        let anchors = || Anchors { next: map(config.weight), watched: map(config.watched_weight) };
        Self {
            live: anchors(),
            product: site.products.then(anchors),
            config: Settings {
                weights: [config.weight, config.watched_weight],
                negatives: config.negatives,
            },
        }
    }

    /// The terms of an update that asks for them; none outside training. Records what they were drawn for as `next_event.channel`,
    /// the vectors of the answers, `next_event.chosen` and for each term its drawn events, `next_event.TERM`.
    pub(crate) fn of(&self, inputs: &Inputs, trace: &mut Trace) -> Vec<Term> {
        let Some(draws) = inputs.asked(TermKind::Auxiliary) else { return Vec::new() };
        let Settings { weights: [weight, watched_weight], negatives } = self.config;
        let chosen = Chosen::of(inputs, draws);
        trace.record("next_event.channel", &inputs.channel);
        trace.record_rows("next_event.chosen", &chosen.impressions);
        let mut terms = Vec::new();
        let mut push = |name, weight, value: Option<Tensor<1>>| {
            let value = value.unwrap_or_else(|| Tensor::zeros([1], &inputs.target.device()));
            terms.push(Term { name, kind: TermKind::Auxiliary, weight, value });
        };
        let domains = [
            (Some(&self.live), Some(&inputs.live), ["next_live", "watched_live"]),
            (self.product.as_ref(), inputs.product.as_ref(), ["next_product", "watched_product"]),
        ];
        for (anchors, history, [next_name, watched_name]) in domains {
            let (Some(anchors), Some(history)) = (anchors, history) else { continue };
            if let Some(map) = &anchors.next {
                let mut random = draws.stream(next_name);
                let pairs = NextEvents::every(&history.rows.offsets);
                let drawn = pairs.negatives(
                    history,
                    negatives,
                    Sharing::Batch,
                    Hidden::Positive,
                    &mut random,
                );
                trace.record_rows(&format!("next_event.{next_name}"), drawn.events());
                let value = (!pairs.next.is_empty()).then(|| {
                    let device = history.bare.device();
                    let means = ops::prefix_means(history.bare.clone(), &history.rows);
                    let anchors = means.select(0, indices(pairs.before.clone(), &device));
                    let positives = history.bare.clone().select(0, indices(pairs.next, &device));
                    let anchors = anchors.matmul(map.val());
                    sampled_softmax(anchors, positives, &drawn, &history.bare)
                });
                push(next_name, weight, value);
            }
            if let Some(map) = &anchors.watched {
                let chosen = chosen.with(history);
                let drawn = chosen.negatives(inputs, negatives, &mut draws.stream(watched_name));
                trace.record_rows(&format!("next_event.{watched_name}"), drawn.events());
                push(watched_name, watched_weight, chosen.term(inputs, history, &drawn, map.val()));
            }
        }
        terms
    }
}

/// One watched impression of each feed that has any.
struct Chosen {
    feeds: Vec<u32>,
    impressions: Vec<u32>,
}

impl Chosen {
    fn of(inputs: &Inputs, draws: Draws) -> Self {
        let mut random = draws.stream("next_event watched");
        let (mut feeds, mut impressions) = (Vec::new(), Vec::new());
        if !inputs.watched.is_empty() {
            for (feed, range) in inputs.candidates.offsets.ranges().enumerate() {
                let watched: Vec<usize> = range.filter(|i| inputs.watched[*i] > 0.0).collect();
                if !watched.is_empty() {
                    feeds.push(feed as u32);
                    impressions.push(watched[random.below(watched.len())] as u32);
                }
            }
        }
        Self { feeds, impressions }
    }

    /// Those of feeds that have events in `history`.
    fn with(&self, history: &History) -> Self {
        let known = |feed: &u32| !history.rows.offsets.range(*feed as usize).is_empty();
        let chosen = self.feeds.iter().zip(&self.impressions).filter(|(feed, _)| known(feed));
        let (feeds, impressions) = chosen.unzip();
        Self { feeds, impressions }
    }

    /// `count` watches of the batch, the same for all.
    fn negatives(&self, inputs: &Inputs, count: usize, random: &mut Random) -> Negatives {
        let positives = self.impressions.iter().map(|i| inputs.candidate_ids[*i as usize]);
        let positives: Vec<u64> = positives.collect();
        let (live, feeds) = (&inputs.live, &self.feeds);
        Negatives::draw(live, &positives, feeds, count, Sharing::Batch, Hidden::Positive, random)
    }

    /// `watched_K` of one history: a mean over its feeds, `None` without any, or without a live event in the batch.
    fn term(
        self,
        inputs: &Inputs,
        history: &History,
        drawn: &Negatives,
        map: Tensor<2>,
    ) -> Option<Tensor<1>> {
        if self.feeds.is_empty() || inputs.live.rows.total() == 0 {
            return None;
        }
        let device = map.device();
        let means = ops::masked_mean(history.bare.clone(), &history.rows);
        let anchors = means.select(0, indices(self.feeds, &device)).matmul(map);
        let positives = inputs.channel.clone().select(0, indices(self.impressions, &device));
        Some(sampled_softmax(anchors, positives, drawn, &inputs.live.bare))
    }
}

/// Mean over the anchors `[p, d]` of the cross entropy of <anchor, positive> against the drawn ones that count; `vectors` `[m, d]`
/// are those of all events.
fn sampled_softmax(
    anchors: Tensor<2>,
    positives: Tensor<2>,
    drawn: &Negatives,
    vectors: &Tensor<2>,
) -> Tensor<1> {
    let [pairs, _] = anchors.dims();
    let device = anchors.device();
    let positive = (anchors.clone() * positives).sum_dim(1); //                 [p, 1]
    let scores = Tensor::cat(vec![positive, drawn.scores(anchors, vectors)], 1);
    let own = Tensor::<2, Bool>::full([pairs, 1], true, &device);
    let counts = Tensor::cat(vec![own, drawn.mask(vectors)], 1); //             [p, 1 + k]
    let scores = scores.mask_fill(counts.bool_not(), LOWEST);
    let largest = scores.clone().detach().max_dim(1);
    let shifted = scores - largest;
    let total = shifted.clone().exp().sum_dim(1).log();
    (total - shifted.narrow(1, 0, 1)).mean()
}

/// The score of what does not count: its exponential is 0.
const LOWEST: f32 = -1e30;

#[cfg(test)]
mod tests;
