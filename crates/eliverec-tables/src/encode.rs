//! Feeds to Arrow columns, the inverse of `decode`.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float32Array, ListArray, RecordBatch, StructArray,
    TimestampMillisecondArray, UInt16Array, UInt64Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use eliverec_core::feed::{Column, Events, Labels};
use eliverec_core::schema::{Group, Kind};
use eliverec_core::{Feed, Schema};

use crate::arrow_schema::{CANDIDATES, CHANNELS, PRODUCTS, element, struct_fields};

/// Events, candidates and ids of lists in a feed: what its size grows with.
pub(crate) fn values(feed: &Feed) -> usize {
    let listed = |column: &Column| match column {
        Column::Lists { ids, .. } => ids.len(),
        Column::Ids(_) | Column::Numbers(_) => 0,
    };
    let groups = Group::ALL.into_iter().flat_map(|group| feed.columns(group));
    let entities = feed.products.age_s.len() + feed.channels.age_s.len() + feed.impressions();
    entities + groups.map(listed).sum::<usize>()
}

/// The feeds as rows of the columns that [`crate::arrow_schema::feed_columns`] gives. They must fit the schema.
pub(crate) fn record_batch(
    schema: &Schema,
    columns: &SchemaRef,
    feeds: &[Feed],
) -> Result<RecordBatch, ArrowError> {
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(columns.fields().len());
    for column in columns.fields() {
        let structs = |arrays| structs(column.data_type(), arrays);
        arrays.push(match column.name().as_str() {
            "request_id" => {
                Arc::new(UInt64Array::from_iter_values(feeds.iter().map(|f| f.request_id)))
            }
            "user_id" => Arc::new(UInt64Array::from_iter_values(feeds.iter().map(|f| f.user_id))),
            "ts" => {
                let times = feeds.iter().map(|f| f.ts_ms);
                Arc::new(TimestampMillisecondArray::from_iter_values(times).with_timezone("UTC"))
            }
            "user" => Arc::new(structs(declared(schema, &[Group::User], feeds)?)?),
            "context" => Arc::new(structs(declared(schema, &[Group::Context], feeds)?)?),
            "products" => {
                let mut arrays = declared(schema, &PRODUCTS, feeds)?;
                arrays.push(ages(feeds, |feed| &feed.products));
                lists(structs(arrays)?, feeds.iter().map(|f| f.products.age_s.len()))?
            }
            "channels" => {
                let mut arrays = declared(schema, &CHANNELS, feeds)?;
                arrays.push(ages(feeds, |feed| &feed.channels));
                lists(structs(arrays)?, feeds.iter().map(|f| f.channels.age_s.len()))?
            }
            _ => {
                let mut arrays = declared(schema, &CANDIDATES, feeds)?;
                arrays.extend(labels(feeds));
                lists(structs(arrays)?, feeds.iter().map(Feed::impressions))?
            }
        });
    }
    RecordBatch::try_new(SchemaRef::clone(columns), arrays)
}

fn structs(kind: &DataType, arrays: Vec<ArrayRef>) -> Result<StructArray, ArrowError> {
    let fields = struct_fields(kind).cloned().unwrap_or_default();
    StructArray::try_new(fields, arrays, None)
}

fn lists(
    structs: StructArray,
    lengths: impl ExactSizeIterator<Item = usize>,
) -> Result<ArrayRef, ArrowError> {
    let element = element(DataType::Struct(structs.fields().clone()));
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(Arc::new(ListArray::try_new(element, offsets, Arc::new(structs), None)?))
}

/// One array per field of the groups, over the entities of all feeds.
fn declared(
    schema: &Schema,
    groups: &[Group],
    feeds: &[Feed],
) -> Result<Vec<ArrayRef>, ArrowError> {
    let mut arrays = Vec::new();
    for group in groups {
        for (i, field) in schema.fields(*group).iter().enumerate() {
            let columns = feeds.iter().map(|feed| &feed.columns(*group)[i]);
            arrays.push(concatenated(&field.kind, columns)?);
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

fn ages(feeds: &[Feed], events: impl Fn(&Feed) -> &Events) -> ArrayRef {
    let ages = feeds.iter().flat_map(|feed| events(feed).age_s.iter().copied());
    Arc::new(Float32Array::from_iter_values(ages))
}

fn labels(feeds: &[Feed]) -> [ArrayRef; 5] {
    let all = |label: fn(&Labels) -> &[Option<bool>]| -> ArrayRef {
        let values = feeds.iter().flat_map(|feed| label(&feed.candidates.labels).iter().copied());
        Arc::new(values.collect::<BooleanArray>())
    };
    let positions = feeds.iter().flat_map(|feed| feed.candidates.position.iter().copied());
    let labels = || feeds.iter().map(|feed| &feed.candidates.labels);
    let watched: Vec<bool> = labels().flat_map(|labels| labels.watched.iter().copied()).collect();
    let stays = labels().flat_map(|labels| labels.stay_s.iter().copied());
    [
        Arc::new(positions.collect::<UInt16Array>()),
        Arc::new(BooleanArray::from(watched)),
        Arc::new(stays.collect::<Float32Array>()),
        all(|labels| &labels.bag_click),
        all(|labels| &labels.product_click),
    ]
}
