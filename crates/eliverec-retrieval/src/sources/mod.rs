//! One file per source.

mod anchors;
mod category;
mod collaborative;
mod embedding;
mod exploration;
mod trending;

pub use anchors::AnchorSource;
pub use category::CategorySource;
pub use collaborative::CollaborativeSource;
pub use embedding::EmbeddingSource;
pub use exploration::ExplorationSource;
pub use trending::TrendingSource;
