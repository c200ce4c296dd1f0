//! From events and requests to scores in one process: the folds' online driver makes the features, the model of a bundle scores
//! them. No query engine and no file format of feeds or logs; what speaks HTTP and keeps a log stands on this.
//!
//! - [`bundle`]: what is served: a trained model with all that it needs, exported, verified, opened.
//! - [`ranker`]: one user's request, answered.

pub mod bundle;
pub mod error;
pub mod ranker;

pub use bundle::{Bundle, BundleWriter};
pub use error::Error;
pub use ranker::{Asked, Ranked, Ranker};
