//! Scores in a Parquet file: one row per candidate of each request, so that anyone may join them to what they have, and bring
//! those of another system to be judged by the same metrics.
//!
//! | column | type | what |
//! | --- | --- | --- |
//! | `request_id`, `user_id` | as in the feeds | whose |
//! | the categorical fields of `channel` | as in the feeds | which candidate; the first of them is the channel's id |
//! | `position` | UInt16, nullable | place in the list shown, where the feeds know it |
//! | `p_watch` | Float32 | probability of a watch |
//! | `NAME_s` | Float32 | of a duration task: predicted seconds, given a watch |
//! | `p_NAME`, `p_watch_NAME` | Float32 | of a binary task: its probability given a watch, and that of both |
//! | `live_intent`, `product_intent` | list of Float32 | if asked for: the consistent intent's share of each event of the history |
//!
//! Ids stand there as the feeds have them: text as text, integers as integers.

mod judged;
mod original;
mod read;
mod rows;
mod write;

pub use judged::{Judged, JudgedFeed};
pub use original::{OriginalIds, Originals};
pub use read::ScoreTable;
pub use rows::{NamedLists, ScoredFeeds};
pub use write::ScoreWriter;

/// The column with the intents of a domain's history.
pub fn intent_column(domain: &str) -> String {
    format!("{domain}_intent")
}
