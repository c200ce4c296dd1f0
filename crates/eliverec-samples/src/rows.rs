//! The one shape of rows between operators: a key by which the engine spreads them, a place by which it sorts them, and
//! bytes that only the operators read.
//!
//! Whatever a row stands for, one exchange and one sort serve every plan. The place is one 128-bit number, because the
//! engine compares a single fixed-width column natively, and encodes rows of several columns to compare them byte by byte.
//! Rows of one place may come in any order: no operator here tells them apart.

use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, BinaryArray, BinaryBuilder, Decimal128Array, Decimal128Builder, RecordBatch,
    UInt64Array, UInt64Builder,
};
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Field, Schema, SchemaRef};
use datafusion_common::{DataFusionError, Result};

/// The type of [`PLACE`]: it stands for 128 bits, its digits mean nothing.
const PLACE_TYPE: DataType = DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0);

static COLUMNS: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new(KEY, DataType::UInt64, false),
        Field::new(PLACE, PLACE_TYPE, false),
        Field::new("payload", DataType::Binary, false),
    ]))
});

/// The column by which rows are spread.
pub(crate) const KEY: &str = "key";
/// The column by which rows are sorted.
pub(crate) const PLACE: &str = "place";
/// Rows of a batch of events and probes.
pub(crate) const BATCH_ROWS: usize = 8_192;
/// Rows of a batch of whole requests.
pub(crate) const BATCH_REQUESTS: usize = 512;
/// Bytes after which a batch ends early: a merge holds a batch of every sorted run.
const BATCH_BYTES: usize = 512 << 10;

/// The schema of all rows.
pub(crate) fn columns() -> SchemaRef {
    SchemaRef::clone(&COLUMNS)
}

/// What is asked of a user, channel or product at a moment; it stands before the events of that very millisecond.
pub(crate) const PROBE: u8 = 0;
/// What happened to a user, channel or product.
pub(crate) const EVENT: u8 = 1;

/// Added to moments, which lie within the calendar, so that they sort as whole numbers.
const BIAS: i64 = 1 << 61;

/// What one operator hands to the next about one key: an event, an impression or a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    /// User, channel or product.
    pub(crate) key: u64,
    /// See [`Row::new`] and [`Row::request`].
    pub(crate) place: i128,
    /// See [`crate::wire`].
    pub(crate) payload: &'a [u8],
}

impl<'a> Row<'a> {
    /// A row of a key at `at`, milliseconds since 1970 UTC, [`PROBE`] or [`EVENT`].
    pub(crate) const fn new(key: u64, at: i64, rank: u8, payload: &'a [u8]) -> Self {
        let moment = ((at + BIAS) as u64) << 1 | rank as u64;
        Self { key, place: ((key as u128) << 64 | moment as u128) as i128, payload }
    }

    /// A whole request of `user`, which sorts by its moment and then its id.
    pub(crate) const fn request(user: u64, at: i64, request: u64, payload: &'a [u8]) -> Self {
        Self { key: user, place: (at as i128) << 64 | request as i128, payload }
    }

    /// The moment of a row of a key.
    pub(crate) const fn at(&self) -> i64 {
        (self.place as u64 >> 1) as i64 - BIAS
    }

    /// Whether a row of a key is a [`PROBE`].
    pub(crate) const fn is_probe(&self) -> bool {
        self.place as u8 & 1 == PROBE
    }

    /// Moment and id of a request.
    pub(crate) const fn of_request(&self) -> (i64, u64) {
        ((self.place >> 64) as i64, self.place as u64)
    }
}

/// Rows on their way into batches.
#[derive(Debug)]
pub(crate) struct RowsBuilder {
    key: UInt64Builder,
    place: Decimal128Builder,
    payload: BinaryBuilder,
    bytes: usize,
    full: Vec<RecordBatch>,
}

impl Default for RowsBuilder {
    fn default() -> Self {
        Self {
            key: UInt64Builder::new(),
            place: Decimal128Builder::new().with_data_type(PLACE_TYPE),
            payload: BinaryBuilder::new(),
            bytes: 0,
            full: Vec::new(),
        }
    }
}

impl RowsBuilder {
    /// Adds a row.
    pub(crate) fn push(&mut self, row: Row<'_>) -> Result<()> {
        self.key.append_value(row.key);
        self.place.append_value(row.place);
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
        let rows = vec![
            Arc::new(self.key.finish()) as Arc<dyn Array>,
            Arc::new(self.place.finish()),
            Arc::new(self.payload.finish()),
        ];
        // The next batch will be about as large.
        let (count, bytes) = (rows[0].len(), std::mem::take(&mut self.bytes));
        self.key = UInt64Builder::with_capacity(count);
        self.place = Decimal128Builder::with_capacity(count).with_data_type(PLACE_TYPE);
        self.payload = BinaryBuilder::with_capacity(count, bytes);
        self.full.push(RecordBatch::try_new(columns(), rows)?);
        Ok(())
    }
}

/// The rows of a batch.
#[derive(Debug)]
pub(crate) struct Rows<'a> {
    key: &'a UInt64Array,
    place: &'a Decimal128Array,
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
        Ok(Self { key: column(batch, 0)?, place: column(batch, 1)?, payload: column(batch, 2)? })
    }

    /// All rows, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Row<'a>> + use<'a> {
        let Self { key, place, payload } = *self;
        (0..key.len()).map(move |i| Row {
            key: key.value(i),
            place: place.value(i),
            payload: payload.value(i),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_sort_by_key_moment_and_rank() {
        let calendar = [-62_167_219_200_000, -1, 0, 1, 1_717_113_600_000, 253_402_300_799_999];
        for key in [0, 7, u64::MAX] {
            let places = calendar.into_iter().flat_map(|at| {
                [PROBE, EVENT].map(|rank| {
                    let row = Row::new(key, at, rank, &[]);
                    assert_eq!((row.at(), row.is_probe()), (at, rank == PROBE));
                    row.place
                })
            });
            assert!(places.is_sorted_by(|a, b| a < b));
        }
        assert_ne!(Row::new(1, 0, EVENT, &[]).place, Row::new(2, 0, EVENT, &[]).place);
        let requests = calendar.into_iter().flat_map(|at| {
            [0, 1, u64::MAX].map(|id| {
                let row = Row::request(9, at, id, &[]);
                assert_eq!(row.of_request(), (at, id));
                row.place
            })
        });
        assert!(requests.is_sorted_by(|a, b| a < b));
    }
}
