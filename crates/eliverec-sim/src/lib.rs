//! A simulated live-streaming world: users with discrete interests in goods, anchors with styles and schedules, channels
//! whose goods change every few minutes, and a policy that decides who sees what.
//!
//! The world emits an event log calibrated to Table I of the paper, and beside it the truth: how likely every watch was and
//! what drove it. No public data set has live channels and products of the same users. The generator shares its form with
//! no model: users choose by competing hazards, thresholds and rejections, never by products of vectors.
//!
//! - [`config`]: what a caller chooses, and every parameter with its reason.
//! - [`world`]: who lives in it; dimension tables; what a user would do now.
//! - [`day`]: the loop over time.
//! - [`policy`]: the trait of whoever ranks, and the recommender that made the log.
//! - [`log`]: the trait of whoever takes events and truths.
//! - [`outbox`]: events in the order in which a server hears of them.
//! - [`truth`]: causes, true probabilities and their metrics.
//! - [`truth_file`]: the truth as Parquet.
//! - [`statistics`]: Table I of a log.
//!
//! ```
//! use eliverec_sim::{Collected, LoggingPolicy, World, WorldConfig};
//!
//! let config = WorldConfig { users: 50, days: 1, history_days: 1, ..WorldConfig::default() };
//! let mut world = World::new(&config)?;
//! let mut log = Collected::default();
//! let Ok(totals) = world.run(&mut LoggingPolicy::new(config.seed), &mut log, &mut |_| ());
//! assert_eq!(totals.events, log.events.len() as u64);
//! # Ok::<(), eliverec_sim::Error>(())
//! ```

mod anchor;
mod arrival;
mod behave;
mod browse;
mod catalog;
mod channel;
mod draft;
mod output;
mod queue;
mod taste;
mod user;

pub mod config;
pub mod day;
pub mod error;
pub mod log;
pub mod outbox;
pub mod policy;
pub mod statistics;
pub mod truth;
pub mod truth_file;
pub mod truth_reader;
pub mod world;

pub use config::WorldConfig;
pub use day::WorldProgress;
pub use error::Error;
pub use log::{Collected, Log};
pub use outbox::Outbox;
pub use output::Totals;
pub use policy::{LiveChannel, LoggingPolicy, Policy, PolicyRequest};
pub use statistics::TableOneBuilder;
pub use taste::InterestKind;
pub use truth::{CEILING, Cause, Ceiling, Truth};
pub use truth_file::TruthWriter;
pub use truth_reader::read_truth;
pub use world::World;

/// The schema of the world's log and feeds, as a TOML file: fields of users, products, channels and context, and the
/// real-time features by their names. `current_category` is the category of the product that went on sale last in the
/// channel, which users see before they enter.
pub const SCHEMA: &str = include_str!("../schemas/world.toml");
