//! From an experiment file and feeds to a trained run, and from a run to metrics and explanations.
//!
//! - [`config`]: the experiment file; [`overrides`]: `key=value`; [`presets`]: values for what neither sets.
//! - [`train`]: the loop; [`learner`]: one update; [`gradient`], `pass`, [`objective`], [`optimizer`]: its parts; [`read_ahead`]: batches in time.
//! - [`tasks`]: inter-channel tasks: losses, gradients, weights.
//! - [`run`]: the run directory and its lock; [`warm_start`]: a run that goes on from another; [`checkpoint`]: the one commit point; [`log`]: `metrics.jsonl`;
//!   [`durable`], [`tensor_file`]: files that survive a kill.
//! - [`evaluate`]: metrics of a split; [`explain`]: one request in detail; [`figures`]: what a model says of itself at evaluations;
//!   [`disentangling`]: what they found, where the truth is known.
//! - [`progress`]: what a person sees; [`device`]: where the model computes; [`bench`]: how fast it learns.

pub mod bench;
pub mod checkpoint;
pub mod config;
pub mod device;
pub mod disentangling;
pub mod durable;
pub mod error;
pub mod evaluate;
pub mod explain;
pub mod figures;
pub mod gradient;
pub mod learner;
pub mod log;
pub mod objective;
pub mod optimizer;
pub mod overrides;
mod pass;
pub mod presets;
pub mod progress;
pub mod read_ahead;
pub mod run;
pub mod tasks;
pub mod tensor_file;
pub mod train;
pub mod warm_start;

pub use config::Config;
pub use error::Error;
pub use evaluate::{Detail, Scorer};
pub use progress::Progress;
pub use train::{Outcome, Request, train};
