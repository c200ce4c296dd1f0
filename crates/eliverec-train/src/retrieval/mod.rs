//! Retrieval offline: the indexes made of feeds and a run, and the recall of what was watched.
//!
//! - [`neighbours`]: item-to-item neighbours, of a split's histories and watches.
//! - `vectors`: a model's vectors of channels, and of users' intents.
//! - [`recall`]: request by request, what each source finds and what all together do.
//! - `platform`: what was live, popular and exposed at a moment, by a log or by the feeds themselves.

mod from_feeds;
mod from_log;
pub mod neighbours;
mod platform;
pub mod recall;
mod requests;
mod vectors;

pub use neighbours::neighbours;
pub use recall::{LiveFrom, Measured, Measurement, RecallRow, recall};
pub use vectors::channel_vectors;
