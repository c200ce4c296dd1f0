//! The keys of `[model] name = "elive"`: the single-task variants of Table III and where our readings of the paper differ.

use serde::{Deserialize, Serialize};

use crate::blocks::AttentionScale;

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
    /// Where the prototypes of Eq. 5 come from; `learned` is the variant wo.P, `matched` a reading of our own.
    pub prototypes: PrototypeSource,
    /// Whether the tower also sees z * e_vt, element by element, of every z, as DIN's reference code does with its interest.
    /// Not in the paper.
    pub target_product: bool,
    /// `false` is the variant wo.D: plain target attention per domain.
    pub disentangle: bool,
    /// Reading of Eq. 5.
    pub intention_weight: IntentWeight,
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
    /// o_c of an event is what the other domain's history has most like it, o_s the mean over its own. Not in the paper. Where the
    /// other history is empty p is 1/2.
    Matched,
}

/// See [`EliveConfig::encoder`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EncoderKind {
    /// eLive-BST: `blocks` blocks of self-attention, the paper's own.
    #[default]
    Transformer,
    /// eLive-DIN: h_i = a_i e_i, with the weight that DIN's unit gives to event i for the target, softmax over the
    /// events; so H is another one for each candidate.
    Din,
    /// eLive-HGN: h_i = s_i (e_i * g_i), with HGN's gates of features g_i and of instances s_i.
    Hgn,
    /// h_i is the state of a GRU after event i: the RNN that Sec. IV-B names first. No row of the paper has it.
    Gru,
}

/// How Eq. 5's exponent is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntentWeight {
    /// `h * o`, a weight per element (literal).
    #[default]
    Elementwise,
    /// `h . o`, one weight per event.
    Scalar,
}

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
