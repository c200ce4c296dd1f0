//! One process's state at a Redis-compatible server, for other processes that follow it.
//!
//! One process, the writer, takes events in and keeps the log ([`eliverec_state`]). The others, the readers, answer requests
//! from what it tells. The log is the truth: whatever the server loses is brought again.
//!
//! - `sharing`: the writer's side. `following`: the readers' side. `bring`: what the server lacks.
//! - `keys`, `about`, `scripts`: what stands at the server, and how it changes. `connection`: the way there.
//!
//! # At the server
//! ```text
//! PREFIX:owner             which process writes, until it is silent for 3 s
//! PREFIX:about             of which log, schema and settings of the folds it is, and its epoch: keys of others are garbage
//! PREFIX:EPOCH:closed      the last record that is here, and the moment up to which requests may stand there
//! PREFIX:EPOCH:users:0000  ... 1023: the folds of users by id
//! PREFIX:EPOCH:names       texts of channels by id
//! PREFIX:EPOCH:stream      groups of records, in order; their ids are the numbers of their last records
//! PREFIX:EPOCH:snapshot    the positions of the newest snapshot and of the one before
//! PREFIX:EPOCH:snapshot:12345  its files: channels, products, tables
//! ```
//! A group changes the folds of its users, the stream and the closed moment in one script, which first looks whether this process
//! still is the owner and whether the record before is the last one there. So nobody sees half a group, none is left out, and of two
//! writers one is told.
//!
//! # The server away
//! The writer goes on without it and tells so. When the server is there again, groups that come from then on wait in memory, the
//! writer takes a snapshot and looks at what the server has: the snapshot, and the folds of users that changed behind the record
//! that is there, are brought, then the groups; folds of users who were forgotten meanwhile are removed. A server that is empty, or has another log, or records that this log lacks, gets
//! everything under a new epoch.

mod about;
mod bring;
mod connection;
mod error;
mod following;
mod keys;
mod meanwhile;
mod scripts;
mod sharing;

pub use error::Error;
pub use following::Follower;
pub use sharing::{BEAT, Sharing};
