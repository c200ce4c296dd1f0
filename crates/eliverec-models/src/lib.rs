//! Everything with a gradient: how a batch becomes tensors, the models of the paper's tables, and the tower they share.
//!
//! - [`settings`]: the `[model]`, `[input]` and `[tower]` tables of an experiment file.
//! - [`model`]: [`Model`], from a batch to logits; [`registry`]: the list of models.
//! - [`inputs`]: what every model reads; [`entities`]: embedding initialisation (Sec. IV-A), which makes it; [`rows`]: packed rows
//!   of feeds and their padding; [`own`]: a model's own tables; [`draws`]: its own random numbers.
//! - [`heads`]: the tasks inside a channel (Eq. 12-13), on any trunk.
//! - [`trunk`]: what every model of `zoo` is; [`term`]: what it adds to the loss; [`site`]: what it is built for; [`trace`]: named
//!   intermediates for `explain` and for tests.
//! - [`ops`]: pure functions; [`blocks`]: layers that two or more models use; [`fused`]: the same on the CPU, with
//!   backward passes of their own.
//! - [`fast`]: one request against its candidates, for serving; [`intents`]: what a user is after before any candidate is known.
//! - [`parameters`]: parameters by name, for checkpoints and optimisers; [`builder`]: where they are made, with their initial laws.

pub mod blocks;
pub mod builder;
pub mod draws;
pub mod entities;
pub mod error;
pub mod fast;
pub mod fused;
pub mod heads;
mod input_config;
pub mod inputs;
pub mod intents;
mod lookup;
pub mod model;
mod next_event_terms;
pub mod ops;
pub mod own;
pub mod parameters;
pub mod registry;
pub mod rows;
pub mod settings;
pub mod site;
pub mod term;
pub mod trace;
pub mod trunk;
pub mod zoo;

pub use error::Error;
pub use model::{Model, Output};
pub use settings::ModelSettings;
