//! Inter-channel tasks beside the prediction of watching (Sec. IV-C, IV-D): their losses, their gradients at the representation
//! that they share with it, and the weights that balance them.
//!
//! - [`losses`]: labels and losses; [`cut`]: their gradients at F; [`at_parameters`]: the same at the
//!   parameters, as a check; [`compare`]: cosines.
//! - [`weighting`]: from losses and gradients to weights: [`adaptive`] (Eq. 14-15), [`uncertainty`], [`balance`].

mod adam;
pub mod adaptive;
pub(crate) mod at_parameters;
pub mod balance;
mod compare;
pub(crate) mod cut;
pub mod losses;
pub mod signal;
pub mod uncertainty;
pub mod weighting;

pub use signal::{Signal, Weighed};
pub use weighting::Weighting;

#[cfg(test)]
pub(crate) mod battery;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
