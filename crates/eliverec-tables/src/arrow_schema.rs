//! The columns of a feed file as Arrow types, from the fields that a schema declares.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field as ArrowField, Fields, Schema as ArrowSchema, TimeUnit};
use eliverec_core::Schema;
use eliverec_core::schema::{Field, Group, Kind};
use eliverec_core::task::TaskKind;

/// Key of the schema's fingerprint in a file's metadata.
pub(crate) const FINGERPRINT_KEY: &str = "eliverec.schema";
/// Key of the schema's text, so that a mismatch can name the differing fields.
pub(crate) const SCHEMA_TEXT_KEY: &str = "eliverec.schema.toml";

/// The groups whose fields make up the structs of the `products` list.
pub(crate) const PRODUCTS: [Group; 2] = [Group::Product, Group::ProductEvent];
/// The groups whose fields make up the structs of the `channels` list.
pub(crate) const CHANNELS: [Group; 2] = [Group::Channel, Group::ChannelEvent];
/// The groups whose fields make up the structs of the `candidates` list.
pub(crate) const CANDIDATES: [Group; 3] = [Group::Candidate, Group::Target, Group::Dynamic];

/// The columns that a writer makes of feeds with labels or without. Parquet has no struct without fields, so an undeclared
/// `user` or `context` has no column.
pub(crate) fn feed_columns(schema: &Schema, labelled: bool) -> Arc<ArrowSchema> {
    let required = |name: &str, kind| ArrowField::new(name, kind, false);
    let timestamp = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let mut columns = vec![
        required("request_id", DataType::UInt64),
        required("user_id", DataType::UInt64),
        required("ts", timestamp),
    ];
    for group in [Group::User, Group::Context] {
        if !schema.fields(group).is_empty() {
            let fields = declared(schema, &[group]).collect();
            columns.push(required(group.name(), DataType::Struct(fields)));
        }
    }
    for (name, groups) in [("products", PRODUCTS), ("channels", CHANNELS)] {
        let age = required("age_s", DataType::Float32);
        let fields = declared(schema, &groups).chain([age]).collect();
        columns.push(required(name, list_of(DataType::Struct(fields))));
    }
    let position = ArrowField::new("position", DataType::UInt16, true);
    let tasks = schema.task.iter().map(|task| {
        let kind = match task.kind {
            TaskKind::Duration => DataType::Float32,
            TaskKind::Binary => DataType::Boolean,
        };
        ArrowField::new(task.column(), kind, true)
    });
    let watched = required("watched", DataType::Boolean);
    let labels = std::iter::once(watched).chain(tasks).filter(|_| labelled);
    let fields = declared(schema, &CANDIDATES).chain([position]).chain(labels).collect();
    columns.push(required("candidates", list_of(DataType::Struct(fields))));
    Arc::new(ArrowSchema::new(columns))
}

fn declared(schema: &Schema, groups: &[Group]) -> impl Iterator<Item = ArrowField> {
    let fields = groups.iter().flat_map(|group| schema.fields(*group));
    fields.map(column).collect::<Vec<_>>().into_iter()
}

/// The column of a field without nulls.
pub(crate) fn column(field: &Field) -> ArrowField {
    let kind = match field.kind {
        Kind::Categorical { .. } => DataType::UInt64,
        Kind::Bucket { .. } | Kind::Dense { .. } => DataType::Float32,
        Kind::Multi { .. } => list_of(DataType::UInt64),
    };
    ArrowField::new(&field.name, kind, false)
}

/// A list without nulls; its values are called `element`, as the Parquet format asks.
fn list_of(kind: DataType) -> DataType {
    DataType::List(element(kind))
}

/// The field of a list's values.
pub(crate) fn element(kind: DataType) -> Arc<ArrowField> {
    Arc::new(ArrowField::new("element", kind, false))
}

/// A column of a file that is to be read and stands there twice, so that nobody can tell which is meant: its name, with that of
/// the column that it is a field of. `wanted` are columns with the fields of their structs.
pub(crate) fn stands_twice(file: &ArrowSchema, wanted: &[(&str, Vec<&str>)]) -> Option<String> {
    let twice =
        |fields: &Fields, name: &str| fields.iter().filter(|f| f.name() == name).count() > 1;
    wanted.iter().find_map(|(column, fields)| {
        if twice(file.fields(), column) {
            return Some((*column).to_owned());
        }
        let within = struct_fields(file.field_with_name(column).ok()?.data_type())?;
        let field = fields.iter().find(|field| twice(within, field))?;
        Some(format!("{column}.{field}"))
    })
}

/// What is told of a column that stands twice.
pub(crate) const STANDS_TWICE: &str =
    "stands there twice; leave one out, or rename it, where the file is written";

/// The fields of the structs in a list column.
pub(crate) fn struct_fields(kind: &DataType) -> Option<&Fields> {
    match kind {
        DataType::Struct(fields) => Some(fields),
        DataType::List(element)
        | DataType::LargeList(element)
        | DataType::ListView(element)
        | DataType::LargeListView(element)
        | DataType::FixedSizeList(element, _) => struct_fields(element.data_type()),
        _ => None,
    }
}
