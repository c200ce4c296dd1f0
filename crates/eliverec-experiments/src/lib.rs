//! Experiments on users (docs/experiments.md): layers of buckets in a file, who is in which bucket, and what a bucket changes.
//!
//! - [`assignment`]: the slot of a user, which anybody can compute.
//! - [`slots`], [`shares`]: which slots a bucket has, and how shares change without moving anybody else.
//! - [`formula`]: a utility, by which a bucket orders channels.
//! - [`file`](mod@file): the file, checked. [`journal`]: which experiments ran when, beside the log.
//!
//! It knows no service and no bundle: whoever serves loads what a bucket names, and whoever reports reads the journal.

pub mod assignment;
pub mod error;
pub mod file;
pub mod formula;
pub mod journal;
pub mod shares;
pub mod slots;
mod written;

pub use assignment::{SLOTS, slot};
pub use error::Error;
pub use file::{Bucket, Experiments, Layer};
pub use formula::Formula;
pub use slots::Slots;
