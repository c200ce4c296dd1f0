//! A bundle that scores feeds.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchReader};
use eliverec_serve::Bundle;
use eliverec_tables::FeedTable;
use eliverec_train::score::score_table;
use pyo3::prelude::*;

use crate::failed::{failed, told};
use crate::table::{Table, rows};

/// A bundle that `eliverec export` made, opened and verified.
#[pyclass(frozen, module = "eliverec")]
#[derive(Debug)]
// Boxed: what Python allocates is not aligned as a bundle has to be.
pub(crate) struct Scorer(Box<Bundle>);

#[pymethods]
impl Scorer {
    #[new]
    fn open(py: Python<'_>, bundle: PathBuf) -> PyResult<Self> {
        py.detach(|| Bundle::open(&bundle)).map(|bundle| Self(Box::new(bundle))).map_err(failed)
    }

    /// What the bundle is called.
    #[getter]
    fn version(&self) -> &str {
        &self.0.manifest.version
    }

    /// The name of its model.
    #[getter]
    fn model(&self) -> &str {
        &self.0.manifest.model
    }

    /// The scores of every candidate of `feeds`, in the rows and columns that `eliverec score` writes. `feeds` is a table, a record
    /// batch or a stream of any Arrow library, with the columns of docs/feeds.md; labels are not needed. Other threads of Python run
    /// meanwhile.
    fn score(&self, py: Python<'_>, feeds: &Bound<'_, PyAny>) -> PyResult<Table> {
        let rows = rows(feeds)?;
        py.detach(|| self.score_rows(rows)).map(Table::of)
    }

    fn __repr__(&self) -> String {
        format!("<eliverec.Scorer: {} ({})>", self.version(), self.model())
    }
}

impl Scorer {
    fn score_rows(&self, rows: Box<dyn RecordBatchReader + Send>) -> PyResult<Vec<RecordBatch>> {
        let Bundle { model, path, .. } = &*self.0;
        let columns = rows.schema();
        let rows = rows.collect::<Result<Vec<_>, _>>().map_err(|e| told(format!("table: {e}")))?;
        let feeds = FeedTable::new(Arc::clone(&model.schema), &columns, rows).map_err(failed)?;
        let mut scored = Vec::new();
        score_table(&model.scoring(), path, &feeds, |rows| {
            scored.push(rows.rows(path)?);
            Ok(())
        })
        .map_err(failed)?;
        Ok(scored)
    }
}
