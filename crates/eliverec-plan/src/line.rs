//! One line of a plan, and the constants behind it.

use std::path::PathBuf;

use serde::Serialize;

/// A number that was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Constant {
    /// Its name in formulas.
    pub name: &'static str,
    /// Its value.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
    /// Where it comes from in the output of the command: an expression over its keys.
    pub from: &'static str,
    /// The command that measured it.
    pub command: &'static str,
    /// Its output, all files of it.
    pub files: Vec<PathBuf>,
}

/// A quantity of a plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// Which part of the system takes it: `log`, `samples`, `training`, `serving` or `state`.
    pub stage: &'static str,
    /// What it is.
    pub what: &'static str,
    /// How much; `None` if no amount is enough, which [`Line::note`] explains.
    pub value: Option<f64>,
    /// Of what.
    pub unit: &'static str,
    /// How it is computed, over what was asked, lines above it and constants.
    pub formula: &'static str,
    /// The constants in the formula.
    pub constants: Vec<Constant>,
    /// What else there is to say.
    pub note: Option<String>,
}

impl Line {
    pub(crate) fn new(
        stage: &'static str,
        what: &'static str,
        (value, unit): (f64, &'static str),
        formula: &'static str,
        constants: &[&Constant],
    ) -> Self {
        let constants = constants.iter().map(|of| (*of).clone()).collect();
        Self { stage, what, value: Some(value), unit, formula, constants, note: None }
    }
}
