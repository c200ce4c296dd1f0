//! The binary from end to end: on toy feeds, on bad inputs, killed and resumed.

#![expect(clippy::unwrap_used, reason = "a fixture that fails fails its test")]

#[path = "../../../eliverec-tables/tests/feed_files/mod.rs"]
mod feed_files;
#[cfg(feature = "s3")]
#[path = "../../../eliverec-tables/tests/moto/mod.rs"]
mod moto;

mod ab;
mod ab_simulate;
mod as_written;
mod bad_inputs;
mod bench_ranker;
mod bundle;
mod case_study;
mod check;
mod errors;
mod experiment;
mod explain;
mod interruption;
mod kept;
mod many_files;
mod other_feeds;
mod own_data;
mod own_tasks;
mod parts;
mod pipeline;
#[cfg(feature = "mpi")]
mod ranks;
mod retrieval;
mod samples_job;
mod sandbox;
mod score;
mod serving;
mod shards;
mod told;
mod tune;
#[cfg(not(feature = "mpi"))]
mod unranked;
mod warm_start;
mod what_is_read;
