//! From an experiment file and feeds to a trained run, and from a run to metrics and explanations.
//!
//! - [`train`]: the loop; [`learner`]: one update; `compute`, `passes`, `pass`, [`gradient`], [`objective`], [`optimizer`]: its parts;
//!   [`read_ahead`]: batches in time.
//! - [`ranks`]: several processes that train one model; [`shards`]: what each of them has, and how it is added up.
//! - [`tasks`]: inter-channel tasks: losses, gradients, weights.
//! - [`begin`]: how a run begins; [`checkpoint`]: a learner on disk; [`log`]: `metrics.jsonl`;
//!   [`feeds_read()`]: what a run, and results, were made of.
//! - [`evaluate`]: metrics of a split, by a run or by a file of scores; [`score`]: such a file; [`compare`]: two versions of one model;
//!   [`explain`]: one request in detail; [`case_study`]: requests that two models rank differently;
//!   [`figures`]: what a model says of itself at evaluations; [`disentangling`]: what intents found, where the truth is known.
//! - [`retrieval`]: what retrieval's indexes are made of, and how much of what was watched its sources find.
//! - [`progress`]: what a person sees; [`bench`]: how fast it learns; [`expected`]: how long a run will take.
//!
//! What a run is, and how a batch is scored, stands in `eliverec-run`.

pub mod begin;
pub mod bench;
pub mod case_study;
pub mod checkpoint;
pub mod compare;
mod compute;
pub mod disentangling;
pub mod error;
pub mod evaluate;
pub mod expected;
pub mod explain;
mod explain_tensors;
mod feeds_read;
pub mod figures;
mod floors;
pub mod gradient;
pub mod learner;
pub mod log;
pub mod objective;
pub mod optimizer;
pub mod order;
mod pass;
mod passes;
pub mod progress;
pub mod ranks;
pub mod read_ahead;
pub mod retrieval;
pub mod score;
pub mod shards;
pub mod tasks;
pub mod train;
mod training_split;

pub use error::Error;
pub use evaluate::{Detail, evaluate, evaluate_scores};
pub use feeds_read::{check_fit, feeds_hashed, feeds_read};
pub use order::{TrainingEnd, TrainingOrder};
pub use progress::Progress;
pub use train::train;
