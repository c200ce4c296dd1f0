//! The one shape of rows between operators: a key by which the engine spreads them, an order, and bytes that only the
//! operators read.
//!
//! Four fixed columns are compared and one is copied, whatever a row stands for, so one exchange and one sort serve
//! every plan; a column per value would make the engine move two dozen columns that it never looks at.

use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, BinaryArray, BinaryBuilder, Int64Array, Int64Builder, RecordBatch, UInt8Array,
    UInt8Builder, UInt64Array, UInt64Builder,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion_common::{DataFusionError, Result};

/// The columns, in order; rows of one key are sorted by `at`, `rank`, `id` (see [`ORDER`]).
static COLUMNS: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("key", DataType::UInt64, false),
        Field::new("at", DataType::Int64, false),
        Field::new("rank", DataType::UInt8, false),
        Field::new("id", DataType::UInt64, false),
        Field::new("payload", DataType::Binary, false),
    ]))
});

/// The columns by which an operator's input is sorted.
pub(crate) const ORDER: [&str; 4] = ["key", "at", "rank", "id"];
/// The columns by which feeds are sorted: moment and request.
pub(crate) const FEED_ORDER: [&str; 2] = ["at", "id"];
/// Rows of a batch.
pub(crate) const BATCH_ROWS: usize = 512;
/// Bytes after which a batch ends early: a merge holds a batch of every sorted run.
const BATCH_BYTES: usize = 512 << 10;

/// The schema of all rows.
pub(crate) fn columns() -> SchemaRef {
    SchemaRef::clone(&COLUMNS)
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    /// User, channel, product or request.
    pub(crate) key: u64,
    /// Milliseconds since 1970 UTC.
    pub(crate) at: i64,
    /// What comes first at one moment.
    pub(crate) rank: u8,
    /// Event or request.
    pub(crate) id: u64,
    /// See [`crate::wire`].
    pub(crate) payload: &'a [u8],
}

/// Rows on their way into batches.
#[derive(Debug, Default)]
pub(crate) struct RowsBuilder {
    key: UInt64Builder,
    at: Int64Builder,
    rank: UInt8Builder,
    id: UInt64Builder,
    payload: BinaryBuilder,
    bytes: usize,
    full: Vec<RecordBatch>,
}

impl RowsBuilder {
    /// Adds a row.
    pub(crate) fn push(&mut self, row: Row<'_>) -> Result<()> {
        self.key.append_value(row.key);
        self.at.append_value(row.at);
        self.rank.append_value(row.rank);
        self.id.append_value(row.id);
        self.payload.append_value(row.payload);
        self.bytes += row.payload.len();
        if self.key.values_slice().len() >= BATCH_ROWS || self.bytes >= BATCH_BYTES {
            self.end_batch()?;
        }
        Ok(())
    }

    /// A full batch, if there is one.
    pub(crate) fn next_full(&mut self) -> Option<RecordBatch> {
        // Few wait at a time, so the order costs nothing.
        (!self.full.is_empty()).then(|| self.full.remove(0))
    }

    /// Makes a batch of what is left.
    pub(crate) fn end_batch(&mut self) -> Result<()> {
        if self.key.values_slice().is_empty() {
            return Ok(());
        }
        self.bytes = 0;
        self.full.push(RecordBatch::try_new(
            columns(),
            vec![
                Arc::new(self.key.finish()),
                Arc::new(self.at.finish()),
                Arc::new(self.rank.finish()),
                Arc::new(self.id.finish()),
                Arc::new(self.payload.finish()),
            ],
        )?);
        Ok(())
    }
}

/// The rows of a batch.
#[derive(Debug)]
pub(crate) struct Rows<'a> {
    key: &'a UInt64Array,
    at: &'a Int64Array,
    rank: &'a UInt8Array,
    id: &'a UInt64Array,
    payload: &'a BinaryArray,
}

impl<'a> Rows<'a> {
    /// # Errors
    /// A batch of other columns, which no operator of this crate makes.
    pub(crate) fn of(batch: &'a RecordBatch) -> Result<Self> {
        fn column<T: Array + 'static>(batch: &RecordBatch, i: usize) -> Result<&T> {
            batch.columns().get(i).and_then(|array| array.as_any().downcast_ref()).ok_or_else(
                || DataFusionError::Internal(format!("column {i} of a row is of another type")),
            )
        }
        Ok(Self {
            key: column(batch, 0)?,
            at: column(batch, 1)?,
            rank: column(batch, 2)?,
            id: column(batch, 3)?,
            payload: column(batch, 4)?,
        })
    }

    /// All rows, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Row<'a>> + use<'a> {
        let Self { key, at, rank, id, payload } = *self;
        (0..key.len()).map(move |i| Row {
            key: key.value(i),
            at: at.value(i),
            rank: rank.value(i),
            id: id.value(i),
            payload: payload.value(i),
        })
    }
}
