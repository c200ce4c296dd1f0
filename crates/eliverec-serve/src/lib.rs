//! From a request's feed to its scores in one process, by the model of a bundle. No query engine and no file format of feeds or logs;
//! what speaks HTTP and keeps a log stands on this.
//!
//! - [`bundle`]: what is served: a trained model with all that it needs, exported, verified, opened.
//! - [`candidate_scorer`]: a request's candidates scored, by the fast path or the general one; `encoded_cache`: what it keeps of
//!   users.
//! - [`bench`]: how fast requests are scored; [`drawn_model`]: by a model nobody trained.

pub mod bench;
pub mod bundle;
pub mod candidate_scorer;
pub mod drawn_model;
mod encoded_cache;
pub mod error;

pub use bundle::{Bundle, BundleWriter};
pub use candidate_scorer::{CandidateScorer, Path, ScorerCounts};
pub use encoded_cache::CacheCounts;
pub use error::Error;
