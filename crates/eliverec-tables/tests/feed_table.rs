//! Feeds that other programs get are those of the files, and feeds that they give are read as files are.

#![expect(clippy::unwrap_used, reason = "a fixture that fails fails its test")]

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Schema as ArrowSchema};
use eliverec_core::batch::Lengths;
use eliverec_core::{Normalization, toy};
use eliverec_tables::{Batches, Error, FeedDirectory, FeedTable, FeedWriter, Split};

const FEEDS: usize = 300;

fn split() -> (tempfile::TempDir, FeedDirectory, Vec<RecordBatch>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("feeds");
    let mut writer = FeedWriter::create(&path, &toy::schema()).unwrap();
    toy::feeds(FEEDS, 3).iter().for_each(|feed| writer.push(Split::Test, feed).unwrap());
    writer.finish().unwrap();
    let directory = FeedDirectory::open(path).unwrap();
    let rows = directory.record_batches(Split::Test).unwrap();
    let rows: Vec<RecordBatch> = rows.map(Result::unwrap).collect();
    assert!(rows.len() > 1);
    (folder, directory, rows)
}

fn table(rows: Vec<RecordBatch>) -> Result<FeedTable, Error> {
    let columns = rows[0].schema();
    FeedTable::new(Arc::new(toy::schema()), &columns, rows)
}

fn lines(batches: Batches) -> Vec<String> {
    batches.map(|batch| format!("{:?}", batch.unwrap())).collect()
}

/// The type with its text and lists as other programs have them.
fn other_type(kind: &DataType) -> DataType {
    let inner = |field: &FieldRef| {
        Arc::new(Field::new(field.name(), other_type(field.data_type()), field.is_nullable()))
    };
    match kind {
        DataType::List(element) => DataType::LargeList(inner(element)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inner).collect()),
        DataType::Float32 => DataType::Float64,
        other => other.clone(),
    }
}

fn changed(rows: &RecordBatch, change: impl Fn(&str, &ArrayRef) -> ArrayRef) -> RecordBatch {
    let schema = rows.schema();
    let arrays: Vec<ArrayRef> = schema
        .fields()
        .iter()
        .zip(rows.columns())
        .map(|(field, array)| change(field.name(), array))
        .collect();
    let fields = schema.fields().iter().zip(&arrays);
    let fields =
        fields.map(|(field, array)| Field::new(field.name(), array.data_type().clone(), true));
    RecordBatch::try_new(Arc::new(ArrowSchema::new(fields.collect::<Vec<_>>())), arrays).unwrap()
}

#[test]
fn batches_of_a_table_are_those_of_its_files() {
    let (_folder, directory, rows) = split();
    assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), FEEDS);
    let (normalization, lengths) = (Normalization::default(), Lengths::default());
    let schema = Arc::new(directory.schema().clone());
    let expected =
        directory.batches(Split::Test, &schema, &normalization, lengths, 20, None).unwrap();
    let expected = lines(expected);
    let read = |rows| lines(table(rows).unwrap().batches(&schema, &normalization, lengths, 20));
    assert_eq!(read(rows.clone()), expected);
    let other = |_: &str, array: &ArrayRef| cast(array, &other_type(array.data_type())).unwrap();
    assert_eq!(read(rows.iter().map(|rows| changed(rows, other)).collect()), expected);
    let one_by_one =
        rows.iter().flat_map(|rows| (0..rows.num_rows()).map(move |i| rows.slice(i, 1)));
    assert_eq!(read(one_by_one.collect()), expected);
}

#[test]
fn what_is_wrong_with_a_table_is_told_by_column_and_row() {
    let (_folder, _, rows) = split();
    let told = |rows: Vec<RecordBatch>| table(rows).unwrap_err().to_string();
    let without = rows[0].project(&[0, 2, 3]).unwrap();
    assert_eq!(told(vec![without]), "table: column user_id: is missing; every file needs it");
    assert!(told(vec![rows[0].slice(0, 0)]).starts_with("table: has no rows"));
    let metadata = HashMap::from([("eliverec.schema".to_owned(), "another".to_owned())]);
    let of_another = rows[0].schema().as_ref().clone().with_metadata(metadata);
    let of_another =
        RecordBatch::try_new(Arc::new(of_another), rows[0].columns().to_vec()).unwrap();
    assert!(told(vec![of_another]).contains("its schema differs"));
    // The first rows are fine; one of the second batch is not.
    let first = changed(&rows[0], |_, array| Arc::clone(array));
    let nulls = |name: &str, array: &ArrayRef| match name {
        "user_id" => arrow::array::new_null_array(&DataType::UInt64, array.len()),
        _ => Arc::clone(array),
    };
    let second = changed(&rows[1], nulls);
    let feeds = table(vec![first, second]).unwrap();
    let mut batches = feeds.batches(
        &Arc::new(eliverec_core::toy::schema()),
        &Normalization::default(),
        Lengths::default(),
        1_000_000,
    );
    let error = batches.next().unwrap().unwrap_err().to_string();
    let row = rows[0].num_rows();
    assert_eq!(error, format!("table: row {row}: user_id: is null; every id must be known"));
    assert!(batches.next().is_none());
}
