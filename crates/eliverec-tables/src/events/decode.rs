//! Rows of an event log to events. What a whole column has wrong is an error; what one row has wrong is its fault, so
//! that whoever reads can refuse the file or set the row aside.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use eliverec_core::event::{Event, EventKind, Scalar};
use eliverec_core::schema::Kind;
use eliverec_core::{Schema, schema::Field};
use serde::{Deserialize, Serialize};

use crate::decode::{Place, Problem};
use crate::error::Error;
use crate::parquet_file::located;
use crate::values::{self, Wrong};

/// The kinds of faults, by which rejected rows are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// A value that this kind of event cannot do without is null.
    Missing,
    /// No such kind of event.
    UnknownKind,
    /// Out of range, not finite or negative.
    BadValue,
    /// It happened long after it arrived.
    Clock,
    /// It arrived on another day than its folder's.
    WrongDay,
}

impl Reason {
    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::UnknownKind => "unknown_kind",
            Self::BadValue => "bad_value",
            Self::Clock => "clock",
            Self::WrongDay => "wrong_day",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a row is no event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The first column that is wrong.
    pub column: String,
    /// What kind of fault.
    pub reason: Reason,
    /// What is wrong with this value.
    pub detail: String,
}

impl Fault {
    /// A fault of a column.
    pub(super) fn new(column: &str, reason: Reason, detail: impl Into<String>) -> Self {
        Self { column: column.into(), reason, detail: detail.into() }
    }
}

/// Rows of an event log, from its files or from a query over them.
#[derive(Debug)]
pub struct EventBatch {
    rows: RecordBatch,
    event_id: Nullable<u64>,
    ts_ms: Nullable<i64>,
    available_at_ms: Nullable<i64>,
    kind: StringArray,
    user_id: Nullable<u64>,
    channel_id: Nullable<u64>,
    product_id: Nullable<u64>,
    request_id: Nullable<u64>,
    position: Nullable<i128>,
    value: Nullable<f64>,
    context: Vec<(String, ContextValues)>,
}

#[derive(Debug)]
struct Nullable<T> {
    values: Vec<T>,
    nulls: Option<NullBuffer>,
}

impl<T: Copy> Nullable<T> {
    fn get(&self, i: usize) -> Option<T> {
        let null = self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(i));
        (!null).then(|| self.values[i])
    }
}

#[derive(Debug)]
enum ContextValues {
    Ids(Nullable<u64>),
    Numbers(Nullable<f64>),
}

impl EventBatch {
    /// Takes rows with the columns of [`super::layout::event_columns`], in any of the types that can stand for them:
    /// ids as any integer or text, times as timestamps of any unit, numbers as any number, text also dictionary-encoded
    /// or as a view. Other columns are ignored. `source` is the file that messages name.
    ///
    /// # Errors
    /// [`Error::Column`] for a column that is missing or of another type.
    pub fn new(schema: &Schema, rows: RecordBatch, source: &Path) -> Result<Self, Error> {
        Self::of(schema, rows).map_err(|problem| located(source, 0, problem))
    }

    fn of(schema: &Schema, rows: RecordBatch) -> Result<Self, Problem> {
        let (ids, times) = (values::raw_ids, values::raw_times_ms);
        let context = |field: &Field| {
            let name = field.name.as_str();
            let values = match field.kind {
                Kind::Categorical { .. } => ContextValues::Ids(nullable(&rows, name, ids)?),
                _ => ContextValues::Numbers(nullable(&rows, name, values::raw_doubles)?),
            };
            Ok((field.name.clone(), values))
        };
        Ok(Self {
            event_id: nullable(&rows, "event_id", ids)?,
            ts_ms: nullable(&rows, "ts", times)?,
            available_at_ms: nullable(&rows, "available_at", times)?,
            kind: read(&rows, "kind", values::texts)?,
            user_id: nullable(&rows, "user_id", ids)?,
            channel_id: nullable(&rows, "channel_id", ids)?,
            product_id: nullable(&rows, "product_id", ids)?,
            request_id: nullable(&rows, "request_id", ids)?,
            position: nullable(&rows, "position", values::raw_integers)?,
            value: nullable(&rows, "value", values::raw_doubles)?,
            context: schema.context.iter().map(context).collect::<Result<_, _>>()?,
            rows,
        })
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.rows.num_rows()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether row `i` calls itself of this kind.
    pub(super) fn is_of(&self, i: usize, kind: EventKind) -> bool {
        !self.kind.is_null(i) && self.kind.value(i) == kind.name()
    }

    /// Row `i` as an event that keeps the contract. Context columns of other events than impressions are ignored.
    ///
    /// # Errors
    /// The first fault, in the order of the columns.
    pub fn event(&self, i: usize) -> Result<Event, Fault> {
        let needed =
            |column: &str| Fault::new(column, Reason::Missing, "null, but every event needs it");
        let event_id = self.event_id.get(i).ok_or_else(|| needed("event_id"))?;
        let ts_ms = self.ts_ms.get(i).ok_or_else(|| needed("ts"))?;
        if self.kind.is_null(i) {
            return Err(needed("kind"));
        }
        let name = self.kind.value(i);
        let kind = EventKind::of(name).ok_or_else(|| {
            let kinds = EventKind::ALL.map(EventKind::name).join(", ");
            let detail = format!("no kind {name:?}; there are {kinds}");
            Fault::new("kind", Reason::UnknownKind, detail)
        })?;
        let place = |x: i128| {
            u16::try_from(x).map_err(|_| {
                let detail = format!("{x} is not a position; positions go from 0 to {}", u16::MAX);
                Fault::new("position", Reason::BadValue, detail)
            })
        };
        let event = Event {
            available_at_ms: self.available_at_ms.get(i).unwrap_or(ts_ms),
            user_id: self.user_id.get(i),
            channel_id: self.channel_id.get(i),
            product_id: self.product_id.get(i),
            request_id: self.request_id.get(i),
            position: self.position.get(i).map(place).transpose()?,
            value: self.value.get(i),
            context: match kind {
                EventKind::Impression => self.context(i)?,
                _ => Vec::new(),
            },
            ..Event::new(event_id, ts_ms, kind)
        };
        event.check().map_err(|error| breach(&event, error))?;
        Ok(event)
    }

    fn context(&self, i: usize) -> Result<Vec<Scalar>, Fault> {
        let value = |(name, values): &(String, ContextValues)| {
            let missing =
                || Fault::new(name, Reason::Missing, "null, but every impression needs it");
            match values {
                ContextValues::Ids(ids) => ids.get(i).map(Scalar::Id).ok_or_else(missing),
                ContextValues::Numbers(numbers) => {
                    let written = numbers.get(i).ok_or_else(missing)?;
                    let number = written as f32;
                    if number.is_finite() {
                        return Ok(Scalar::Number(number));
                    }
                    Err(Fault::new(name, Reason::BadValue, values::not_finite(written)))
                }
            }
        };
        self.context.iter().map(value).collect()
    }

    /// Row `i` as text: every column with its value as it was read.
    pub fn text(&self, i: usize) -> String {
        let options = FormatOptions::new().with_null("null");
        let schema = self.rows.schema();
        let columns = schema.fields().iter().zip(self.rows.columns());
        let column = |(field, array): (&Arc<arrow::datatypes::Field>, &ArrayRef)| {
            let value = match ArrayFormatter::try_new(array.as_ref(), &options) {
                Ok(formatter) => formatter.value(i).try_to_string(),
                Err(e) => Err(e),
            };
            // A time far outside the calendar has no text.
            format!("{}={}", field.name(), value.unwrap_or_else(|_| "?".into()))
        };
        columns.map(column).collect::<Vec<_>>().join(", ")
    }
}

fn breach(event: &Event, error: eliverec_core::Error) -> Fault {
    match error {
        eliverec_core::Error::Event { field, reason: detail } => {
            let reason = match field {
                "ts" => Reason::Clock,
                "value" if event.value.is_some() => Reason::BadValue,
                _ => Reason::Missing,
            };
            Fault::new(field, reason, detail)
        }
        other => Fault::new("event_id", Reason::BadValue, other.to_string()),
    }
}

fn nullable<T>(
    rows: &RecordBatch,
    name: &str,
    values: fn(&dyn Array) -> Result<Vec<T>, Wrong>,
) -> Result<Nullable<T>, Problem> {
    read(rows, name, |array| Ok(Nullable { values: values(array)?, nulls: array.logical_nulls() }))
}

fn read<T>(
    rows: &RecordBatch,
    name: &str,
    read: impl Fn(&dyn Array) -> Result<T, Wrong>,
) -> Result<T, Problem> {
    let array = rows.column_by_name(name).map(|array| plain(name, array)).transpose()?;
    Place::Top.read(array.as_ref(), name, read)
}

/// The array in the types that Parquet has: a query engine may have encoded its text otherwise.
fn plain(name: &str, array: &ArrayRef) -> Result<ArrayRef, Problem> {
    let kind = match array.data_type() {
        DataType::Dictionary(_, values) => match values.as_ref() {
            DataType::LargeUtf8 | DataType::Utf8View => &DataType::Utf8,
            other => other,
        },
        DataType::LargeUtf8 | DataType::Utf8View => &DataType::Utf8,
        _ => return Ok(Arc::clone(array)),
    };
    cast(array, kind).map_err(|e| Problem::Column { field: name.into(), reason: e.to_string() })
}
