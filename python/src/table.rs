//! Rows for any program that knows Arrow's PyCapsule interface, and rows of any such program.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchIterator, RecordBatchReader};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::ffi::FFI_ArrowSchema;
use arrow::ffi_stream::{ArrowArrayStreamReader, FFI_ArrowArrayStream};
use arrow_pyarrow::FromPyArrow;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

use crate::failed::failed;

/// Rows in memory. `pyarrow.table(...)`, `polars.DataFrame(...)` and whatever else takes an object with `__arrow_c_stream__`
/// read it, without copying.
#[pyclass(frozen, module = "eliverec")]
#[derive(Debug)]
pub(crate) struct Table {
    columns: SchemaRef,
    batches: Vec<RecordBatch>,
}

impl Table {
    /// Of batches of one schema.
    pub(crate) fn of(batches: Vec<RecordBatch>) -> Self {
        let columns = batches.first().map(RecordBatch::schema);
        Self { columns: columns.unwrap_or_else(|| Arc::new(Schema::empty())), batches }
    }
}

#[pymethods]
impl Table {
    /// The names of the columns.
    #[getter]
    fn column_names(&self) -> Vec<&str> {
        self.columns.fields().iter().map(|field| field.name().as_str()).collect()
    }

    fn __len__(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    fn __repr__(&self) -> String {
        format!("<eliverec.Table: {} rows; {}>", self.__len__(), self.column_names().join(", "))
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        let schema = FFI_ArrowSchema::try_from(self.columns.as_ref()).map_err(failed)?;
        PyCapsule::new_with_value(py, schema, c"arrow_schema")
    }

    /// The rows; their types stay what they are, whatever `requested_schema` asks for.
    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        drop(requested_schema);
        let rows = self.batches.clone().into_iter().map(Ok);
        let rows = RecordBatchIterator::new(rows, Arc::clone(&self.columns));
        let stream = FFI_ArrowArrayStream::new(Box::new(rows));
        PyCapsule::new_with_value(py, stream, c"arrow_array_stream")
    }
}

/// The rows of a table, a stream or a batch of any library.
pub(crate) fn rows(given: &Bound<'_, PyAny>) -> PyResult<Box<dyn RecordBatchReader + Send>> {
    if given.hasattr("__arrow_c_stream__")? {
        return Ok(Box::new(ArrowArrayStreamReader::from_pyarrow_bound(given)?));
    }
    if given.hasattr("__arrow_c_array__")? {
        let batch = RecordBatch::from_pyarrow_bound(given)?;
        let columns = batch.schema();
        return Ok(Box::new(RecordBatchIterator::new([Ok(batch)], columns)));
    }
    let kind = given.get_type().fully_qualified_name()?;
    Err(PyTypeError::new_err(format!(
        "{kind} is no Arrow table; give one, or a record batch or a stream, of any library that has `__arrow_c_stream__`"
    )))
}
