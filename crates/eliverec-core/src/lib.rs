//! The words of the system, shared by every other crate: ids, schema, feeds, batches, the Adagrad rule, seeds.
//!
//! No engine, no tensors, no I/O beyond parsing a schema: anything here can be used offline and online alike.
//!
//! - [`id`]: 64-bit ids and how text becomes one; [`id_kinds`]: how they are written.
//! - [`schema`]: vocabularies and fields, as `schema.toml` declares them; the fingerprint.
//! - [`matching`]: what a candidate has in common with the user's histories.
//! - [`task`]: what is predicted of a user inside a channel.
//! - [`event`]: the event log: what happened, when, and when it became known.
//! - [`day`]: the unit by which an event log is cut.
//! - [`dimensions`]: what is known of users, products and channels by id.
//! - [`no_row`]: what stands for what has no value.
//! - [`feed`]: one request with its histories and candidates, as a row of a feed file.
//! - [`columns`]: many feeds as columns; [`contract`]: what they keep; [`offsets`]: from a feed to its rows of a column.
//! - [`batch`]: whole feeds as a model takes them.
//! - [`unique`]: the distinct ids of a batch per vocabulary and where each occurs; [`part`]: some of its feeds.
//! - [`adagrad`]: Adagrad with accumulator decay, on slices.
//! - [`normalize`]: mean and standard deviation of dense fields, taken once over the training set.
//! - [`seed`]: named random streams.
//! - [`profile`]: where the time of an update goes.
//! - [`checksum`]: by what bytes are known again.
//! - [`table`]: what an embedding table is asked to be.
//! - [`table_one`]: the paper's Table I, of feeds or of an event log.
//! - [`toy`]: small fixtures for tests of every crate.

pub mod adagrad;
pub mod batch;
pub mod checksum;
pub mod columns;
pub mod contract;
pub mod day;
mod dimension;
pub mod dimensions;
pub mod error;
pub mod event;
pub mod feed;
mod group;
pub mod id;
pub mod id_kinds;
mod match_field;
pub mod matching;
pub mod no_row;
pub mod normalize;
pub mod offsets;
pub mod part;
pub mod profile;
pub mod regular;
mod rows_of;
pub mod schema;
mod schema_check;
pub mod seed;
pub mod table;
pub mod table_one;
pub mod task;
pub mod toy;
pub mod unique;

pub use batch::{Batch, BatchBuilder, Lengths};
pub use columns::FeedColumns;
pub use day::Day;
pub use dimensions::{Dimension, Dimensions};
pub use error::Error;
pub use event::{Event, EventKind};
pub use feed::Feed;
pub use id_kinds::{IdKind, IdKinds};
pub use normalize::Normalization;
pub use schema::Schema;
pub use table::TableSpec;
pub use table_one::TableOne;
pub use task::{Task, TaskKind};
