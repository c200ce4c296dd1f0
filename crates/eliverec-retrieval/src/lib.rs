//! Which live channels are worth ranking for a user: several sources, each with a quota, merged with what gave each channel.
//!
//! # From a moment to candidates
//! ```text
//! State::live --Retrieval::live--> Live (shared by the requests of a moment) --.
//! State::user, the user's intents ---------------> Query --Retrieval::retrieve-+--> candidates
//! ```
//! - [`state`]: what is asked of whoever knows users and channels; [`live`]: the channels of a moment, with what all requests share.
//! - [`source`]: one trait for all sources; [`source_name`]: which there are; [`sources`]: one file for each.
//! - [`config`]: quotas and settings; [`merge`]: from lists to one; [`retrieval`]: all of it together.
//! - [`neighbours`]: which channels the same users watch, counted in bounded memory; [`pairs`]: the counting.
//! - [`vectors`]: channels' vectors and the exact scan of them.
//! - [`fields`]: which fields of a schema sources need; `folds`: what they ask, from the states of the folds.
//! - [`file`]: the form of index files.
//!
//! No engine, no clock, no file format of feeds or logs; a query's answer is a function of its arguments and its seed.

pub mod config;
pub mod error;
pub mod fields;
pub mod file;
mod folds;
pub mod live;
pub mod merge;
pub mod neighbours;
pub mod pairs;
pub mod retrieval;
pub mod source;
pub mod source_name;
pub mod sources;
pub mod state;
pub mod vectors;

pub use config::RetrievalConfig;
pub use error::Error;
pub use live::Live;
pub use merge::{Candidate, Given};
pub use neighbours::{NeighbourCounter, NeighbourSettings, Neighbours};
pub use retrieval::{Indexes, Retrieval};
pub use source::{Found, Query, Source};
pub use source_name::SourceName;
pub use state::{LiveChannel, Popularity, State, User};
pub use vectors::ChannelVectors;
