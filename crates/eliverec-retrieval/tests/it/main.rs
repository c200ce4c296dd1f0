//! Sources, quotas, merging, propensities and index files, against slow definitions on random platforms.

#![expect(clippy::unwrap_used, reason = "a fixture that fails fails its test")]

mod files;
mod merging;
mod neighbours;
mod platform;
mod propensities;
mod sources;
mod vectors;
