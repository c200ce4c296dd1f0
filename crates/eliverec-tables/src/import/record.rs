//! Builds a feed value by value: columns are filled in the order of the schema, and each value names the field it is for.

use eliverec_core::Schema;
use eliverec_core::feed::{Column, Feed, Labels};
use eliverec_core::schema::Field;

/// A value of a field.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Id(u64),
    Number(f32),
    List(&'a [u64]),
}

/// Values with the names of their fields, in schema order.
pub(super) type Row<'a> = &'a [(&'static str, Value<'a>)];

/// What the user did with a candidate. No set knows of product clicks inside a channel.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Label {
    pub(super) watched: bool,
    pub(super) stay_s: Option<f32>,
    pub(super) bag_click: Option<bool>,
}

/// A feed that is being filled.
pub(super) struct FeedInProgress<'a> {
    schema: &'a Schema,
    feed: Feed,
}

impl<'a> FeedInProgress<'a> {
    pub(super) fn new(schema: &'a Schema, request_id: u64, user_id: u64, ts_ms: i64) -> Self {
        Self { schema, feed: Feed { request_id, user_id, ts_ms, ..Feed::empty(schema) } }
    }

    pub(super) fn user(&mut self, row: Row<'_>) {
        append(&self.schema.user, &mut self.feed.user, row);
    }

    pub(super) fn context(&mut self, row: Row<'_>) {
        append(&self.schema.context, &mut self.feed.context, row);
    }

    /// Adds a product click; the oldest comes first.
    pub(super) fn product(&mut self, ts_ms: i64, entity: Row<'_>, event: Row<'_>) {
        let age_s = self.age_s(ts_ms);
        let events = &mut self.feed.products;
        append(&self.schema.product, &mut events.entity, entity);
        append(&self.schema.product_event, &mut events.event, event);
        events.age_s.push(age_s);
    }

    /// Adds a watch; the oldest comes first.
    pub(super) fn channel(&mut self, ts_ms: i64, entity: Row<'_>, event: Row<'_>) {
        let age_s = self.age_s(ts_ms);
        let events = &mut self.feed.channels;
        append(&self.schema.channel, &mut events.entity, entity);
        append(&self.schema.channel_event, &mut events.event, event);
        events.age_s.push(age_s);
    }

    /// Adds a channel shown, at `position` of the list if the source knows it.
    pub(super) fn candidate(
        &mut self,
        channel: Row<'_>,
        target: Row<'_>,
        position: Option<u16>,
        label: Label,
    ) {
        let candidates = &mut self.feed.candidates;
        append(&self.schema.channel, &mut candidates.channel, channel);
        append(&self.schema.target, &mut candidates.target, target);
        candidates.position.push(position);
        let labels = candidates.labels.get_or_insert_with(|| Labels::empty(self.schema));
        let tasks = self.schema.task.iter().map(|task| match task.column() {
            "stay_s" => label.stay_s,
            "bag_click" => label.bag_click.map(|clicked| f32::from(u8::from(clicked))),
            _ => None,
        });
        labels.push(label.watched, tasks);
    }

    pub(super) fn finish(self) -> Feed {
        self.feed
    }

    fn age_s(&self, ts_ms: i64) -> f32 {
        ((self.feed.ts_ms - ts_ms) as f64 / 1000.0) as f32
    }
}

/// Panics where the row is not what the shipped schema declares: that is a mistake in an importer, never in its input.
fn append(fields: &[Field], columns: &mut [Column], row: Row<'_>) {
    assert_eq!(fields.len(), row.len(), "a row has a value for each field");
    for ((field, column), (name, value)) in fields.iter().zip(columns).zip(row) {
        assert_eq!(field.name, *name, "values come in schema order");
        match (column, value) {
            (Column::Ids(ids), Value::Id(id)) => ids.push(*id),
            (Column::Numbers(numbers), Value::Number(number)) => numbers.push(*number),
            (Column::Lists { ends, ids }, Value::List(list)) => {
                ids.extend_from_slice(list);
                ends.push(ids.len() as u32);
            }
            (column, value) => panic!("field {name}: {value:?} does not fit {column:?}"),
        }
    }
}
