//! Everything with a gradient: how a batch becomes tensors, the models of the paper's tables, and the tower they share.
//!
//! - [`settings`]: the `[model]`, `[input]` and `[tower]` tables of an experiment file.
//! - [`model`]: [`Model`], from a batch to logits; [`registry`]: the list of models.
//! - [`inputs`]: embedding initialisation (Sec. IV-A); [`rows`]: packed rows of feeds and their padding.
//! - [`heads`]: the tasks inside a channel (Eq. 12-13), on any trunk.
//! - [`trunk`]: what every model of `zoo` gives back; [`trace`]: named intermediates for `explain` and for tests.
//! - [`ops`]: pure functions; [`blocks`]: layers that two or more models use; [`fused`]: the same on the CPU, with
//!   backward passes of their own.
//! - [`parameters`]: parameters by name, for checkpoints, optimisers and seeded initial values.

pub mod blocks;
pub mod error;
pub mod fused;
pub mod heads;
pub mod inputs;
mod lookup;
pub mod model;
pub mod ops;
pub mod parameters;
pub mod registry;
pub mod rows;
pub mod settings;
pub mod trace;
pub mod trunk;
pub mod zoo;

pub use error::Error;
pub use model::{Model, Output};
pub use settings::ModelSettings;
