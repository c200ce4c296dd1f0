//! eLiveRec: intents of both domains, disentangled into a part that the domains share and parts of their own.
//!
//! *Cross-Domain Disentangled Learning for E-Commerce Live Streaming Recommendation*, Sec. IV-B (Eq. 3-10). Rows "eLiveRec" of
//! the paper's tables; the single-task variants of Table III are values of [`EliveConfig`].
//!
//! Where the paper leaves something open, the reading is fixed in `docs/paper.md`.

mod config;
mod disentangle;
mod regularize;
mod side;

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::Tensor;
use eliverec_core::Batch;
use eliverec_core::batch::Offsets;

pub use config::{
    Alignment, Correlation, EliveConfig, EncoderKind, IntentWeight, Position, PrototypeSource,
};
pub use regularize::drawn_impressions;

use self::disentangle::{Disentangler, Prototypes};
use self::regularize::{Intents, Regularizer, alignment_floor, apart, joined};
use self::side::{Sequence, Side};
use crate::blocks::{Tower, check_heads};
use crate::builder::Builder;
use crate::error::Error;
use crate::inputs::{History, Inputs};
use crate::ops::{self, Retrieved};
use crate::site::Site;
use crate::term::{JointTerms, TermKind};
use crate::trace::{Recorded, Trace};
use crate::trunk::{Encoded, Observed, Trunk, TrunkConfig};

impl TrunkConfig for EliveConfig {
    type Trunk = Elive;

    fn check(&self, width: usize) -> Result<(), Error> {
        check_heads(self.heads, width)?;
        let wrong = |key, reason: &str| Err(Error::Config { key, reason: reason.into() });
        if self.ffn_ratio == 0 {
            return wrong("model.ffn_ratio", "must be positive");
        }
        if !self.temperature.is_finite() || self.temperature <= 0.0 {
            return wrong("model.temperature", "must be positive");
        }
        for (key, weight) in [
            ("model.correlation_weight", self.correlation_weight),
            ("model.alignment_weight", self.alignment_weight),
        ] {
            if !weight.is_finite() || weight < 0.0 {
                return wrong(key, "must be a number that is not negative");
            }
        }
        Ok(())
    }

    /// DIN's unit weighs the history for each candidate: H, and with it p_c, is another one for each.
    fn has_intents(&self) -> bool {
        self.disentangle && self.encoder != EncoderKind::Din
    }

    fn init(&self, site: &Site<'_>, builder: &Builder) -> Result<Elive, Error> {
        let side = || Side::new(self, site.width, builder);
        Ok(Elive {
            live: side(),
            product: site.products.then(side),
            disentangler: self
                .disentangle
                .then_some(Disentangler { weight: self.intention_weight }),
            prototypes: self.prototypes,
            target_product: self.target_product,
            regularizer: self.regularizer(),
        })
    }
}

impl EliveConfig {
    fn regularizer(&self) -> Regularizer {
        Regularizer {
            correlation: self.correlation,
            alignment: self.alignment,
            separate_specific: self.separate_specific,
            temperature: self.temperature,
            correlation_weight: self.correlation_weight,
            alignment_weight: self.alignment_weight,
        }
    }
}

/// The whole trunk.
#[derive(Module, Debug)]
pub struct Elive {
    live: Side,
    product: Option<Side>,
    #[module(skip)]
    disentangler: Option<Disentangler>,
    #[module(skip)]
    prototypes: PrototypeSource,
    #[module(skip)]
    target_product: bool,
    #[module(skip)]
    regularizer: Regularizer,
}

/// The figure of [`alignment_floor`].
const FLOOR: &str = "alignment_floor";

/// Name of a field, and of its product with the target.
type Names = [&'static str; 2];

const LIVE: Names = ["live", "live_target"];
const PRODUCT: Names = ["product", "product_target"];
const LIVE_INTENTS: [Names; 2] = [["z_c_live", "z_c_live_target"], ["z_s_live", "z_s_live_target"]];
const PRODUCT_INTENTS: [Names; 2] =
    [["z_c_product", "z_c_product_target"], ["z_s_product", "z_s_product_target"]];

impl Trunk for Elive {
    /// Fields: those that all models share, and z_cV, z_sV, z_cS, z_sS, each `[n, d]` (one vector per domain without
    /// disentangling), each followed by its product with the target if asked for.
    fn shape(&self, site: &Site<'_>) -> Vec<(&'static str, usize)> {
        let (live, product): (&[Names], &[Names]) = match &self.disentangler {
            Some(_) => (&LIVE_INTENTS, &PRODUCT_INTENTS),
            None => (&[LIVE], &[PRODUCT]),
        };
        let product = self.product.iter().flat_map(|_| product);
        let mut fields = site.shared_fields();
        for [name, with_target] in live.iter().chain(product) {
            fields.push((name, site.width));
            fields.extend(self.target_product.then_some((*with_target, site.width)));
        }
        fields
    }

    fn encode(&self, inputs: &Inputs, _: &Tower, trace: &mut Trace) -> Encoded {
        let mut fields = inputs.shared_fields();
        let mut push = |[name, with_target]: Names, z: &Tensor<2>| {
            fields.push((name, z.clone()));
            if self.target_product {
                fields.push((with_target, z.clone() * inputs.target.clone()));
            }
        };
        let Some(disentangler) = &self.disentangler else {
            let live = self.live.attend(inputs, &inputs.live, "live", trace);
            push(LIVE, &live);
            if let (Some(side), Some(history)) = (&self.product, &inputs.product) {
                let product = side.attend(inputs, history, "product", trace);
                push(PRODUCT, &product);
            }
            return Encoded::of(fields);
        };

        let live = self.live.encode(inputs, &inputs.live, "live", trace);
        let product = self.product.as_ref().zip(inputs.product.as_ref());
        let product = product
            .map(|(side, history)| (side, history, side.encode(inputs, history, "product", trace)));
        let mut retrieve = |side, own: &Sequence, other: Option<&Sequence>, name: &str| {
            let prototypes = self.prototypes(side, own, other);
            trace.record(&format!("{name}.consistent_prototype"), &prototypes.consistent);
            trace.record(&format!("{name}.specific_prototype"), &prototypes.specific);
            disentangler.retrieve(own, prototypes, &inputs.target, name, trace)
        };
        let other = product.as_ref().map(|(.., sequence)| sequence);
        let of_live = retrieve(&self.live, &live, other, "live");
        push(LIVE_INTENTS[0], &of_live.consistent);
        push(LIVE_INTENTS[1], &of_live.specific);
        let mut domains = vec![Intents::new(of_live, &inputs.live)];
        if let Some((side, history, product)) = &product {
            let of_product = retrieve(side, product, Some(&live), "product");
            push(PRODUCT_INTENTS[0], &of_product.consistent);
            push(PRODUCT_INTENTS[1], &of_product.specific);
            domains.push(Intents::new(of_product, history));
        }
        let mut encoded = Encoded::of(fields);
        let Some(training) = inputs.training else { return encoded };
        if let Some(draws) = inputs.asked(TermKind::Regulariser) {
            let before = training.shard_begins.unwrap_or(0);
            let sampled = drawn_impressions(&inputs.candidates.offsets, &draws, before);
            trace.record_rows("sampled", &sampled);
            if training.shard_begins.is_some() {
                encoded.joint = Some(joined(&domains, &sampled));
            } else {
                encoded.terms = self.regularizer.terms(&domains, &sampled, &inputs.user_ids);
            }
        }
        if training.shard_begins.is_none() {
            let histories: Vec<&Offsets> = domains.iter().map(|domain| domain.events).collect();
            encoded.figures.push((FLOOR, alignment_floor(&histories, &inputs.user_ids)));
        }
        encoded
    }

    /// L_cor and L_nce compare the feeds of a batch with each other.
    fn joint(&self, rows: Tensor<2>, batch: &Batch) -> JointTerms {
        let mut histories = vec![&batch.channels];
        histories.extend(self.product.as_ref().map(|_| &batch.products));
        let every: Vec<u32> = (0..batch.feeds() as u32).collect();
        let domains = apart(rows, &histories);
        JointTerms {
            terms: self.regularizer.terms(&domains, &every, &batch.user_ids),
            figures: vec![(FLOOR, alignment_floor(&histories, &batch.user_ids))],
        }
    }

    /// How far the weights of Eq. 5 are from undecided, per domain, over its events and their elements: `DOMAIN.distance_from_half`,
    /// the mean of |p_c - 1/2|, and `DOMAIN.share_above_half`, the share with p_c > 1/2. A weight that stays at 1/2 or sits at 0
    /// and 1 explains more about a run than its loss.
    fn observe(&self, recorded: &BTreeMap<String, Recorded>) -> Vec<Observed> {
        let intentions = recorded
            .iter()
            .filter_map(|(name, recorded)| Some((name.strip_suffix(".intention")?, recorded)));
        intentions
            .flat_map(|(domain, intention)| {
                let (rows, values) = (intention.shape[0], &intention.values);
                let observed = |name: &str, sum| Observed {
                    name: format!("{domain}.{name}"),
                    rows,
                    count: values.len(),
                    sum,
                };
                let distance = values.iter().map(|p| f64::from((p - 0.5).abs())).sum();
                let above = values.iter().filter(|p| **p > 0.5).count();
                [
                    observed("distance_from_half", distance),
                    observed("share_above_half", above as f64),
                ]
            })
            .collect()
    }
}

impl<'a> Intents<'a> {
    fn new(retrieved: Retrieved, history: &'a History) -> Self {
        let Retrieved { consistent, specific, .. } = retrieved;
        Self { consistent, specific, events: &history.rows.offsets }
    }
}

impl Elive {
    fn prototypes(&self, side: &Side, own: &Sequence, other: Option<&Sequence>) -> Prototypes {
        match (self.prototypes, &side.consistent, &side.specific) {
            (PrototypeSource::Matched, ..) => Prototypes::matched(own, other),
            (_, Some(consistent), Some(specific)) => {
                Prototypes::learned(consistent.val(), specific.val(), own.rows.feeds())
            }
            _ => Prototypes::pooled(own),
        }
    }
}

impl Side {
    /// wo.D: plain target attention over H, `[n, d]`.
    fn attend(
        &self,
        inputs: &Inputs,
        history: &History,
        name: &str,
        trace: &mut Trace,
    ) -> Tensor<2> {
        let sequence = self.encode(inputs, history, name, trace);
        let rows = [&sequence.rows, &sequence.candidates];
        let (vectors, attention) = ops::attend(sequence.encoded.clone(), &inputs.target, rows);
        if trace.is_on() {
            let attention = sequence.per_candidate(attention);
            trace.record_over(&format!("{name}.attention"), &attention, &sequence.history);
        }
        vectors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_of_all_events_count_alike() {
        let device = burn::tensor::Device::flex();
        let (schema, settings) = (eliverec_core::toy::schema(), crate::ModelSettings::default());
        let builder = Builder::new(&device, settings.input.init);
        let elive = EliveConfig::default().init(&settings.site(&schema), &builder);
        let recorded =
            |values: Vec<f32>, width| Recorded { shape: vec![values.len() / width, width], values };
        let recorded = [
            ("live.intention".to_owned(), recorded(vec![0.5, 0.75, 0.0, 1.0], 2)),
            ("logits".to_owned(), recorded(vec![3.0], 1)),
        ];
        let observed = elive.unwrap().observe(&recorded.into());
        let expected = |name: &str, sum| Observed { name: name.into(), rows: 2, count: 4, sum };
        assert_eq!(
            observed,
            [expected("live.distance_from_half", 1.25), expected("live.share_above_half", 2.0)]
        );
    }
}
