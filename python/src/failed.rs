//! The exception of everything that is refused or fails here.

use eliverec_core::error::line;
use pyo3::PyErr;
use pyo3::exceptions::PyValueError;

pyo3::create_exception!(
    eliverec,
    Error,
    PyValueError,
    "What the command line says of the same fault: which file, row and field, and what to do."
);

/// The exception of an error, with its causes.
pub(crate) fn failed(error: impl std::error::Error) -> PyErr {
    told(line(&error))
}

/// The exception with these words.
pub(crate) fn told(words: impl ToString) -> PyErr {
    Error::new_err(words.to_string())
}
