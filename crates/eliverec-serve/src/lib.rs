//! From events and requests to scores in one process: the folds' online driver makes the features, the model of a bundle scores
//! them. No query engine and no file format of feeds or logs; what speaks HTTP and keeps a log stands on this.
//!
//! - [`bundle`]: what is served: a trained model with all that it needs, exported, verified, opened.
//! - [`candidate_scorer`]: a request's candidates scored, by the fast path or the general one; `encoded_cache`: what it keeps of
//!   users.
//! - [`ranker`]: one user's request, answered.
//! - [`bench`]: how fast requests are scored; [`drawn_model`]: by a model nobody trained.

pub mod bench;
pub mod bundle;
pub mod candidate_scorer;
pub mod drawn_model;
mod encoded_cache;
pub mod error;
pub mod ranker;

pub use bundle::{Bundle, BundleWriter};
pub use candidate_scorer::{CandidateScorer, Path, ScorerCounts};
pub use encoded_cache::CacheCounts;
pub use error::Error;
pub use ranker::{Asked, Ranked, Ranker};
