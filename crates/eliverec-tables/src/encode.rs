//! Feeds to Arrow columns, the inverse of `decode`.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float32Array, ListArray, RecordBatch, StructArray,
    TimestampMillisecondArray, UInt16Array, UInt64Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use eliverec_core::columns::{Histories, Parts};
use eliverec_core::feed::{Column, Labels};
use eliverec_core::offsets::Offsets;
use eliverec_core::schema::{Group, Kind};
use eliverec_core::task::TaskKind;
use eliverec_core::{FeedColumns, Schema};

use crate::arrow_schema::{CANDIDATES, CHANNELS, PRODUCTS, element, struct_fields};

/// Events, candidates and ids of lists in some feeds: what their size grows with.
pub(crate) fn values(feeds: &FeedColumns) -> usize {
    let listed = |column: &Column| match column {
        Column::Lists { ids, .. } => ids.len(),
        Column::Ids(_) | Column::Numbers(_) => 0,
    };
    let parts = feeds.parts();
    let entities = parts.products.age_s.len() + parts.channels.age_s.len() + parts.position.len();
    entities + parts.groups.iter().flatten().map(listed).sum::<usize>()
}

/// The feeds as rows of the columns that [`crate::arrow_schema::feed_columns`] gives.
pub(crate) fn record_batch(
    schema: &Schema,
    columns: &SchemaRef,
    feeds: &FeedColumns,
) -> Result<RecordBatch, ArrowError> {
    let parts = feeds.parts();
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(columns.fields().len());
    for column in columns.fields() {
        let structs = |arrays| structs(column.data_type(), arrays);
        let histories = |groups: &[Group], histories: &Histories| {
            let mut arrays = declared(schema, groups, parts)?;
            arrays.push(Arc::new(Float32Array::from(histories.age_s.clone())));
            lists(structs(arrays)?, &histories.offsets)
        };
        arrays.push(match column.name().as_str() {
            "request_id" => Arc::new(UInt64Array::from(parts.request_ids.clone())),
            "user_id" => Arc::new(UInt64Array::from(parts.user_ids.clone())),
            "ts" => {
                let times = TimestampMillisecondArray::from(parts.ts_ms.clone());
                Arc::new(times.with_timezone("UTC"))
            }
            "user" => Arc::new(structs(declared(schema, &[Group::User], parts)?)?),
            "context" => Arc::new(structs(declared(schema, &[Group::Context], parts)?)?),
            "products" => histories(&PRODUCTS, &parts.products)?,
            "channels" => histories(&CHANNELS, &parts.channels)?,
            _ => {
                let mut arrays = declared(schema, &CANDIDATES, parts)?;
                arrays.push(Arc::new(UInt16Array::from(parts.position.clone())));
                arrays.extend(parts.labels.iter().flat_map(|known| labels(schema, known)));
                lists(structs(arrays)?, &parts.candidates)?
            }
        });
    }
    RecordBatch::try_new(SchemaRef::clone(columns), arrays)
}

fn structs(kind: &DataType, arrays: Vec<ArrayRef>) -> Result<StructArray, ArrowError> {
    let fields = struct_fields(kind).cloned().unwrap_or_default();
    StructArray::try_new(fields, arrays, None)
}

fn lists(structs: StructArray, offsets: &Offsets) -> Result<ArrayRef, ArrowError> {
    let element = element(DataType::Struct(structs.fields().clone()));
    let offsets = OffsetBuffer::from_lengths(offsets.ranges().map(|range| range.len()));
    Ok(Arc::new(ListArray::try_new(element, offsets, Arc::new(structs), None)?))
}

/// One array per field of the groups, over the entities of all feeds.
fn declared(schema: &Schema, groups: &[Group], parts: &Parts) -> Result<Vec<ArrayRef>, ArrowError> {
    let mut arrays = Vec::new();
    for group in groups {
        for (field, column) in schema.fields(*group).iter().zip(parts.columns(*group)) {
            arrays.push(concatenated(&field.kind, std::iter::once(column))?);
        }
    }
    Ok(arrays)
}

/// The values of some columns of one kind, one after the other.
pub(crate) fn concatenated<'a>(
    kind: &Kind,
    columns: impl Iterator<Item = &'a Column>,
) -> Result<ArrayRef, ArrowError> {
    let (mut all_ids, mut all_numbers, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
    for column in columns {
        match column {
            Column::Ids(ids) => all_ids.extend_from_slice(ids),
            Column::Numbers(numbers) => all_numbers.extend_from_slice(numbers),
            Column::Lists { ends, ids } => {
                all_ids.extend_from_slice(ids);
                let starts = std::iter::once(&0).chain(ends);
                lengths.extend(starts.zip(ends).map(|(start, end)| (end - start) as usize));
            }
        }
    }
    Ok(match kind {
        Kind::Categorical { .. } => Arc::new(UInt64Array::from(all_ids)),
        Kind::Bucket { .. } | Kind::Dense { .. } => Arc::new(Float32Array::from(all_numbers)),
        Kind::Multi { .. } => {
            let offsets = OffsetBuffer::from_lengths(lengths);
            let ids = Arc::new(UInt64Array::from(all_ids));
            Arc::new(ListArray::try_new(element(DataType::UInt64), offsets, ids, None)?)
        }
    })
}

fn labels(schema: &Schema, labels: &Labels) -> Vec<ArrayRef> {
    let watched: ArrayRef = Arc::new(BooleanArray::from(labels.watched.clone()));
    let tasks = schema.task.iter().zip(&labels.tasks).map(|(task, labels)| -> ArrayRef {
        match task.kind {
            TaskKind::Duration => Arc::new(Float32Array::from(labels.clone())),
            TaskKind::Binary => {
                let happened = labels.iter().map(|label| label.map(|label| label > 0.5));
                Arc::new(happened.collect::<BooleanArray>())
            }
        }
    });
    std::iter::once(watched).chain(tasks).collect()
}
