//! What the columns of a feed file are, checked against the schema once for all files that are written alike: of thousands of small
//! files that takes longer than their rows.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef, TimeUnit};
use eliverec_core::Schema;
use parquet::arrow::{
    ARROW_SCHEMA_META_KEY, FieldLevels, ProjectionMask, parquet_to_arrow_field_levels,
    parquet_to_arrow_schema,
};
use parquet::file::metadata::ParquetMetaData;
use parquet::schema::types::{SchemaDescPtr, SchemaDescriptor};

use crate::arrow_schema::{
    FINGERPRINT_KEY, SCHEMA_TEXT_KEY, STANDS_TWICE, stands_twice, struct_fields,
};
use crate::decode::{decode, is_nested, wanted};
use crate::error::Error;
use crate::hidden_times;
use crate::id_types::{self, IdColumn, IdType, id_columns};
use crate::parquet_file::{guarded, located};

/// The schema of a directory, and the columns that its files have had so far.
#[derive(Debug)]
pub(crate) struct KnownColumns {
    schema: Arc<Schema>,
    fingerprint: String,
    ids: Vec<IdColumn>,
    /// Few: a set is mostly written by one program.
    known: Mutex<Vec<Arc<FileColumns>>>,
}

/// The columns of a file.
#[derive(Debug)]
pub(crate) struct FileColumns {
    descriptor: SchemaDescPtr,
    /// The Arrow schema that the file's writer added.
    written: Option<String>,
    arrow: SchemaRef,
    /// Whether its candidates have labels.
    pub(crate) labelled: bool,
    /// Of `ts`, where it is stored as a plain integer.
    pub(crate) ts_unit: TimeUnit,
    /// How it writes ids, by [`id_columns`].
    pub(crate) id_types: Vec<Option<IdType>>,
}

impl KnownColumns {
    /// Of no file yet.
    pub(crate) fn new(schema: &Arc<Schema>) -> Self {
        Self {
            fingerprint: schema.fingerprint(),
            ids: id_columns(schema),
            schema: Arc::clone(schema),
            known: Mutex::default(),
        }
    }

    /// The schema.
    pub(crate) const fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The columns of a file, checked.
    ///
    /// # Errors
    /// A file of another schema, columns that are missing, stand twice or are of types that cannot be read.
    pub(crate) fn of(
        &self,
        path: &Path,
        metadata: &ParquetMetaData,
    ) -> Result<Arc<FileColumns>, Error> {
        self.check_fingerprint(path, |key| value(metadata, key))?;
        // To the end: two files of one kind have to get the same, whichever threads read them.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(columns) = known.iter().find(|columns| columns.are_of(metadata)) {
            return Ok(Arc::clone(columns));
        }
        let columns = Arc::new(self.read(path, metadata)?);
        known.push(Arc::clone(&columns));
        Ok(columns)
    }

    /// Refuses feeds that say that they are of another schema, by the `value` that their metadata has of a key. Feeds without the
    /// key, from another tool, are taken by their columns alone.
    ///
    /// # Errors
    /// [`Error::SchemaDiffers`] says in what.
    pub(crate) fn check_fingerprint<'a>(
        &self,
        path: &Path,
        value: impl Fn(&str) -> Option<&'a str>,
    ) -> Result<(), Error> {
        let Some(fingerprint) = value(FINGERPRINT_KEY) else { return Ok(()) };
        if fingerprint == self.fingerprint {
            return Ok(());
        }
        let theirs = value(SCHEMA_TEXT_KEY).and_then(|text| Schema::parse(text).ok());
        let differences = match theirs {
            Some(theirs) => self.schema.differences(&theirs).join("; "),
            None => format!("fingerprint {fingerprint} instead of {}", self.fingerprint),
        };
        Err(Error::SchemaDiffers { path: path.into(), differences })
    }

    fn read(&self, path: &Path, metadata: &ParquetMetaData) -> Result<FileColumns, Error> {
        let descriptor = metadata.file_metadata().schema_descr_ptr();
        // The Arrow schema that some tools add to the metadata says nothing that Parquet's own types do not, and arrow-ipc
        // panics on a damaged one.
        let arrow = guarded(path, || parquet_to_arrow_schema(&descriptor, None))?;
        let written = value(metadata, ARROW_SCHEMA_META_KEY).map(str::to_owned);
        let added = guarded(path, || hidden_times::added_schema(metadata))?;
        let is_ts_of_feeds = |column: &str, kind: &DataType| {
            column == "ts" && matches!(kind, DataType::Timestamp(..))
        };
        hidden_times::refuse(path, &arrow, added.as_ref(), &wanted(&self.schema), is_ts_of_feeds)?;
        let ts_unit = ts_unit(&arrow, added.as_ref());
        let arrow = Arc::new(arrow);
        let (labelled, id_types) = self.check(path, &arrow, ts_unit)?;
        Ok(FileColumns { descriptor, written, arrow, labelled, ts_unit, id_types })
    }

    /// Whether columns in Parquet's types are those of feeds: whether candidates have labels there, and how ids are written, by
    /// [`id_columns`].
    ///
    /// # Errors
    /// Columns that are missing, stand twice or are of types that cannot be read.
    pub(crate) fn check(
        &self,
        path: &Path,
        columns: &SchemaRef,
        ts_unit: TimeUnit,
    ) -> Result<(bool, Vec<Option<IdType>>), Error> {
        if let Some(field) = stands_twice(columns, &wanted(&self.schema)) {
            return Err(Error::Column { path: path.into(), field, reason: STANDS_TWICE.into() });
        }
        let no_rows = RecordBatch::new_empty(Arc::clone(columns));
        let checked =
            decode(&self.schema, ts_unit, &no_rows).map_err(|problem| located(path, 0, problem))?;
        Ok((checked.labelled(), id_types::of_file(&self.ids, None, columns)))
    }
}

impl FileColumns {
    fn are_of(&self, metadata: &ParquetMetaData) -> bool {
        let descriptor = metadata.file_metadata().schema_descr_ptr();
        (Arc::ptr_eq(&descriptor, &self.descriptor)
            || descriptor.root_schema() == self.descriptor.root_schema())
            && value(metadata, ARROW_SCHEMA_META_KEY) == self.written.as_deref()
    }

    /// The types of some columns, as (column, fields of its structs): of each field, or of a column without; `Null` of what is not there.
    pub(crate) fn types(&self, wanted: &[(&str, Vec<&str>)]) -> Vec<DataType> {
        let mut types = Vec::new();
        for (column, fields) in wanted {
            let of_column = self.arrow.field_with_name(column).ok().map(Field::data_type);
            if fields.is_empty() {
                types.push(of_column.cloned().unwrap_or(DataType::Null));
            }
            let within = of_column.and_then(struct_fields);
            types.extend(fields.iter().map(|name| {
                let field = within.and_then(|within| within.iter().find(|of| of.name() == name));
                field.map_or(DataType::Null, |field| field.data_type().clone())
            }));
        }
        types
    }

    /// Some of the columns, as (column, fields of its structs), for a reader of rows.
    pub(crate) fn levels(
        &self,
        path: &Path,
        wanted: &[(&str, Vec<&str>)],
    ) -> Result<FieldLevels, Error> {
        let mask = projection(&self.descriptor, &self.arrow, wanted);
        guarded(path, || parquet_to_arrow_field_levels(&self.descriptor, mask, None))
    }
}

/// What a file's metadata says under a key.
fn value<'a>(metadata: &'a ParquetMetaData, key: &str) -> Option<&'a str> {
    let entries = metadata.file_metadata().key_value_metadata()?;
    entries.iter().find(|entry| entry.key == key)?.value.as_deref()
}

/// The unit of a `ts` that is stored as a plain integer: milliseconds, unless the Arrow schema that its writer added says
/// seconds, for which Parquet has no type of its own.
fn ts_unit(plain: &ArrowSchema, added: Option<&ArrowSchema>) -> TimeUnit {
    let kind =
        |schema: &ArrowSchema| schema.field_with_name("ts").ok().map(Field::data_type).cloned();
    match (kind(plain), added.and_then(kind)) {
        (Some(DataType::Int64), Some(DataType::Timestamp(unit, _))) => unit,
        _ => TimeUnit::Millisecond,
    }
}

/// The leaves of columns, as (column, fields of its structs).
fn projection(
    descriptor: &SchemaDescriptor,
    arrow: &ArrowSchema,
    wanted: &[(&str, Vec<&str>)],
) -> ProjectionMask {
    let leaves = descriptor.columns().iter().enumerate().filter(|(_, leaf)| {
        let path = leaf.path().parts();
        let mut of_column = wanted.iter().filter(|(column, _)| *column == path[0]).peekable();
        if of_column.peek().is_none() {
            return false;
        }
        let nested = arrow.field_with_name(&path[0]).is_ok_and(|f| is_nested(f.data_type()));
        // Between a list and its structs' fields stand names that differ from tool to tool.
        let has =
            |part: &String| of_column.clone().any(|(_, fields)| fields.contains(&part.as_str()));
        !nested || path[1..].iter().any(has)
    });
    ProjectionMask::leaves(descriptor, leaves.map(|(i, _)| i))
}
