//! One file per model, registered in [`crate::registry`].

pub mod din;
pub mod elive;
pub mod eta;

use crate::error::Error;

/// Heads must divide the width.
fn check_heads(heads: usize, width: usize) -> Result<(), Error> {
    if heads > 0 && width.is_multiple_of(heads) {
        return Ok(());
    }
    let reason = format!("{heads} heads do not divide input.width = {width}; choose a divisor");
    Err(Error::Config { key: "model.heads", reason })
}
