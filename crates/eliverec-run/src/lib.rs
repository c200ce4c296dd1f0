//! What a run is: config, presets, weights, rows; read and scored here, with no engine and no file format of feeds, so that
//! training and serving stand on the same room.
//!
//! - [`config`]: the experiment file; [`overrides`]: `key=value`; [`presets`]: values for what neither sets; [`tasks`]: its
//!   `[tasks]` table.
//! - [`run`]: the run directory and its lock; [`checkpoint`]: what is kept and the one commit point, with its files and [`checksums`];
//!   [`feeds_read`]: what it was made of.
//! - [`score`]: from a batch to every output of a model, [`intents()`]: to what its users are after; [`device`]: where it computes.
//! - [`durable`], [`tensor_file`]: files that survive a kill; [`kept`]: and what is said of those that did not.

mod accumulators;
pub mod checkpoint;
mod checkpoint_files;
pub mod checksums;
pub mod config;
pub mod device;
pub mod durable;
pub mod error;
pub mod explained;
pub mod feeds_read;
mod intents;
pub mod kept;
pub mod overrides;
pub mod presets;
pub mod run;
pub mod score;
pub mod stop_metric;
mod suggestion;
pub mod tasks;
pub mod tensor_file;

pub use config::Config;
pub use error::Error;
pub use explained::Explained;
pub use intents::{intents, no_intents};
pub use run::RunDirectory;
pub use score::{Prepared, Scorer, Scores, Scoring};
