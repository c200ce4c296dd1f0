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

mod original;
mod read;
mod write;

pub use original::{OriginalIds, Originals};
pub use read::ScoreTable;
pub use write::{NamedLists, ScoreWriter, ScoredFeeds};

use eliverec_core::task::{Task, TaskKind};

/// The probability of a watch.
pub const P_WATCH: &str = "p_watch";

/// The column with a task's own prediction: seconds, or the probability given a watch.
pub fn task_column(task: &Task) -> String {
    match task.kind {
        TaskKind::Duration => format!("{}_s", task.name),
        TaskKind::Binary => format!("p_{}", task.name),
    }
}

/// The column with the probability of a watch and of what a binary task predicts.
pub fn joint_column(task: &Task) -> Option<String> {
    (task.kind == TaskKind::Binary).then(|| format!("{P_WATCH}_{}", task.name))
}

/// The column with the intents of a domain's history.
pub fn intent_column(domain: &str) -> String {
    format!("{domain}_intent")
}
