//! From an event log to point-in-time feeds: query plans that scan, sort and join the log and drive the folds of
//! `eliverec-features`. [`replay`] compares them with what the online driver of the same folds sees.
//!
//! # Plans
//! | plan | rows by | gives, per request |
//! | --- | --- | --- |
//! | channels | channel | features of each candidate, what is in its goods bag |
//! | products | product | clicks of each candidate's current product |
//! | users | user | both histories, features of the user and of each candidate's anchor, the labels |
//!
//! Each hands its rows to the next: an impression goes to its channel, from there, with what was known of the candidate, to its
//! user, where those of one request meet. A request has one user, so no plan by request is needed.
//!
//! The plans are of DataFusion's physical operators and two of our own: the leaf that reads the log, and the
//! operator that drives a fold. The latter declares the key by which it wants its input spread and the order in which it
//! wants it; DataFusion's rule puts its exchange and its sort below, and the sort goes to disk when the memory limit is
//! reached. There is no as-of join in DataFusion 55, and its window functions give one value per row, so they would carry
//! every event through the plan to throw it away; see `drive.rs`. Each sort is O(n log n) in the rows of a
//! partition whatever the distribution of the keys: a channel with a fifth of all events is one long run of rows.
//!
//! Only the crates of DataFusion that plans of this kind need are compiled in: no SQL, no logical planner, no functions,
//! no file formats.
//!
//! # Point in time
//! A request at `ts` sees what arrived before that millisecond: within a key, requests stand before the events of the
//! same millisecond. Duplicates and late events are told apart by the same code as online (`gate.rs` says why one key
//! at a time is enough). The feeds are a function of the log's rows alone: not of their order in the files, of the number
//! of threads or of the memory limit.
//!
//! # Jobs
//! The same by tasks in processes of their own, for a shard of the channels, then of the users: see `task.rs`.
//!
//! # Days
//! One file per day and the split by days: see `publish.rs`. Labels and late impressions of a day are taken from the
//! arrivals of that day and the next, so feeds of the last two days of a log that still grows may lack what arrives yet. A rerun
//! makes days again whose arrivals have changed since (`made_of.rs`), so a log that grew day by day has the feeds of one that is
//! read once.

mod bytes;
mod channels;
mod chunks;
mod config;
mod context;
mod counters;
mod days_made;
mod drive;
mod error;
mod exchange_scan;
mod gate;
mod gather;
mod judge;
mod leaf;
mod log_files;
mod made_of;
mod memory;
mod other_log;
mod outcomes;
mod plan;
mod products;
mod publish;
mod recipe_file;
mod record;
mod replay;
mod replay_labels;
mod requests;
mod rows;
mod rows_file;
mod samples;
mod scan;
mod shard;
mod summary;
mod task;
mod text_file;
mod users;
mod wire;

pub use config::{BelowThreshold, LEAST_MEMORY_BYTES, SampleConfig};
pub use days_made::{DifferingDays, missing_days};
pub use error::Error;
pub use gather::Job;
pub use made_of::MADE_OF_FILE;
pub use other_log::other_log;
pub use recipe_file::{RECIPE_FILE, feature_settings};
pub use record::Phase;
pub use replay::{Replay, replay};
pub use samples::samples;
pub use shard::{MOST_SHARDS, Shard};
pub use summary::{DaySummary, Made, Refusal, SampleProgress, Summary};
pub use task::{Task, TaskSummary};
