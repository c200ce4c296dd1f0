//! Pure functions of tensors, each with its formula and a naive loop version in its tests.

mod activation;
mod distance_correlation;
mod info_nce;
mod layer_norm;
mod masked_softmax;
mod pooling;
mod retrieval;

pub use activation::{binary_cross_entropy, prelu};
pub use distance_correlation::{Estimator, distance_correlation, pairwise_distance};
pub use info_nce::{info_nce, unit};
pub use layer_norm::layer_norm;
pub use masked_softmax::masked_softmax;
pub use pooling::{masked_max, masked_mean, mean_and_max, prefix_means};
pub use retrieval::{RetrievalOptions, Retrieved, Seen, attend, disentangled_retrieval};
