//! Layers that two or more models use.

mod attention_unit;
mod dense;
mod evolution;
mod gating;
mod gru;
mod next_click;
mod next_event;
mod recency;
mod rotation;
mod sequence_encoder;
mod target_attention;
mod tower;
mod transformer;

pub(crate) use attention_unit::Pairs;
pub use attention_unit::{AttentionUnit, Normalize, WeightedEvents};
pub use dense::Dense;
pub use evolution::{Evolution, EvolutionAttention, check_auxiliary_weight};
pub use gating::{Gated, Gating};
pub use gru::Gru;
pub use next_click::{NEGATIVES, NextClicks};
pub use next_event::{Hidden, Negatives, NextEvents, Sharing};
pub use recency::{RECENCY_BUCKETS, age_bucket, age_vectors};
pub use rotation::Rotation;
pub use sequence_encoder::SequenceEncoder;
pub use target_attention::{TargetAttention, check_heads};
pub use tower::{Tower, TowerConfig};
pub use transformer::{AttentionScale, TransformerBlock, TransformerConfig};
