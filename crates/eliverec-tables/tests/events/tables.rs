//! The dimension tables: written and read, unknown ids, and what is wrong with them.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Field as ArrowField, Schema as ArrowSchema};
use eliverec_core::Schema;
use eliverec_core::event::Scalar;
use eliverec_core::feed::Column;
use eliverec_core::schema::{Field, Group, Kind, Transform};
use eliverec_core::{Dimension, Dimensions};
use eliverec_tables::Error;
use eliverec_tables::events::{Store, read_dimensions, read_names, write_dimensions};
use proptest::prelude::*;

use crate::feed_files::{cast, changed, rows_of, with_null, write_foreign};
use crate::logs::{in_memory, on_disk};

/// With a field of every kind for channels beside the id, one for products, none for users.
fn schema() -> Schema {
    let mut schema = crate::logs::schema();
    schema.user[0].name = "user_id".into();
    let field = |name: &str, kind| Field { name: name.into(), kind };
    schema.channel.push(field("topics", Kind::Multi { vocabulary: "category".into() }));
    schema.channel.push(field("fans", Kind::Dense { transform: Transform::Log1p }));
    schema
}

fn tables(channels: &[(u64, Vec<u64>, f32)]) -> Dimensions {
    let schema = schema();
    let mut ends = Vec::new();
    let mut topics = Vec::new();
    for (_, list, _) in channels {
        topics.extend_from_slice(list);
        ends.push(topics.len() as u32);
    }
    let ids: Vec<u64> = channels.iter().map(|(id, ..)| *id).collect();
    let columns = vec![
        Column::Ids(ids.iter().map(|id| id / 3).collect()),
        Column::Lists { ends, ids: topics },
        Column::Numbers(channels.iter().map(|(.., fans)| *fans).collect()),
    ];
    Dimensions {
        users: Dimension::new(&schema, Group::User, vec![8, 2], vec![]).unwrap(),
        products: Dimension::new(&schema, Group::Product, vec![7], vec![Column::Ids(vec![1])])
            .unwrap(),
        channels: Dimension::new(&schema, Group::Channel, ids, columns).unwrap(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn tables_come_back(
        rows in prop::collection::btree_map(
            any::<u64>(), (prop::collection::vec(any::<u64>(), 0..4), -1e6_f32..1e6), 0..40),
        disk in any::<bool>(),
    ) {
        let (_folder, store) = if disk { on_disk() } else { (tempfile::tempdir().unwrap(), in_memory()) };
        let rows: Vec<_> = rows.into_iter().rev().map(|(id, (list, x))| (id, list, x)).collect();
        let tables = tables(&rows);
        write_dimensions(&tables, &store).unwrap();
        let read = read_dimensions(&store, &schema()).unwrap();
        prop_assert_eq!(&read, &tables);
        for (row, (id, ..)) in rows.iter().enumerate() {
            prop_assert_eq!(read.channels.row(*id), Some(row));
        }
    }
}

#[test]
fn unknown_ids_have_no_row() {
    let tables = tables(&[(5, vec![1], 0.5)]);
    assert_eq!((tables.channels.row(5), tables.channels.row(6)), (Some(0), None));
    assert_eq!(tables.channels.column("fans"), Some(&Column::Numbers(vec![0.5])));
    assert_eq!(tables.channels.column("channel_id"), None);
    assert_eq!(tables.users.ids(), [8, 2]);
    assert!(Dimensions::empty(&schema()).unwrap().channels.is_empty());
}

#[test]
fn rows_make_the_same_table_as_columns() {
    let table = |rows: &[(u64, [Scalar; 1])]| {
        Dimension::from_rows(&schema(), Group::Product, rows.iter().copied())
    };
    let made = table(&[(4, [Scalar::Id(1)]), (9, [Scalar::Id(2)])]).unwrap();
    let columns = vec![Column::Ids(vec![1, 2])];
    assert_eq!(made, Dimension::new(&schema(), Group::Product, vec![4, 9], columns).unwrap());
    let text = table(&[(4, [Scalar::Id(1)]), (9, [Scalar::Number(2.0)])]).unwrap_err().to_string();
    assert!(text.starts_with("products: row 1: category_id: Number(2.0) is not"), "{text}");
    let text = Dimension::from_rows(&schema(), Group::Product, [(4, [])]).unwrap_err().to_string();
    assert_eq!(text, "products: column product: 0 columns, the schema declares 1");
}

#[test]
fn a_second_row_of_an_id_is_named() {
    let columns = vec![Column::Ids(vec![1, 1, 1])];
    let new = Dimension::new(&schema(), Group::Product, vec![4, 9, 4], columns);
    let text = new.unwrap_err().to_string();
    let expected = "products: row 2: product_id: 4 stands in row 0 already";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn tables_are_read_in_many_row_groups_and_types() {
    let (_folder, store, path) = written();
    let rows = rows_of(&path);
    let rows = changed(&rows, &["channel_id"], &|array| Some(cast(&array, &DataType::Int32)));
    let rows = changed(&rows, &["fans"], &|array| Some(cast(&array, &DataType::Float64)));
    let original = read_dimensions(&store, &schema()).unwrap();
    write_foreign(&path, &rows, 7);
    assert_eq!(read_dimensions(&store, &schema()).unwrap(), original);
}

fn written() -> (tempfile::TempDir, Store, std::path::PathBuf) {
    let (folder, store) = on_disk();
    let rows: Vec<_> = (0..50).map(|id| (id, vec![id; id as usize % 3], id as f32)).collect();
    write_dimensions(&tables(&rows), &store).unwrap();
    let path = store.root().join("channels.parquet");
    (folder, store, path)
}

#[test]
fn names_stand_beside_ids_and_may_be_missing() {
    let (_folder, store, path) = written();
    let names = |field: &str| read_names(&store, Group::Channel, field);
    assert!(names("channel_id").unwrap().is_empty());
    let rows = rows_of(&path);
    let with = |column: ArrayRef| {
        let (mut fields, mut columns) = (rows.schema().fields().to_vec(), rows.columns().to_vec());
        fields.push(Arc::new(ArrowField::new("channel_name", column.data_type().clone(), true)));
        columns.push(column);
        let rows = RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), columns).unwrap();
        write_foreign(&path, &rows, 7);
    };
    let titles = (0..50).map(|id| (id != 12).then(|| format!("Room {id}")));
    with(Arc::new(titles.collect::<StringArray>()));
    let found = names("channel_id").unwrap();
    assert_eq!((found.len(), found[&49].as_str(), found.get(&12)), (49, "Room 49", None));
    assert!(names("category_id").unwrap().is_empty());
    let original = read_dimensions(&store, &schema()).unwrap();
    assert_eq!(original.channels.len(), 50, "whoever reads the table passes names over");
    with(Arc::new(UInt64Array::from_iter_values(0..50)));
    let told = names("channel_id").unwrap_err().to_string();
    assert!(told.contains("channels.parquet: column channel_name: "), "{told}");
    assert!(told.contains("text"), "{told}");
}

#[test]
fn wrong_tables_are_named() {
    let (_folder, store, path) = written();
    let rows = rows_of(&path);
    let read = || read_dimensions(&store, &schema());
    let message = || {
        let text = read().unwrap_err().to_string();
        assert_eq!(text.lines().count(), 1, "{text}");
        text
    };
    write_foreign(&path, &changed(&rows, &["category_id"], &|_| None), 10);
    assert!(message().contains("channels.parquet: column category_id: is missing"));
    write_foreign(&path, &changed(&rows, &["fans"], &|array| Some(with_null(&array, 12))), 10);
    assert!(message().contains("channels.parquet: row 12: fans: is null"));
    let twice = |_| {
        let ids = (0..50).map(|id| if id == 31 { 3 } else { id });
        Some(Arc::new(UInt64Array::from_iter_values(ids)) as arrow::array::ArrayRef)
    };
    write_foreign(&path, &changed(&rows, &["channel_id"], &twice), 10);
    assert!(message().contains("channels.parquet: row 31: channel_id: 3 stands in row 3 already"));
    fs_err::remove_file(&path).unwrap();
    assert!(message().contains("channels.parquet: no such table; the schema has channel fields"));
}

#[test]
fn a_table_cut_short_is_an_error_at_every_length() {
    let (_folder, store, path) = written();
    let whole = fs_err::read(&path).unwrap();
    for length in 0..whole.len() {
        fs_err::write(&path, &whole[..length]).unwrap();
        let error = read_dimensions(&store, &schema()).unwrap_err();
        assert!(matches!(error, Error::Parquet { .. }), "{length}: {error}");
    }
}

#[test]
fn a_table_without_fields_may_be_missing() {
    let (_folder, store, _) = written();
    fs_err::remove_file(store.root().join("users.parquet")).unwrap();
    assert!(read_dimensions(&store, &schema()).unwrap().users.is_empty());
}
