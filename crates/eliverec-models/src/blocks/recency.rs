//! How long ago an event was, as a vector that is added to the event's.

use burn::tensor::Tensor;

use crate::inputs::History;
use crate::rows::indices;

/// Buckets of the event's age: floor(log2(seconds)), 0 to 31.
pub const RECENCY_BUCKETS: usize = 32;

/// The bucket of an age in seconds.
pub fn age_bucket(age_s: f32) -> u32 {
    (age_s.max(1.0).log2() as u32).min(RECENCY_BUCKETS as u32 - 1)
}

/// Each event's row `[m, d]` of `vectors` `[RECENCY_BUCKETS, d]`.
pub fn age_vectors(vectors: Tensor<2>, history: &History) -> Tensor<2> {
    let buckets = history.age_s.iter().map(|age_s| age_bucket(*age_s)).collect();
    vectors.select(0, indices(buckets, &history.items.device()))
}
