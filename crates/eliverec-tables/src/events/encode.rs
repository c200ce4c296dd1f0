//! Events to Arrow columns: values are appended as they come, so that no event is held twice.

use std::sync::{Arc, LazyLock};

use arrow::array::{
    ArrayRef, DictionaryArray, Float32Builder, Float64Builder, Int32Array, RecordBatch,
    StringArray, TimestampMillisecondBuilder, UInt16Builder, UInt64Builder,
};
use arrow::datatypes::{Int32Type, SchemaRef};
use arrow::error::ArrowError;
use eliverec_core::event::{Event, EventKind, Scalar};
use eliverec_core::schema::Kind;
use eliverec_core::{Schema, schema::Field};

/// The names of the kinds, in their order.
static KINDS: LazyLock<ArrayRef> =
    LazyLock::new(|| Arc::new(StringArray::from_iter_values(EventKind::ALL.map(EventKind::name))));

/// Events on their way to a row group.
#[derive(Debug)]
pub(super) struct EventColumns {
    event_id: UInt64Builder,
    ts: TimestampMillisecondBuilder,
    available_at: TimestampMillisecondBuilder,
    kind: Vec<i32>,
    user_id: UInt64Builder,
    channel_id: UInt64Builder,
    product_id: UInt64Builder,
    request_id: UInt64Builder,
    position: UInt16Builder,
    value: Float64Builder,
    context: Vec<ContextColumn>,
}

#[derive(Debug)]
enum ContextColumn {
    Ids(UInt64Builder),
    Numbers(Float32Builder),
}

impl EventColumns {
    pub(super) fn new(schema: &Schema) -> Self {
        // Without room ahead: a log may have events of very many days waiting, a few of each.
        let ids = || UInt64Builder::with_capacity(0);
        let column = |field: &Field| match field.kind {
            Kind::Categorical { .. } => ContextColumn::Ids(ids()),
            _ => ContextColumn::Numbers(Float32Builder::with_capacity(0)),
        };
        Self {
            event_id: ids(),
            ts: TimestampMillisecondBuilder::with_capacity(0),
            available_at: TimestampMillisecondBuilder::with_capacity(0),
            kind: Vec::new(),
            user_id: ids(),
            channel_id: ids(),
            product_id: ids(),
            request_id: ids(),
            position: UInt16Builder::with_capacity(0),
            value: Float64Builder::with_capacity(0),
            context: schema.context.iter().map(column).collect(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.kind.len()
    }

    /// Adds an event that [`check_context`] has passed.
    pub(super) fn push(&mut self, event: &Event) {
        self.event_id.append_value(event.event_id);
        self.ts.append_value(event.ts_ms);
        let late = event.available_at_ms != event.ts_ms;
        self.available_at.append_option(late.then_some(event.available_at_ms));
        self.kind.push(event.kind as i32);
        self.user_id.append_option(event.user_id);
        self.channel_id.append_option(event.channel_id);
        self.product_id.append_option(event.product_id);
        self.request_id.append_option(event.request_id);
        self.position.append_option(event.position);
        self.value.append_option(event.value);
        for (i, column) in self.context.iter_mut().enumerate() {
            match (column, event.context.get(i)) {
                (ContextColumn::Ids(ids), Some(Scalar::Id(id))) => ids.append_value(*id),
                (ContextColumn::Ids(ids), _) => ids.append_null(),
                (ContextColumn::Numbers(numbers), Some(Scalar::Number(x))) => {
                    numbers.append_value(*x);
                }
                (ContextColumn::Numbers(numbers), _) => numbers.append_null(),
            }
        }
    }

    /// The events as rows of the columns of [`super::layout::event_columns`].
    pub(super) fn into_batch(mut self, columns: &SchemaRef) -> Result<RecordBatch, ArrowError> {
        let keys = Int32Array::from(self.kind);
        let kinds = DictionaryArray::<Int32Type>::try_new(keys, Arc::clone(&KINDS))?;
        let mut arrays: Vec<ArrayRef> = vec![
            Arc::new(self.event_id.finish()),
            Arc::new(self.ts.finish().with_timezone("UTC")),
            Arc::new(self.available_at.finish().with_timezone("UTC")),
            Arc::new(kinds),
            Arc::new(self.user_id.finish()),
            Arc::new(self.channel_id.finish()),
            Arc::new(self.product_id.finish()),
            Arc::new(self.request_id.finish()),
            Arc::new(self.position.finish()),
            Arc::new(self.value.finish()),
        ];
        for column in &mut self.context {
            arrays.push(match column {
                ContextColumn::Ids(ids) => Arc::new(ids.finish()),
                ContextColumn::Numbers(numbers) => Arc::new(numbers.finish()),
            });
        }
        RecordBatch::try_new(SchemaRef::clone(columns), arrays)
    }
}
