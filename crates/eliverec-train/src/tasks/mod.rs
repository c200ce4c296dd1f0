//! Inter-channel tasks beside the prediction of watching (Sec. IV-C, IV-D): their losses, their gradients at the representation
//! that they share with it, and the weights that balance them.
//!
//! - [`losses`]: labels and losses; [`gradient`]: one batch's gradients and cosines.
//! - [`weighting`]: from losses and gradients to weights: [`adaptive`] (Eq. 14-15), [`uncertainty`], [`balance`].

mod adam;
pub mod adaptive;
pub mod balance;
pub mod gradient;
pub mod losses;
pub mod uncertainty;
pub mod weighting;

pub use weighting::{Signal, Weighting};

use eliverec_models::heads::Task;

/// How many tasks there are.
pub const TASKS: usize = Task::ALL.len();

#[cfg(test)]
mod battery;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
