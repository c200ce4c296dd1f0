//! The feeds of a split as record batches for other programs: as the files have them, in the columns that the schema declares and in
//! one type per column.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef, TimeUnit};
use eliverec_core::Schema;

use crate::arrow_schema::{FINGERPRINT_KEY, SCHEMA_TEXT_KEY, struct_fields};
use crate::error::Error;
use crate::plain::{in_columns, plain_columns};
use crate::row_reader::{RowReader, Rows};

/// Reads them, a few feeds at a time, in the order of the files. Ends after the first error.
#[derive(Debug)]
pub struct RecordBatches {
    schema: Arc<Schema>,
    rows: RowReader,
    /// The columns of the first rows, which all others get, too, and their file.
    first: Option<(SchemaRef, PathBuf)>,
}

impl RecordBatches {
    pub(crate) fn new(schema: Arc<Schema>, rows: RowReader) -> Self {
        Self { schema, rows, first: None }
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>, Error> {
        let Some(rows) = self.rows.next()? else { return Ok(None) };
        let path = rows.path(0).to_owned();
        let batch = with_times(&rows)?;
        let columns = plain_columns(&batch.schema(), &self.schema);
        let (known, file) = self.first.get_or_insert_with(|| {
            let metadata = [
                (FINGERPRINT_KEY.to_owned(), self.schema.fingerprint()),
                (SCHEMA_TEXT_KEY.to_owned(), self.schema.to_toml()),
            ];
            let fields = columns.fields().clone();
            let known = ArrowSchema::new_with_metadata(fields, HashMap::from(metadata));
            (Arc::new(known), path.clone())
        });
        if columns.fields() != known.fields()
            && let Some(field) = names(&columns).symmetric_difference(&names(known)).next()
        {
            let reason = format!(
                "stands in this file or in {}, but not in both; write the same columns in all files of a split",
                file.display()
            );
            return Err(Error::Column { path, field: field.clone(), reason });
        }
        let known = Arc::clone(known);
        in_columns(&path, &batch, &known).map(Some).map_err(|error| {
            // The rows are perhaps those of several files.
            let mut rows_alone = (0..batch.num_rows()).map(|row| (row, batch.slice(row, 1)));
            let of_a_row = |(row, alone)| in_columns(rows.path(row), &alone, &known).err();
            rows_alone.find_map(of_a_row).unwrap_or(error)
        })
    }
}

impl Iterator for RecordBatches {
    type Item = Result<RecordBatch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.next_batch().transpose();
        if matches!(batch, Some(Err(_))) {
            self.rows.end();
        }
        batch
    }
}

/// The columns and the fields of their structs.
fn names(columns: &ArrowSchema) -> BTreeSet<String> {
    let of_column = |column: &Arc<Field>| {
        let within = struct_fields(column.data_type()).into_iter().flatten();
        let within = within.map(|field| format!("{}.{}", column.name(), field.name()));
        std::iter::once(column.name().clone()).chain(within).collect::<Vec<_>>()
    };
    columns.fields().iter().flat_map(of_column).collect()
}

/// The rows with a `ts` that says what it counts: that of a plain integer stands elsewhere in the file.
fn with_times(rows: &Rows) -> Result<RecordBatch, Error> {
    let Rows { ts_unit, batch, .. } = rows;
    let columns = batch.schema();
    let Ok(place) = columns.index_of("ts") else { return Ok(batch.clone()) };
    if *batch.column(place).data_type() != DataType::Int64 {
        return Ok(batch.clone());
    }
    let unit = if *ts_unit == TimeUnit::Second { *ts_unit } else { TimeUnit::Millisecond };
    let kind = DataType::Timestamp(unit, Some("UTC".into()));
    let mut arrays = batch.columns().to_vec();
    arrays[place] = cast(&arrays[place], &kind).map_err(|e| Error::parquet(rows.path(0), &e))?;
    let mut fields = columns.fields().to_vec();
    fields[place] = Arc::new(Field::new("ts", kind, true));
    RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), arrays)
        .map_err(|e| Error::parquet(rows.path(0), &e))
}
