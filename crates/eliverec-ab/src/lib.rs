//! Online experiments from a log: buckets of a layer compared (the paper's Sec. VI-C and Table V), and policies estimated from what
//! another one logged.
//!
//! Numbers alone: rows come from whoever reads a log, and tables and pages are made elsewhere.
//!
//! - [`shares`]: which buckets there were, and their shares over time; [`mismatch`]: whether users fell by them.
//! - [`assignment`]: who is in which bucket, and which request an impression belongs to.
//! - [`tally`]: from events to sums per user; [`metrics`]: the list of metrics over these sums.
//! - [`ratio`]: a metric of a bucket with its variance, and CUPED; [`difference`]: two buckets compared, at a planned look and at
//!   any; several comparisons.
//! - [`channels`]: channels that nobody was shown, and found; [`exposure`]: how impressions are spread.
//! - [`power`]: what an experiment needs.
//! - [`comparison`]: tables of metrics; [`report`]: all of it together.
//! - [`truth`]: what each bucket would have earned with every user in it, where users are simulated.
//! - [`splits`]: one log split many times by chance, so that what the comparison finds can be held against what it says.
//! - [`off_policy`]: estimates of one policy from another's log.

pub mod assignment;
pub mod channels;
pub mod comparison;
pub mod difference;
pub mod error;
pub mod exposure;
pub mod metrics;
pub mod mismatch;
pub mod off_policy;
pub mod power;
pub mod ratio;
pub mod report;
pub mod shares;
pub mod splits;
pub mod tally;
pub mod truth;

pub use assignment::{Answered, Assignment};
pub use error::Error;
pub use report::{Asked, Builder, Report};
pub use shares::Shares;
pub use tally::{Rules, Tally};
