//! One file per model, registered in [`crate::registry`].

pub mod conet;
pub mod ddtcdr;
pub mod din;
pub mod dtcdr;
pub mod elive;
pub mod eta;
pub mod linear;
pub mod minet;
#[doc(hidden)]
pub mod probe;
