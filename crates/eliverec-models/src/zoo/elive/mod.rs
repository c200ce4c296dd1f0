//! eLiveRec: intents of both domains, disentangled into a part that the domains share and parts of their own.
//!
//! *Cross-Domain Disentangled Learning for E-Commerce Live Streaming Recommendation*, Sec. IV-B (Eq. 3-10). Rows "eLiveRec" of
//! the paper's tables; the single-task variants of Table III are values of [`EliveConfig`].
//!
//! Where the paper leaves something open, the reading is fixed in `docs/paper.md`.

mod disentangle;
mod gating;
mod regularize;
mod side;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

pub use disentangle::{IntentScale, IntentWeight, Retrieval};
pub use regularize::{Alignment, Correlation};
pub use side::EncoderKind;

use self::disentangle::{Disentangler, Prototypes};
use self::regularize::Regularizer;
use self::side::{Sequence, Side};
use super::check_heads;
use crate::blocks::AttentionScale;
use crate::error::Error;
use crate::inputs::{History, Inputs};
use crate::trace::Trace;
use crate::trunk::Encoded;

/// `[model] name = "elive"` of an experiment file. The defaults are the literal reading.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EliveConfig {
    /// The basic sequence encoder (Fig. 5).
    pub encoder: EncoderKind,
    /// Attention heads h; must divide the width. 8 in the paper.
    pub heads: usize,
    /// Blocks of the transformer, per domain; `heads`, `ffn_ratio` and `attention_scale` are its settings, too.
    pub blocks: usize,
    /// Feed-forward width over d.
    pub ffn_ratio: usize,
    /// What attention scores are divided by.
    pub attention_scale: AttentionScale,
    /// Whether an event's age is added to its vector.
    pub position: Position,
    /// Where the prototypes of Eq. 5 come from; `learned` is the variant wo.P, the last two are readings of our own.
    pub prototypes: PrototypeSource,
    /// Whether the tower also sees z * e_vt, element by element, of every z, as DIN's reference code does with its interest.
    /// Not in the paper.
    pub target_product: bool,
    /// `false` is the variant wo.D: plain target attention per domain.
    pub disentangle: bool,
    /// Reading of Eq. 5.
    pub intention_weight: IntentWeight,
    /// Scale of Eq. 5's exponent.
    pub intention_scale: IntentScale,
    /// Scale of Eq. 7's scores.
    pub retrieval_scale: IntentScale,
    /// L_cor (Eq. 8); `none` is the variant wo.C.
    pub correlation: Correlation,
    /// L_nce (Eq. 9); `none` is the variant wo.N, `cosine` Cos and `euclidean` Enc.
    pub alignment: Alignment,
    /// The variant SR: also pushes the specific intents of the two domains apart.
    pub separate_specific: bool,
    /// Temperature of InfoNCE.
    pub temperature: f32,
    /// lambda_1, weight of L_cor; from the paper's grid 0.001 to 1.
    pub correlation_weight: f32,
    /// lambda_2, weight of L_nce; from the paper's grid.
    pub alignment_weight: f32,
}

impl Default for EliveConfig {
    fn default() -> Self {
        Self {
            encoder: EncoderKind::Transformer,
            heads: 8,
            blocks: 2,
            ffn_ratio: 4,
            attention_scale: AttentionScale::Width,
            position: Position::None,
            prototypes: PrototypeSource::Pooled,
            target_product: false,
            disentangle: true,
            intention_weight: IntentWeight::Elementwise,
            intention_scale: IntentScale::None,
            retrieval_scale: IntentScale::None,
            correlation: Correlation::Plain,
            alignment: Alignment::InfoNce,
            separate_specific: false,
            temperature: 0.5,
            correlation_weight: 0.01,
            alignment_weight: 0.01,
        }
    }
}

/// See [`EliveConfig::position`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Position {
    /// Nothing is added (literal).
    #[default]
    None,
    /// A vector per log2 bucket of the age in seconds.
    Recency,
}

/// See [`EliveConfig::prototypes`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrototypeSource {
    /// Mean and maximum over the history (literal).
    #[default]
    Pooled,
    /// Two learned vectors per domain.
    Learned,
    /// o_c is the mean over the other domain's history, o_s that over its own: consistent is what resembles what the user does
    /// elsewhere. Not in the paper. Where the other history is empty p is 1/2.
    Crossed,
    /// o_c of an event is what the other domain's history has most like it, o_s the mean over its own. Not in the paper. Where the
    /// other history is empty p is 1/2.
    Matched,
}

/// Buckets of the event's age: floor(log2(seconds)), 0 to 31.
const RECENCY_BUCKETS: usize = 32;

impl EliveConfig {
    pub(crate) fn check(&self, width: usize) -> Result<(), Error> {
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

    /// Builds the model for entity embeddings of `width`.
    pub(crate) fn init(&self, width: usize, products: bool, device: &Device) -> Elive {
        let side = || Side::new(self, width, device);
        Elive {
            live: side(),
            product: products.then(side),
            disentangler: self.disentangle.then(|| self.disentangler(width)),
            prototypes: self.prototypes,
            target_product: self.target_product,
            regularizer: self.regularizer(),
        }
    }

    fn disentangler(&self, width: usize) -> Disentangler {
        Disentangler {
            weight: self.intention_weight,
            intention_scale: self.intention_scale.factor(width),
            retrieval_scale: self.retrieval_scale.factor(width),
        }
    }

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

impl Elive {
    pub(crate) fn fields(&self) -> usize {
        let vectors = 1 + usize::from(self.disentangler.is_some());
        let per_domain = vectors * (1 + usize::from(self.target_product));
        per_domain * (1 + usize::from(self.product.is_some()))
    }

    /// Fields: those that all models share, and z_cV, z_sV, z_cS, z_sS, each `[n, d]` (one vector per domain without
    /// disentangling), each followed by its product with the target if asked for.
    pub fn encode(&self, inputs: &Inputs, trace: &mut Trace) -> Encoded {
        let mut fields = inputs.shared_fields();
        let mut push = |[name, with_target]: [&'static str; 2], z: &Tensor<2>| {
            fields.push((name, z.clone()));
            if self.target_product {
                fields.push((with_target, z.clone() * inputs.target.clone()));
            }
        };
        let Some(disentangler) = &self.disentangler else {
            let live = self.live.attend(inputs, &inputs.live, "live", trace);
            push(["live", "live_target"], &live);
            if let (Some(side), Some(history)) = (&self.product, &inputs.product) {
                let product = side.attend(inputs, history, "product", trace);
                push(["product", "product_target"], &product);
            }
            return Encoded { fields, penalties: Vec::new() };
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
        push(["z_c_live", "z_c_live_target"], &of_live.consistent);
        push(["z_s_live", "z_s_live_target"], &of_live.specific);
        let mut domains = vec![(of_live, &inputs.live)];
        if let Some((side, history, product)) = &product {
            let of_product = retrieve(side, product, Some(&live), "product");
            push(["z_c_product", "z_c_product_target"], &of_product.consistent);
            push(["z_s_product", "z_s_product_target"], &of_product.specific);
            domains.push((of_product, history));
        }
        let penalties = match &inputs.sampled {
            Some(sampled) => self.regularizer.penalties(&domains, sampled, &inputs.user_ids),
            None => Vec::new(),
        };
        Encoded { fields, penalties }
    }

    fn prototypes(&self, side: &Side, own: &Sequence, other: Option<&Sequence>) -> Prototypes {
        match (self.prototypes, &side.consistent, &side.specific) {
            (PrototypeSource::Crossed, ..) => Prototypes::crossed(own, other),
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
        let encoded = sequence.encoded.clone();
        disentangle::attend(&sequence, encoded, &inputs.target, 1.0, |attention| {
            trace.record(&format!("{name}.attention"), attention);
        })
    }
}
