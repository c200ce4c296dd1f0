//! What a platform of a given size takes, computed: every line of a [`Plan`] is a formula over what was asked and constants that a
//! command of this program has measured.
//!
//! | module | what |
//! | --- | --- |
//! | [`asked`] | the platform: impressions, users, channels, deadlines |
//! | [`measured`] | what `eliverec bench ... --json` printed, and the constants in it |
//! | [`traffic`] | bytes of one update of training on many ranks |
//! | [`network`] | seconds of collective operations, by message and byte |
//! | [`scaling`] | updates on 1 to 512 ranks, and where the curve bends |
//! | [`plan`] | the lines, stage by stage |
//!
//! It reads nothing but the text that it is given, and knows no engine.

pub mod asked;
mod error;
pub mod line;
pub mod measured;
pub mod network;
pub mod plan;
pub mod scaling;
mod stages;
pub mod traffic;

pub use asked::Asked;
pub use error::Error;
pub use line::{Constant, Line};
pub use measured::{Files, Measured};
pub use plan::Plan;
