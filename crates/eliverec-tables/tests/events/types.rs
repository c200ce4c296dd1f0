//! Every type that can stand for a column of a log.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::datatypes::{DataType, TimeUnit, UInt64Type};
use eliverec_core::Event;
use eliverec_core::event::Scalar;
use eliverec_core::id::text_id;
use eliverec_tables::events::EventBatch;

use crate::feed_files::{cast, changed};
use crate::logs::{one_day, read_strictly, replaced, schema};

fn as_text(array: &ArrayRef) -> ArrayRef {
    let ids = array.as_primitive::<UInt64Type>().iter();
    Arc::new(ids.map(|id| id.map(|id| format!("id {id}"))).collect::<StringArray>())
}

fn hashed(id: u64) -> u64 {
    text_id(&format!("id {id}"))
}

#[test]
fn every_accepted_type_gives_the_same_events() {
    let (_folder, store, path, rows) = one_day(200);
    let original = read_strictly(&store).unwrap();
    let integers =
        [DataType::Int32, DataType::Int64, DataType::UInt32, DataType::Int16, DataType::UInt64];
    let times = [TimeUnit::Microsecond, TimeUnit::Nanosecond, TimeUnit::Millisecond];
    let times = || times.into_iter().map(|unit| DataType::Timestamp(unit, None));
    let mut cases: Vec<(&str, DataType)> = Vec::new();
    for id in ["event_id", "user_id", "channel_id", "product_id", "request_id", "hour"] {
        cases.extend(integers.iter().map(|kind| (id, kind.clone())));
    }
    cases.extend(times().map(|kind| ("ts", kind)));
    cases.extend(times().map(|kind| ("available_at", kind)));
    let dictionary = |key| DataType::Dictionary(Box::new(key), Box::new(DataType::Utf8));
    let texts = [DataType::Utf8, DataType::LargeUtf8, DataType::Utf8View];
    cases.extend(texts.into_iter().chain([dictionary(DataType::UInt8)]).map(|kind| ("kind", kind)));
    cases.extend([DataType::UInt8, DataType::Int32, DataType::Int64].map(|k| ("position", k)));
    cases.push(("load", DataType::Float64));
    for (column, kind) in cases {
        let rows = changed(&rows, &[column], &|array| Some(cast(&array, &kind)));
        replaced(&path, &rows);
        assert_eq!(read_strictly(&store).unwrap(), original, "{column} {kind} in a file");
        let batch = EventBatch::new(&schema(), rows, Path::new("rows")).unwrap();
        let events: Vec<Event> = (0..batch.len()).map(|i| batch.event(i).unwrap()).collect();
        assert_eq!(events, original, "{column} {kind} in memory");
    }
}

#[test]
fn text_ids_are_hashed() {
    let (_folder, store, path, rows) = one_day(200);
    let mut expected = read_strictly(&store).unwrap();
    let mut rows = rows;
    for column in ["event_id", "user_id", "channel_id", "product_id", "request_id", "hour"] {
        rows = changed(&rows, &[column], &|array| Some(as_text(&array)));
    }
    replaced(&path, &rows);
    for event in &mut expected {
        event.event_id = hashed(event.event_id);
        let ids = [
            &mut event.user_id,
            &mut event.channel_id,
            &mut event.product_id,
            &mut event.request_id,
        ];
        ids.into_iter().for_each(|id| *id = id.map(hashed));
        if let Some(Scalar::Id(hour)) = event.context.first_mut() {
            *hour = hashed(*hour);
        }
    }
    assert_eq!(read_strictly(&store).unwrap(), expected);
}

#[test]
fn values_may_be_whole_or_single_precision() {
    let (_folder, store, path, rows) = one_day(200);
    let mut expected = read_strictly(&store).unwrap();
    let float = changed(&rows, &["value"], &|array| Some(cast(&array, &DataType::Float32)));
    replaced(&path, &float);
    expected.iter_mut().for_each(|event| event.value = event.value.map(|x| f64::from(x as f32)));
    assert_eq!(read_strictly(&store).unwrap(), expected);
    let whole = changed(&float, &["value"], &|array| Some(cast(&array, &DataType::Int64)));
    replaced(&path, &whole);
    expected.iter_mut().for_each(|event| event.value = event.value.map(f64::trunc));
    assert_eq!(read_strictly(&store).unwrap(), expected);
}
