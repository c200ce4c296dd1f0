//! Logs in, feeds out: against a slow oracle, for every way in which a log can be awkward, and killed half-way.

#![expect(clippy::unwrap_used, reason = "a fixture that fails fails its test")]
#![expect(unreachable_pub, reason = "fixtures are shared by the modules of this binary")]

#[path = "../../../eliverec-tables/tests/feed_files/mod.rs"]
mod feed_files;

mod bad_input;
mod days;
mod grown;
mod job;
mod labels;
mod logs;
mod oracle;
mod point_in_time;
mod replay;
mod without_row;
