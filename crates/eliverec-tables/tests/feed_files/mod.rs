//! Feed directories for tests, and feed files as other tools would write them: with a column changed or left out.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of this module")]
#![allow(clippy::unwrap_used, reason = "a fixture that fails fails its test")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, LargeListArray, ListArray, RecordBatch, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema};
use eliverec_core::{Feed, Schema, toy};
use eliverec_tables::{FeedDirectory, FeedWriter, Split};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use tempfile::TempDir;

/// A feed directory with these training feeds, and what removes it.
pub fn directory_of(schema: &Schema, feeds: &[Feed]) -> (TempDir, FeedDirectory) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("feeds");
    let mut writer = FeedWriter::create(&path, schema).unwrap();
    feeds.iter().for_each(|feed| writer.push(Split::Train, feed).unwrap());
    writer.finish().unwrap();
    let directory = FeedDirectory::open(&path).unwrap();
    (folder, directory)
}

/// A directory of toy feeds.
pub fn toy_directory(count: usize) -> (TempDir, FeedDirectory) {
    directory_of(&toy::schema(), &toy::feeds(count, 1))
}

/// The first file of the training split.
pub fn first_file(directory: &FeedDirectory) -> PathBuf {
    directory.path().join("train").join("part-00000.parquet")
}

/// All training feeds, or the first error.
pub fn read_all(directory: &FeedDirectory) -> Result<Vec<Feed>, eliverec_tables::Error> {
    directory.read(Split::Train)?.collect()
}

/// The rows of a file, as one batch.
pub fn rows_of(path: &Path) -> RecordBatch {
    let file = fs_err::File::open(path).unwrap().into_parts().0;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
    arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap()
}

/// Writes rows the way another tool does: Snappy, no schema of ours, row groups of its own size.
pub fn write_foreign(path: &Path, rows: &RecordBatch, row_group_rows: usize) {
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(row_group_rows));
    write_as(path, rows, properties);
}

/// The same in one row group, packed otherwise.
pub fn write_with(path: &Path, rows: &RecordBatch, compression: Compression) {
    write_as(path, rows, WriterProperties::builder().set_compression(compression));
}

fn write_as(path: &Path, rows: &RecordBatch, properties: WriterPropertiesBuilder) {
    let file = fs_err::File::create(path).unwrap().into_parts().0;
    let properties = Some(properties.build());
    let mut writer = ArrowWriter::try_new(file, rows.schema(), properties).unwrap();
    writer.write(rows).unwrap();
    writer.close().unwrap();
}

/// What becomes of a column: another one, or none.
pub type Change<'a> = &'a dyn Fn(ArrayRef) -> Option<ArrayRef>;

/// The rows with the column at `path`, such as `["candidates", "stay_s"]`, changed.
pub fn changed(rows: &RecordBatch, path: &[&str], change: Change<'_>) -> RecordBatch {
    let schema = rows.schema();
    let columns = schema.fields().iter().zip(rows.columns()).map(|(f, a)| (f.name(), a));
    let (fields, arrays) = changed_columns(columns, path, change);
    RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), arrays).unwrap()
}

fn changed_columns<'a>(
    columns: impl Iterator<Item = (&'a String, &'a ArrayRef)>,
    path: &[&str],
    change: Change<'_>,
) -> (Vec<Field>, Vec<ArrayRef>) {
    let mut found = false;
    let mut kept = Vec::new();
    for (name, array) in columns {
        let mut array = Some(Arc::clone(array));
        if name == path[0] {
            found = true;
            array = array.and_then(|array| match path.len() {
                1 => change(array),
                _ => Some(changed_within(array.as_ref(), &path[1..], change)),
            });
        }
        if let Some(array) = array {
            kept.push((Field::new(name, array.data_type().clone(), true), array));
        }
    }
    assert!(found, "no column {}", path[0]);
    kept.into_iter().unzip()
}

fn changed_within(array: &dyn Array, path: &[&str], change: Change<'_>) -> ArrayRef {
    if let Some(lists) = array.as_list_opt::<i32>() {
        let values = changed_within(lists.values().as_ref(), path, change);
        let element = Arc::new(Field::new("item", values.data_type().clone(), true));
        return Arc::new(ListArray::new(element, lists.offsets().clone(), values, None));
    }
    let structs = array.as_struct();
    let columns = structs.fields().iter().zip(structs.columns()).map(|(f, a)| (f.name(), a));
    let (fields, arrays) = changed_columns(columns, path, change);
    Arc::new(StructArray::new(fields.into(), arrays, None))
}

/// A list with 64-bit offsets and the same values.
pub fn large_list(array: &ArrayRef) -> ArrayRef {
    let lists = array.as_list::<i32>();
    let offsets = OffsetBuffer::new(lists.offsets().iter().map(|o| i64::from(*o)).collect());
    let element = Arc::new(Field::new("item", lists.values().data_type().clone(), true));
    Arc::new(LargeListArray::new(element, offsets, Arc::clone(lists.values()), None))
}

/// The array in another type.
pub fn cast(array: &ArrayRef, kind: &DataType) -> ArrayRef {
    arrow::compute::cast(array, kind).unwrap()
}

/// The array with value `i` made null.
pub fn with_null(array: &ArrayRef, i: usize) -> ArrayRef {
    let valid: Vec<bool> = (0..array.len()).map(|j| j != i).collect();
    let data = array.to_data().into_builder().nulls(Some(valid.into()));
    arrow::array::make_array(data.build().unwrap())
}
