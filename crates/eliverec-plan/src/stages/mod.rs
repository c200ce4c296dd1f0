//! The lines of each stage.

pub(crate) mod log;
pub(crate) mod samples;
pub(crate) mod serving;
pub(crate) mod state;
pub(crate) mod training;

/// Bytes of a GiB.
const GIB: f64 = (1_u64 << 30) as f64;
/// Seconds of an hour.
const HOUR: f64 = 3_600.0;
