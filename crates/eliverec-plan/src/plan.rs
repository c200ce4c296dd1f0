//! The plan: lines stage by stage, and the curves of training.

use serde::Serialize;

use crate::asked::Asked;
use crate::error::Error;
use crate::line::Line;
use crate::measured::Measured;
use crate::scaling::{Curve, Fixed};
use crate::stages;

/// What a platform takes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// What was asked, defaults included.
    pub asked: Asked,
    /// Stage by stage.
    pub lines: Vec<Line>,
    /// Training with the batch of all ranks fixed, and with that of each.
    pub curves: [Curve; 2],
}

impl Plan {
    /// Computes it.
    ///
    /// # Errors
    /// [`Error::Asked`] for numbers that cannot be what they stand for.
    pub fn new(asked: Asked, measured: &Measured) -> Result<Self, Error> {
        asked.check()?;
        let curves = [Fixed::Batch, Fixed::BatchPerRank]
            .map(|fixed| Curve::new(measured, fixed, asked.batch));
        let mut lines = stages::log::lines(&asked, measured);
        lines.extend(stages::samples::lines(&asked, measured));
        lines.extend(stages::training::lines(&asked, measured, &curves));
        lines.extend(stages::serving::lines(&asked, measured));
        lines.extend(stages::state::lines(&asked, measured));
        Ok(Self { asked, lines, curves })
    }
}
