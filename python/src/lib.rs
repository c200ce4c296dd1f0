//! The Python package `eliverec`, the part of it that computes: feeds, scores and metrics in process, Arrow in and Arrow out. Everything
//! here calls what the command line calls, so numbers and messages are its own.
//!
//! - `table`: rows for other programs, through the Arrow PyCapsule interface.
//! - `scorer`: a bundle and the scores of feeds.
//! - `measure`: metrics of scores.

mod failed;
mod measure;
mod scorer;
mod table;

use std::path::PathBuf;

use eliverec_tables::{FeedDirectory, Split};
use pyo3::prelude::*;

use crate::failed::failed;
use crate::table::Table;

/// The feeds of a split ("train", "validation" or "test") of a feed directory, as its files have them.
#[pyfunction]
#[pyo3(signature = (directory, split = "test"))]
fn read_feeds(py: Python<'_>, directory: PathBuf, split: &str) -> PyResult<Table> {
    let split: Split = split.parse().map_err(failed::told)?;
    let read = || -> Result<Vec<_>, eliverec_tables::Error> {
        FeedDirectory::open(directory)?.record_batches(split)?.collect()
    };
    py.detach(read).map(Table::of).map_err(failed)
}

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("Error", module.py().get_type::<failed::Error>())?;
    module.add_class::<Table>()?;
    module.add_class::<scorer::Scorer>()?;
    module.add_function(wrap_pyfunction!(read_feeds, module)?)?;
    module.add_function(wrap_pyfunction!(measure::metrics, module)?)
}
