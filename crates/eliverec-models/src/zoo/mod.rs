//! One file per model, registered in [`crate::registry`].

pub mod bst;
pub mod can;
pub mod dien;
pub mod din;
pub mod elive;
pub mod eta;
pub mod hgn;
pub mod linear;
#[doc(hidden)]
pub mod probe;
pub mod wdl;
