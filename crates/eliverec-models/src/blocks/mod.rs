//! Layers that two or more models use.

mod attention_unit;
mod dense;
mod gating;
mod next_event;
mod recency;
mod target_attention;
mod tower;
mod transformer;

pub use attention_unit::{AttentionUnit, Normalize, WeightedEvents};
pub use dense::Dense;
pub use gating::{Gated, Gating};
pub use next_event::{Hidden, Negatives, NextEvents, Sharing};
pub use recency::{RECENCY_BUCKETS, age_bucket, age_vectors};
pub use target_attention::{TargetAttention, check_heads};
pub use tower::{FieldNorm, Tower, TowerConfig};
pub use transformer::{AttentionScale, TransformerBlock, TransformerConfig};
