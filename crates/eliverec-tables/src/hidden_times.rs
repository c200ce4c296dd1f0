//! Durations and times that a file stores as plain integers, because Parquet has no type for them: only the Arrow schema that the
//! file's writer added says what they are. Read as numbers they would be wrong by their unit, so they are refused by name.

use std::path::Path;

use arrow::datatypes::{DataType, Schema as ArrowSchema};
use parquet::arrow::{ARROW_SCHEMA_META_KEY, parquet_to_arrow_schema};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;

use crate::arrow_schema::struct_fields;
use crate::error::Error;

/// The Arrow schema that a file's writer added; `None` where no column is stored as a plain integer, or nothing was added. The reader
/// of such schemas panics on some damaged ones.
pub(crate) fn added_schema(
    metadata: &ParquetMetaData,
) -> Result<Option<ArrowSchema>, ParquetError> {
    let file = metadata.file_metadata();
    let entries = file.key_value_metadata();
    if !entries.is_some_and(|entries| entries.iter().any(|e| e.key == ARROW_SCHEMA_META_KEY)) {
        return Ok(None);
    }
    let descriptor = file.schema_descr();
    let plain = descriptor.columns().iter().any(|leaf| {
        use parquet::basic::{ConvertedType, Type};
        matches!(leaf.physical_type(), Type::INT32 | Type::INT64)
            && leaf.logical_type_ref().is_none()
            && leaf.converted_type() == ConvertedType::NONE
    });
    if !plain {
        return Ok(None);
    }
    parquet_to_arrow_schema(descriptor, entries).map(Some)
}

/// Refuses a column that is read, or a field of its structs, that is a plain integer in the file and was `added` as a time or a
/// duration, unless it is `fine` so.
pub(crate) fn refuse(
    path: &Path,
    file: &ArrowSchema,
    added: Option<&ArrowSchema>,
    wanted: &[(&str, Vec<&str>)],
    fine: impl Fn(&str, &DataType) -> bool,
) -> Result<(), Error> {
    let Some(added) = added else { return Ok(()) };
    for (column, fields) in wanted {
        let of = |schema: &ArrowSchema| {
            schema.field_with_name(column).ok().map(|field| field.data_type().clone())
        };
        let (Some(here), Some(there)) = (of(file), of(added)) else { continue };
        let mut pairs = vec![((*column).to_owned(), here.clone(), there.clone())];
        if let (Some(here), Some(there)) = (struct_fields(&here), struct_fields(&there)) {
            pairs.extend(fields.iter().filter_map(|name| {
                let (_, here) = here.find(name)?;
                let (_, there) = there.find(name)?;
                let name = format!("{column}.{name}");
                Some((name, here.data_type().clone(), there.data_type().clone()))
            }));
        }
        for (name, here, there) in pairs {
            if is_hidden_time(&here, &there) && !fine(&name, &there) {
                let reason = format!(
                    "is {there}, which the file stores as plain integers; write it as a number of the unit that is asked for"
                );
                return Err(Error::Column { path: path.into(), field: name, reason });
            }
        }
    }
    Ok(())
}

/// Of a column, or of the elements of lists.
fn is_hidden_time(file: &DataType, added: &DataType) -> bool {
    match (file, added) {
        (
            DataType::List(here),
            DataType::List(there)
            | DataType::LargeList(there)
            | DataType::ListView(there)
            | DataType::LargeListView(there)
            | DataType::FixedSizeList(there, _),
        ) => is_hidden_time(here.data_type(), there.data_type()),
        (DataType::Int32 | DataType::Int64, there) => there.is_temporal(),
        _ => false,
    }
}
