//! Reading what a command printed.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::line::Constant;

/// The paths of what was given.
pub(super) fn paths(file: Option<&(PathBuf, String)>) -> Vec<PathBuf> {
    file.into_iter().map(|(path, _)| path.clone()).collect()
}

/// Reads a file that has to be given.
pub(super) fn only<T: DeserializeOwned>(
    file: Option<&(PathBuf, String)>,
    command: &'static str,
    constants: &'static str,
    option: &'static str,
) -> Result<T, Error> {
    let missing = || Error::NotMeasured { constants, command, option };
    let (path, text) = file.ok_or_else(missing)?;
    parse(path, text, command)
}

pub(super) fn parse<T: DeserializeOwned>(
    path: &Path,
    text: &str,
    command: &'static str,
) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|e| Error::NotThat {
        path: path.into(),
        reason: format!("cannot be read: {e}"),
        command,
    })
}

/// A plan divides by constants, so they are above 0.
pub(super) fn positive(constant: Constant) -> Result<Constant, Error> {
    if constant.value.is_finite() && constant.value > 0.0 {
        return Ok(constant);
    }
    let Constant { name, value, from, command, files, .. } = constant;
    let reason = format!("{name} ({from}) is {value}, and has to be above 0");
    Err(Error::NotThat { path: files.into_iter().next().unwrap_or_default(), reason, command })
}
