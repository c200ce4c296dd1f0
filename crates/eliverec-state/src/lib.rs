//! What a service knows, and the durable log that it follows from.
//!
//! - [`State`]: opened from a directory, fed with events and rows, asked for features, saved; `shared`, `contended`: what it has in common with the
//!   thread that writes.
//! - `answers`: what was shown and how it came to be, for the log.
//! - `ingest`: one thread writes what many callers bring, group by group: log, store, acknowledgement.
//! - `clock`: the one order of stamps and requests. `ahead`: stamps of the future. `known`: copies. `left`: days that stand elsewhere.
//! - `store`, `shards`, `survey`: the folds of `eliverec-features`, sharded. `tables`: those of users, products and channels.
//! - [`Replica`]: a state that follows another process's. `asking`: one request there. `group`, `followed`: what it is told.
//! - `log`, `segment`, `record`: the log on disk, in redb. `snapshot`, `snapshot_files`, `snapshot_tables`: the store on disk. `recover`: a
//!   start. `pieces`: who stands back holds no lock.
//!
//! # Parity
//! Every event and row gets a stamp when its group is written; the stamp is its arrival. A request stands at a moment between two
//! stamps ([`Stand`]). So the log alone says what each request could know, and `eliverec samples` computes the same features from it.
//!
//! # Memory
//! That of the folds ([`eliverec_features`]), the tables, and the ids of events that may come again, which the settings bound. Users,
//! channels and products are forgotten when no feature can tell anything of them any more, so that nothing changes by it; a user only if
//! the settings say how old clicks and watches may be ([`eliverec_features::FeatureConfig::history_age_days`]), as samples are then made, too.
//!
//! # On disk
//! ```text
//! DIR/lock                                     held while a process has it open
//! DIR/log/2026-11-29-00000000000000000001.redb records, in files of a day or less
//! DIR/snapshots/00000000000000012345/          the state as of record 12345
//! DIR/log/files                                the names of these files
//! DIR/left                                     the days that stand elsewhere
//! DIR/identity                                 which log it is, where other processes follow it
//! ```
//! No kill at any moment loses an acknowledged record. A snapshot that is damaged is passed over for the one before or the log, and
//! [`Opened`] tells it; a log that is damaged is refused by name. After a kill, redb goes back to the last commit that is whole, so damage to
//! the very last commit cannot be told from one that was never finished, unless a snapshot knows of it.

mod ahead;
mod answers;
mod asking;
mod clock;
mod config;
mod contended;
mod error;
mod files;
mod followed;
mod group;
mod ingest;
mod known;
mod left;
mod log;
mod pieces;
mod queue;
mod record;
mod recover;
mod replica;
mod segment;
mod shards;
mod shared;
mod snapshot;
mod snapshot_files;
mod snapshot_tables;
mod state;
mod store;
mod survey;
mod tables;

pub use asking::Known;
pub use config::StateConfig;
pub use error::Error;
pub use followed::drawn;
pub use group::{Closed, FOLLOWED_VERSION, Group, Publisher};
pub use queue::Acknowledged;
pub use record::{Answered, Drawn, OWN_EVENT_IDS, Record, Table, Upsert};
pub use replica::{Replica, Users};
pub use state::{LoggedDay, Opened, Row, Sizes, State};
pub use store::{Features, Stand};
