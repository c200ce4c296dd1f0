//! The dimension tables beside a log on disk: `users.parquet`, `products.parquet`, `channels.parquet`.
//!
//! A table has the column `user_id`, `product_id` or `channel_id`, and the fields of that group of the schema but the
//! id itself, in the types of a feed file. With a column `available_at` an id may have several rows, each known from then on.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, RecordBatch, StructArray, TimestampMillisecondArray, UInt64Array,
};
use arrow::datatypes::{DataType, Field as ArrowField, Schema as ArrowSchema, TimeUnit};
use eliverec_core::dimensions::{ALWAYS, TABLE_GROUPS, id_column};
use eliverec_core::feed::Column;
use eliverec_core::schema::Group;
use eliverec_core::{Dimension, Dimensions, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::source::ParquetSource;
use super::store::Store;
use crate::arrow_schema;
use crate::decode::Place;
use crate::encode;
use crate::error::Error;
use crate::parquet_file::located;
use crate::values;

/// From when a row is known.
const AVAILABLE_AT: &str = "available_at";

pub(crate) fn file_name(group: Group) -> String {
    format!("{}s.parquet", group.name())
}

/// Writes the tables into a log in place of those that were there, each as a whole.
///
/// # Errors
/// What the store refuses.
pub fn write_dimensions(dimensions: &Dimensions, store: &Store) -> Result<(), Error> {
    let Dimensions { users, products, channels } = dimensions;
    [users, products, channels].into_iter().try_for_each(|table| write(table, store))
}

/// Reads the tables of a log. A table may be missing if the schema has no fields for it but the id.
///
/// # Errors
/// A table that is missing or cannot be read, columns that do not fit the schema, nulls, numbers that are not
/// finite, and two rows of one id.
pub fn read_dimensions(store: &Store, schema: &Schema) -> Result<Dimensions, Error> {
    let [users, products, channels] = TABLE_GROUPS;
    let table = |group| read(store, schema, group);
    Ok(Dimensions { users: table(users)?, products: table(products)?, channels: table(channels)? })
}

fn write(table: &Dimension, store: &Store) -> Result<(), Error> {
    let name = file_name(table.group());
    let failed = |e: &dyn std::fmt::Display| {
        Error::directory(&store.path(&name), format!("cannot write: {e}"))
    };
    let mut columns = vec![ArrowField::new(id_column(table.group()), DataType::UInt64, false)];
    let mut arrays: Vec<ArrayRef> = vec![Arc::new(UInt64Array::from(table.ids().to_vec()))];
    if table.known_from_ms().iter().any(|ms| *ms != ALWAYS) {
        let kind = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
        columns.push(ArrowField::new(AVAILABLE_AT, kind, true));
        let moments = table.known_from_ms().iter().map(|ms| Some(*ms).filter(|ms| *ms != ALWAYS));
        let moments: TimestampMillisecondArray = moments.collect();
        arrays.push(Arc::new(moments.with_timezone("UTC")));
    }
    for (field, column) in table.fields().iter().zip(table.columns()) {
        columns.push(arrow_schema::column(field));
        let array = encode::concatenated(&field.kind, std::iter::once(column));
        arrays.push(array.map_err(|e| failed(&e))?);
    }
    let columns = Arc::new(ArrowSchema::new(columns));
    let rows = RecordBatch::try_new(Arc::clone(&columns), arrays).map_err(|e| failed(&e))?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .build();
    let mut contents = Vec::new();
    let mut writer =
        ArrowWriter::try_new(&mut contents, columns, Some(properties)).map_err(|e| failed(&e))?;
    writer.write(&rows).map_err(|e| failed(&e))?;
    writer.close().map_err(|e| failed(&e))?;
    store.replace(&name, contents)
}

fn read(store: &Store, schema: &Schema, group: Group) -> Result<Dimension, Error> {
    let fields = Dimension::fields_of(schema, group);
    let (name, id) = (file_name(group), id_column(group));
    let path = store.path(&name);
    store.refuse_unreadable(&name)?;
    let (folders, files) = store.list("")?;
    let Some(file) = files.into_iter().find(|file| file.name == name) else {
        if folders.contains(&name) {
            let reason = "is a folder, where a file should be; write the table as one file";
            return Err(Error::directory(&path, reason));
        }
        if fields.is_empty() {
            return table_of(schema, group, Vec::new(), Vec::new(), Vec::new(), &path);
        }
        let reason = format!(
            "no such table; the schema has {} fields, so write one, if only without rows",
            group.name()
        );
        return Err(Error::directory(&path, reason));
    };
    let source = ParquetSource::open(store, file)?;
    let mut wanted = vec![id.as_str()];
    wanted.extend(fields.iter().map(|field| field.name.as_str()));
    let is_dated = source.columns().column_with_name(AVAILABLE_AT).is_some()
        && !fields.iter().any(|field| field.name == AVAILABLE_AT);
    if is_dated {
        wanted.push(AVAILABLE_AT);
    }
    let (mut ids, mut columns) = (Vec::new(), Column::empty_group(&fields));
    let mut known_from_ms = Vec::new();
    let mut add = |rows: RecordBatch| {
        let first_row = ids.len() as u64;
        let rows = StructArray::from(rows);
        let more = Place::Top
            .read(rows.column_by_name(&id), &id, values::ids)
            .and_then(|more| Ok((more, Place::Top.columns(&rows, &fields)?)));
        let (more_ids, more) = more.map_err(|problem| located(&path, first_row, problem))?;
        if is_dated {
            let times = |array: &dyn Array| values::times_ms_or(array, ALWAYS);
            let moments = Place::Top.read(rows.column_by_name(AVAILABLE_AT), AVAILABLE_AT, times);
            known_from_ms.extend(moments.map_err(|problem| located(&path, first_row, problem))?);
        }
        ids.extend(more_ids);
        columns.iter_mut().zip(more).for_each(|(column, more)| extend(column, more));
        Ok::<_, Error>(())
    };
    // Without rows, the columns alone are checked.
    add(RecordBatch::new_empty(Arc::clone(source.columns())))?;
    for row_group in 0..source.row_groups() {
        let mut rows = source.row_group(row_group, &wanted)?;
        while let Some(rows) = rows.next_rows()? {
            add(rows)?;
        }
    }
    if !is_dated {
        known_from_ms.resize(ids.len(), ALWAYS);
    }
    table_of(schema, group, ids, known_from_ms, columns, &path)
}

/// A table, whose faults are those of the file `path`.
fn table_of(
    schema: &Schema,
    group: Group,
    ids: Vec<u64>,
    known_from_ms: Vec<i64>,
    columns: Vec<Column>,
    path: &Path,
) -> Result<Dimension, Error> {
    Dimension::with_moments(schema, group, ids, known_from_ms, columns).map_err(|error| match error
    {
        eliverec_core::Error::Table { row: Some(row), field, reason, .. } => {
            Error::Value { path: path.into(), row, field, reason }
        }
        eliverec_core::Error::Table { field, reason, .. } => {
            Error::Column { path: path.into(), field, reason }
        }
        other => Error::Core(other),
    })
}

fn extend(column: &mut Column, more: Column) {
    match (column, more) {
        (Column::Ids(ids), Column::Ids(more)) => ids.extend(more),
        (Column::Numbers(numbers), Column::Numbers(more)) => numbers.extend(more),
        (Column::Lists { ends, ids }, Column::Lists { ends: more_ends, ids: more_ids }) => {
            let first = ids.len() as u32;
            ends.extend(more_ends.into_iter().map(|end| first + end));
            ids.extend(more_ids);
        }
        // Both are columns of the same field.
        _ => {}
    }
}
