//! Arrow has several types for text and for lists; what reads columns knows those of Parquet. Here the others become these.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Schema as ArrowSchema, SchemaRef};
use eliverec_core::Schema;

use crate::decode::wanted;
use crate::error::Error;

/// The type as Parquet has it; nulls are allowed everywhere, for what may be null is told by whoever reads the values.
fn plain_type(kind: &DataType) -> DataType {
    let inner = |field: &FieldRef| {
        let kind = plain_type(field.data_type());
        Arc::new(Field::new(field.name(), kind, true))
    };
    match kind {
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::Dictionary(_, values) => plain_type(values),
        DataType::List(element)
        | DataType::LargeList(element)
        | DataType::FixedSizeList(element, _)
        | DataType::ListView(element)
        | DataType::LargeListView(element) => DataType::List(inner(element)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inner).collect()),
        other => other.clone(),
    }
}

/// The columns of feeds of `schema` among these, in plain types.
pub(crate) fn plain_columns(columns: &ArrowSchema, schema: &Schema) -> SchemaRef {
    let wanted = wanted(schema);
    let declared = |field: &&FieldRef| wanted.iter().any(|(name, _)| name == field.name());
    let plain = |field: &FieldRef| Field::new(field.name(), plain_type(field.data_type()), true);
    let fields = columns.fields().iter().filter(declared).map(plain);
    Arc::new(ArrowSchema::new(fields.collect::<Vec<_>>()))
}

/// The rows in these columns, which they have.
///
/// # Errors
/// [`Error::Column`] for a column that cannot be brought into its type.
pub(crate) fn in_columns(
    path: &Path,
    rows: &RecordBatch,
    columns: &SchemaRef,
) -> Result<RecordBatch, Error> {
    let arrays = columns.fields().iter().map(|field| {
        let failed = |reason: String| Error::Column {
            path: path.into(),
            field: field.name().clone(),
            reason,
        };
        let array = rows.column_by_name(field.name());
        let array = array.ok_or_else(|| failed("is missing".into()))?;
        in_type(array, field.data_type()).map_err(failed)
    });
    let arrays = arrays.collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(columns), arrays, &options)
        .map_err(|e| Error::directory(path, e.to_string()))
}

/// The array in its plain type; otherwise why not.
pub(crate) fn plain(array: &ArrayRef) -> Result<ArrayRef, String> {
    in_type(array, &plain_type(array.data_type()))
}

fn in_type(array: &ArrayRef, kind: &DataType) -> Result<ArrayRef, String> {
    if array.data_type() == kind {
        return Ok(Arc::clone(array));
    }
    // What does not fit would become null otherwise.
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(array, kind, &options)
        .map_err(|e| format!("cannot be read ({e}); cast it where it is made"))
}
