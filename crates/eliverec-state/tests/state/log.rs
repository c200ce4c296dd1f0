//! A made-up log: what happens is a function of its number, so that two processes agree on it.

use eliverec_core::dimensions::Value;
use eliverec_core::event::Scalar;
use eliverec_core::schema::Group;
use eliverec_core::{Dimension, Dimensions, Event, EventKind, Schema};
use eliverec_features::{FeatureId, OnSale, Wanted};
use eliverec_state::{Row, StateConfig};

pub(crate) const USERS: u64 = 13;
pub(crate) const CHANNELS: u64 = 7;
/// A minute before midnight: the log goes over to another day soon.
pub(crate) const BEGIN_MS: i64 = 20_000 * 86_400_000 - 60_000;
pub(crate) const BATCH: u64 = 20;

const SCHEMA: &str = r#"
vocabulary = [{ name = "channel" }, { name = "anchor" }]
context = [{ name = "scene", kind = "categorical", vocabulary = "channel" }]
channel = [
    { name = "channel_id", kind = "categorical", vocabulary = "channel" },
    { name = "anchor_id", kind = "categorical", vocabulary = "anchor" },
]
"#;

pub(crate) fn schema() -> Schema {
    Schema::parse(SCHEMA).unwrap()
}

pub(crate) fn dimensions() -> Dimensions {
    let schema = schema();
    let rows = (0..CHANNELS).map(|id| (id, [Scalar::Id(id / 2 + 100)]));
    let channels = Dimension::from_rows(&schema, Group::Channel, rows).unwrap();
    Dimensions { channels, ..Dimensions::empty(&schema).unwrap() }
}

pub(crate) fn config() -> StateConfig {
    StateConfig { gather_ms: 0, segment_records: 300, ..StateConfig::default() }
}

/// All kinds of features.
pub(crate) fn wanted() -> Wanted {
    use FeatureId::{
        AnchorWatches, BagClicks10m, ExposureAgeS, HistoryChannels, Live, ProductsOnSale,
        Viewers60m, WatchAgeS,
    };
    Wanted {
        channel: vec![Viewers60m, BagClicks10m, ProductsOnSale, Live, ExposureAgeS],
        user: vec![HistoryChannels, WatchAgeS],
        anchor: vec![AnchorWatches],
        popularity: true,
        on_sale: OnSale::All,
    }
}

/// When batch `batch` is sent.
pub(crate) fn moment(batch: u64) -> i64 {
    BEGIN_MS + batch as i64 * 1_000
}

/// The event of that number; one in seventeen arrives too late.
pub(crate) fn event(number: u64) -> Event {
    let at_ms = moment(number / BATCH);
    let late_ms = if number % 17 == 3 { 11 * 60_000 } else { (number % 5) as i64 * 1_000 };
    let kinds = EventKind::ALL;
    let kind = kinds[(number / 3 % kinds.len() as u64) as usize];
    let is_impression = kind == EventKind::Impression;
    Event {
        user_id: Some(number % USERS),
        channel_id: Some(number % CHANNELS)
            .filter(|_| !number.is_multiple_of(11) || kind != EventKind::ProductClick),
        product_id: Some(number % 31),
        request_id: Some(number),
        value: Some((number % 90) as f64),
        context: if is_impression { vec![Scalar::Id(1)] } else { Vec::new() },
        ..Event::new(number + 1, at_ms - late_ms, kind)
    }
}

/// A batch, which begins with a copy of an event of the one before.
pub(crate) fn batch(batch: u64) -> Vec<Event> {
    let numbers = batch * BATCH..(batch + 1) * BATCH;
    let copy = (batch * BATCH).checked_sub(1).map(event);
    copy.into_iter().chain(numbers.map(event)).collect()
}

/// Another anchor for a channel, every tenth batch.
pub(crate) fn row(batch: u64) -> Option<Row> {
    let values = vec![Value::Id(batch % 5 + 200)];
    batch.is_multiple_of(10).then_some(Row { id: batch / 10 % CHANNELS, values })
}
