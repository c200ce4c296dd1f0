//! One file per model, registered in [`crate::registry`].

pub mod din;
pub mod elive;
pub mod eta;
#[doc(hidden)]
pub mod probe;
