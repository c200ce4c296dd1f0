//! The event log: what is written comes back, and what is no event is named or set aside.

#![expect(clippy::unwrap_used, reason = "a fixture that fails fails its test")]

mod bad_input;
#[path = "../feed_files/mod.rs"]
mod feed_files;
mod logs;
#[cfg(feature = "s3")]
#[path = "../moto/mod.rs"]
mod moto;
mod round_trip;
#[cfg(feature = "s3")]
mod s3;
mod tables;
mod types;
mod writers;
