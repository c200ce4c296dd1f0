//! One file per model, registered in [`crate::registry`].

pub mod bst;
pub mod can;
pub mod conet;
pub mod dasl;
pub mod ddtcdr;
pub mod dien;
pub mod din;
pub mod dtcdr;
pub mod elive;
pub mod eta;
pub mod hgn;
pub mod linear;
pub mod minet;
#[doc(hidden)]
pub mod probe;
pub mod wdl;
