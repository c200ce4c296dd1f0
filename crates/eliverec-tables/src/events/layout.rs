//! The columns of an event log, and which schemas a log can have.

use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field as ArrowField, Schema as ArrowSchema, SchemaRef, TimeUnit};
use eliverec_core::dimensions::TABLE_GROUPS;
use eliverec_core::schema::Kind;
use eliverec_core::{Day, Dimension, Schema};

use crate::error::Error;
use crate::id_types::{IdColumn, holds_ids};

/// The columns that every log has, in order; the schema's `context` fields follow.
pub const COLUMNS: [&str; 11] = [
    "event_id",
    "ts",
    "available_at",
    "kind",
    "user_id",
    "channel_id",
    "product_id",
    "request_id",
    "position",
    "value",
    PARTITION,
];

/// The column that the names of the folders stand for; no file has it.
pub const PARTITION: &str = "date";

/// The columns that a writer makes.
pub fn event_columns(schema: &Schema) -> SchemaRef {
    let timestamp = || DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let kind = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let column = |name: &str, kind, nullable| ArrowField::new(name, kind, nullable);
    let mut columns = vec![
        column("event_id", DataType::UInt64, false),
        column("ts", timestamp(), false),
        column("available_at", timestamp(), true),
        column("kind", kind, false),
        column("user_id", DataType::UInt64, true),
        column("channel_id", DataType::UInt64, true),
        column("product_id", DataType::UInt64, true),
        column("request_id", DataType::UInt64, true),
        column("position", DataType::UInt16, true),
        column("value", DataType::Float64, true),
    ];
    columns.extend(schema.context.iter().map(|field| {
        let kind = match field.kind {
            Kind::Categorical { .. } => DataType::UInt64,
            _ => DataType::Float32,
        };
        column(&field.name, kind, true)
    }));
    Arc::new(ArrowSchema::new(columns))
}

/// The columns that hold ids, of events and of the tables beside them.
pub(crate) fn id_columns(schema: &Schema) -> Vec<IdColumn> {
    let own = ["event_id", "request_id"].map(IdColumn::own);
    let ids = TABLE_GROUPS.map(|group| IdColumn::of_id(schema, group, None));
    let context = schema.context.iter().filter(|field| holds_ids(field));
    let context = context.map(|field| IdColumn::of_field(field.name.clone(), None, field));
    let tables = TABLE_GROUPS.into_iter().flat_map(|group| {
        let fields = Dimension::fields_of(schema, group).into_iter().filter(holds_ids);
        let fields =
            fields.map(move |field| IdColumn::of_field(field.name.clone(), Some(group), &field));
        std::iter::once(IdColumn::of_id(schema, group, Some(group))).chain(fields)
    });
    own.into_iter().chain(ids).chain(context).chain(tables).collect()
}

/// Refuses a schema whose `context` fields cannot be columns of a log.
pub(crate) fn check_schema(schema: &Schema, path: &Path) -> Result<(), Error> {
    schema.check().map_err(|source| Error::Schema { path: path.into(), source })?;
    for field in &schema.context {
        let reason = if COLUMNS.contains(&field.name.as_str()) {
            "every event log has a column of this name; choose another"
        } else if matches!(field.kind, Kind::Multi { .. }) {
            "an event log has one value of a context field per impression; no multi-valued ones"
        } else {
            continue;
        };
        let field = format!("context.{}", field.name);
        let source = eliverec_core::Error::SchemaField { field, reason: reason.into() };
        return Err(Error::Schema { path: path.into(), source });
    }
    Ok(())
}

/// The folder of the days' folders: what a query engine opens as one table.
pub const EVENTS_FOLDER: &str = "events";

/// How callers write the ids of a log that was written by a program which knows them by 64 bits only. Of a log without it, its
/// files tell.
pub const IDS_FILE: &str = "ids.toml";

/// What `eliverec simulate` writes beside a log: what drove its events.
pub const TRUTH_FILE: &str = "truth.parquet";

/// Which experiments a service ran when, a line of JSON each; no reader of events needs it.
pub const EXPERIMENTS_FILE: &str = "experiments.jsonl";

/// The folder of a day.
pub(crate) fn day_folder(day: Day) -> String {
    format!("{EVENTS_FOLDER}/{PARTITION}={day}")
}

/// The day of a folder; `None` for a folder that is no day's.
pub(crate) fn day_of_folder(folder: &str) -> Option<Result<Day, String>> {
    let name = folder.strip_prefix(EVENTS_FOLDER)?.strip_prefix('/')?;
    let date = name.strip_prefix(PARTITION)?.strip_prefix('=')?;
    Some(date.parse())
}
