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

    /// The terms of an update that asks for them; none outside training.
    pub(crate) fn of(&self, inputs: &Inputs) -> Vec<Term> {
        let Some(draws) = inputs.asked(TermKind::Auxiliary) else { return Vec::new() };
        let Settings { weights: [weight, watched_weight], negatives } = self.config;
        let chosen = Chosen::of(inputs, draws);
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
                let value = chosen.term(inputs, history, map.val(), negatives, draws, watched_name);
                push(watched_name, watched_weight, value);
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

    /// `watched_K` of one history: a mean over its feeds, `None` without any, or without a live event in the batch.
    fn term(
        &self,
        inputs: &Inputs,
        history: &History,
        map: Tensor<2>,
        count: usize,
        draws: Draws,
        name: &str,
    ) -> Option<Tensor<1>> {
        let known = |feed: &u32| !history.rows.offsets.range(*feed as usize).is_empty();
        let chosen = self.feeds.iter().zip(&self.impressions).filter(|(feed, _)| known(feed));
        let (feeds, impressions): (Vec<u32>, Vec<u32>) = chosen.unzip();
        if feeds.is_empty() || inputs.live.rows.total() == 0 {
            return None;
        }
        let positives: Vec<u64> =
            impressions.iter().map(|i| inputs.candidate_ids[*i as usize]).collect();
        let drawn = Negatives::draw(
            &inputs.live,
            &positives,
            &feeds,
            count,
            Sharing::Batch,
            Hidden::Positive,
            &mut draws.stream(name),
        );
        let device = map.device();
        let means = ops::masked_mean(history.bare.clone(), &history.rows);
        let anchors = means.select(0, indices(feeds, &device)).matmul(map);
        let positives = inputs.channel.clone().select(0, indices(impressions, &device));
        Some(sampled_softmax(anchors, positives, &drawn, &inputs.live.bare))
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
mod tests {
    use std::collections::BTreeMap;

    use burn::tensor::{Device, TensorData};
    use eliverec_core::batch::Offsets;
    use eliverec_core::seed::Random;
    use eliverec_core::toy;

    use super::*;
    use crate::own::OwnRows;
    use crate::parameters;
    use crate::rows::Rows;
    use crate::settings::ModelSettings;
    use crate::term::{Training, Turn};

    const D: usize = 4;
    const NEGATIVES: usize = 6;
    const DRAWS: Draws = Draws { seed: 7, step: 3 };

    fn history(lengths: &[usize], random: &mut Random, device: &Device) -> History {
        let rows = Rows::new(Offsets::from_lengths(lengths.iter().copied()), device);
        let values: Vec<f32> = (0..rows.total() * D).map(|_| random.normal() as f32).collect();
        let items = Tensor::from_data(TensorData::new(values, [rows.total(), D]), device);
        let ids = (0..rows.total()).map(|_| random.below(3) as u64).collect();
        History { bare: items.clone(), items, age_s: vec![0.0; rows.total()], ids, rows }
    }

    fn inputs(device: &Device) -> Inputs {
        let mut random = Random::new(4);
        let live = history(&[3, 0, 1, 5, 2], &mut random, device);
        let product = history(&[0, 2, 4, 1, 0], &mut random, device);
        let candidates = Rows::new(Offsets::from_lengths([2, 3, 1, 4, 2]), device);
        let values: Vec<f32> = (0..12 * D).map(|_| random.normal() as f32).collect();
        let channel: Tensor<2> = Tensor::from_data(TensorData::new(values, [12, D]), device);
        let watched = [0, 1, 0, 1, 1, 1, 0, 0, 0, 0, 1, 0].map(|x: u8| f32::from(x)).to_vec();
        Inputs {
            context: None,
            user: None,
            target: channel.clone(),
            channel,
            target_state: None,
            dynamic: None,
            tower_dynamic: false,
            candidate_ids: (0..12).map(|i| i % 4).collect(),
            candidates,
            live,
            product: Some(product),
            user_ids: vec![1, 2, 3, 4, 5],
            own: OwnRows::default(),
            numbers: BTreeMap::new(),
            history_means: false,
            training: Some(Training::whole(DRAWS, Turn::All)),
            watched,
        }
    }

    type Row = Vec<f64>;

    fn rows(tensor: &Tensor<2>) -> Vec<Row> {
        let values: Vec<f32> = tensor.clone().try_into_vec_as().unwrap();
        values.chunks(D).map(|row| row.iter().map(|x| f64::from(*x)).collect()).collect()
    }

    fn dot(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    fn anchor(events: &[Row], map: &[Row]) -> Row {
        let mean = |i: usize| events.iter().map(|x| x[i]).sum::<f64>() / events.len() as f64;
        (0..D).map(|j| (0..D).map(|i| mean(i) * map[i][j]).sum()).collect()
    }

    /// -log of the positive's share, against the drawn that are of another entity.
    fn loss(anchor: &[f64], positive: (u64, &[f64]), drawn: &[(u64, &[f64])]) -> f64 {
        let own = dot(anchor, positive.1).exp();
        let others = drawn.iter().filter(|(id, _)| *id != positive.0);
        let others: f64 = others.map(|(_, x)| dot(anchor, x).exp()).sum();
        -(own / (own + others)).ln()
    }

    #[test]
    fn equal_the_loop() {
        let (schema, device) = (toy::schema(), Device::flex());
        let settings = ModelSettings::default();
        let site = Site { width: D, ..settings.site(&schema) };
        let builder = Builder::new(&device, crate::builder::Init::Glorot);
        let config = NextEventConfig { negatives: NEGATIVES, ..NextEventConfig::default() };
        let terms = NextEventTerms::new(&config, &site, &builder);
        let terms = parameters::initialise(terms, &builder, 5, "test");
        let inputs = inputs(&device);
        let found: BTreeMap<&str, f32> = terms
            .of(&inputs)
            .into_iter()
            .map(|term| (term.name, term.value.into_scalar::<f32>()))
            .collect();
        assert_eq!(found.len(), 4);

        // Which impression is taken of a feed with several watched ones.
        let mut random = DRAWS.stream("next_event watched");
        let shown = inputs.candidates.offsets.ranges();
        let chosen: Vec<Option<usize>> = shown
            .map(|range| {
                let watched: Vec<usize> = range.filter(|i| inputs.watched[*i] > 0.0).collect();
                (!watched.is_empty()).then(|| watched[random.below(watched.len())])
            })
            .collect();
        assert_eq!(chosen.iter().flatten().count(), 4);

        let live = &inputs.live;
        let (live_rows, channel) = (rows(&live.bare), rows(&inputs.channel));
        for (history, anchors, names) in [
            (live, &terms.live, ["next_live", "watched_live"]),
            (
                inputs.product.as_ref().unwrap(),
                terms.product.as_ref().unwrap(),
                ["next_product", "watched_product"],
            ),
        ] {
            let map = |map: &Option<Param<Tensor<2>>>| rows(&map.as_ref().unwrap().val());
            let (own, [next, watched]) = (rows(&history.bare), [&anchors.next, &anchors.watched]);
            let draw = |name: &str, from: &History| -> Vec<usize> {
                let mut random = DRAWS.stream(name);
                (0..NEGATIVES).map(|_| random.below(from.rows.total())).collect()
            };
            let drawn = draw(names[0], history);
            let drawn: Vec<(u64, &[f64])> =
                drawn.iter().map(|i| (history.ids[*i], own[*i].as_slice())).collect();
            let mut losses = Vec::new();
            for range in history.rows.offsets.ranges() {
                for at in range.start + 1..range.end {
                    let anchor = anchor(&own[range.start..at], &map(next));
                    losses.push(loss(&anchor, (history.ids[at], &own[at]), &drawn));
                }
            }
            let expected = losses.iter().sum::<f64>() / losses.len() as f64;
            assert!((f64::from(found[names[0]]) - expected).abs() < 1e-5, "{found:?} {expected}");

            let drawn = draw(names[1], live);
            let drawn: Vec<(u64, &[f64])> =
                drawn.iter().map(|i| (live.ids[*i], live_rows[*i].as_slice())).collect();
            let ranges = history.rows.offsets.ranges().zip(&chosen);
            let losses: Vec<f64> = ranges
                .filter_map(|(range, chosen)| {
                    let chosen = (*chosen).filter(|_| !range.is_empty())?;
                    let anchor = anchor(&own[range], &map(watched));
                    Some(loss(&anchor, (inputs.candidate_ids[chosen], &channel[chosen]), &drawn))
                })
                .collect();
            let expected = losses.iter().sum::<f64>() / losses.len() as f64;
            assert!((f64::from(found[names[1]]) - expected).abs() < 1e-5, "{found:?} {expected}");
        }
    }

    #[test]
    fn nothing_is_asked_outside_training() {
        let (schema, device) = (toy::schema(), Device::flex());
        let settings = ModelSettings::default();
        let site = Site { width: D, ..settings.site(&schema) };
        let builder = Builder::new(&device, crate::builder::Init::Glorot);
        let terms = NextEventTerms::new(&NextEventConfig::default(), &site, &builder);
        assert!(terms.of(&Inputs { training: None, ..inputs(&device) }).is_empty());
    }
}
