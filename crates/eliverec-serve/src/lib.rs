//! From events and requests to scores in one process: the folds' online driver makes the features, a trained run scores them.
//! No query engine and no file format of feeds or logs; what speaks HTTP and keeps a log stands on this.

pub mod error;
pub mod ranker;

pub use error::Error;
pub use ranker::{Asked, Ranked, Ranker};
