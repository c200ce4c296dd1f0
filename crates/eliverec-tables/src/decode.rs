//! Arrow columns to feeds: types are told apart once per column, every value is checked, and what breaks the contract
//! is named with row, column and list position.

use std::ops::Range;

use arrow::array::{Array, ArrayRef, RecordBatch, StructArray};
use arrow::datatypes::DataType;
use eliverec_core::feed::{Candidates, Column, Events, Labels};
use eliverec_core::schema::{Field, Group, Kind};
use eliverec_core::{Feed, Schema};

use crate::arrow_schema::{CANDIDATES, CHANNELS, PRODUCTS};
use crate::values::{self, Wrong};

/// Why rows cannot become feeds.
#[derive(Debug, PartialEq)]
pub(crate) enum Problem {
    /// A column is missing or of a type that cannot be read.
    Column { field: String, reason: String },
    /// A value breaks the contract; `row` counts from the first row of the batch.
    Value { row: usize, field: String, reason: String },
}

/// Some rows of a feed file, column by column.
#[derive(Debug)]
pub(crate) struct Decoded {
    request_ids: Vec<u64>,
    user_ids: Vec<u64>,
    ts_ms: Vec<i64>,
    groups: [Vec<Column>; Group::ALL.len()],
    products: EventColumns,
    channels: EventColumns,
    candidates: CandidateColumns,
}

#[derive(Debug)]
struct EventColumns {
    starts: Vec<usize>,
    age_s: Vec<f32>,
}

#[derive(Debug)]
struct CandidateColumns {
    starts: Vec<usize>,
    position: Vec<Option<u16>>,
    labels: Labels,
}

impl Decoded {
    /// Decodes rows that hold at least the columns that `schema` declares; others are ignored. A batch without rows
    /// checks the columns alone.
    pub(crate) fn new(schema: &Schema, batch: &RecordBatch) -> Result<Self, Problem> {
        let mut groups = Group::ALL.map(|_| Vec::new());
        let top = Place::Top;
        let request_ids =
            top.read(batch.column_by_name("request_id"), "request_id", values::ids)?;
        let user_ids = top.read(batch.column_by_name("user_id"), "user_id", values::ids)?;
        let ts_ms = top.read(batch.column_by_name("ts"), "ts", values::times_ms)?;
        for group in [Group::User, Group::Context] {
            if !schema.fields(group).is_empty() {
                let name = group.name();
                let array = top.read(batch.column_by_name(name), name, values::structs)?;
                groups[group as usize] =
                    Place::Struct(name).columns(&array, schema.fields(group))?;
            }
        }
        let products = events(schema, batch, "products", PRODUCTS, &mut groups)?;
        let channels = events(schema, batch, "channels", CHANNELS, &mut groups)?;
        let candidates = candidates(schema, batch, &mut groups)?;
        Ok(Self { request_ids, user_ids, ts_ms, groups, products, channels, candidates })
    }

    /// Rows.
    pub(crate) fn feeds(&self) -> usize {
        self.request_ids.len()
    }

    /// Row `i` as a feed.
    pub(crate) fn feed(&self, i: usize) -> Feed {
        let columns = |group: Group, rows: &Range<usize>| {
            self.groups[group as usize].iter().map(|column| part(column, rows)).collect()
        };
        let events = |of: &EventColumns, [entity, event]: [Group; 2]| {
            let rows = of.starts[i]..of.starts[i + 1];
            Events {
                entity: columns(entity, &rows),
                event: columns(event, &rows),
                age_s: of.age_s[rows].to_vec(),
            }
        };
        let candidates = &self.candidates;
        let rows = candidates.starts[i]..candidates.starts[i + 1];
        Feed {
            request_id: self.request_ids[i],
            user_id: self.user_ids[i],
            ts_ms: self.ts_ms[i],
            user: columns(Group::User, &(i..i + 1)),
            context: columns(Group::Context, &(i..i + 1)),
            products: events(&self.products, PRODUCTS),
            channels: events(&self.channels, CHANNELS),
            candidates: Candidates {
                channel: columns(Group::Candidate, &rows),
                target: columns(Group::Target, &rows),
                dynamic: columns(Group::Dynamic, &rows),
                position: candidates.position[rows.clone()].to_vec(),
                labels: Labels {
                    watched: candidates.labels.watched[rows.clone()].to_vec(),
                    stay_s: candidates.labels.stay_s[rows.clone()].to_vec(),
                    bag_click: candidates.labels.bag_click[rows.clone()].to_vec(),
                    product_click: candidates.labels.product_click[rows].to_vec(),
                },
            },
        }
    }
}

fn part(column: &Column, rows: &Range<usize>) -> Column {
    match column {
        Column::Ids(ids) => Column::Ids(ids[rows.clone()].to_vec()),
        Column::Numbers(numbers) => Column::Numbers(numbers[rows.clone()].to_vec()),
        Column::Lists { ends, ids } => {
            let first = if rows.start == 0 { 0 } else { ends[rows.start - 1] };
            let own = &ends[rows.clone()];
            let last = own.last().copied().unwrap_or(first);
            Column::Lists {
                ends: own.iter().map(|end| end - first).collect(),
                ids: ids[first as usize..last as usize].to_vec(),
            }
        }
    }
}

fn events(
    schema: &Schema,
    batch: &RecordBatch,
    name: &str,
    of: [Group; 2],
    groups: &mut [Vec<Column>; Group::ALL.len()],
) -> Result<EventColumns, Problem> {
    let (starts, array) = list_of_structs(batch, name)?;
    let place = Place::List(name, &starts);
    for group in of {
        groups[group as usize] = place.columns(&array, schema.fields(group))?;
    }
    let age_s = place.read(array.column_by_name("age_s"), "age_s", values::numbers)?;
    if let Some(i) = age_s.iter().position(|age| *age < 0.0) {
        let reason =
            format!("{} is not an age; a history holds only events before the request", age_s[i]);
        return Err(place.value("age_s", i, None, reason));
    }
    Ok(EventColumns { starts, age_s })
}

fn candidates(
    schema: &Schema,
    batch: &RecordBatch,
    groups: &mut [Vec<Column>; Group::ALL.len()],
) -> Result<CandidateColumns, Problem> {
    let name = "candidates";
    let (starts, array) = list_of_structs(batch, name)?;
    if let Some(row) = starts.windows(2).position(|pair| pair[0] == pair[1]) {
        let reason = "the list is empty; a feed needs at least one candidate".to_owned();
        return Err(Problem::Value { row, field: name.into(), reason });
    }
    let place = Place::List(name, &starts);
    for group in CANDIDATES {
        groups[group as usize] = place.columns(&array, schema.fields(group))?;
    }
    let watched = place.read(array.column_by_name("watched"), "watched", values::booleans)?;
    let clicks = |field| {
        let array = array.column_by_name(field);
        place.optional(array, field, watched.len(), values::optional_booleans)
    };
    let numbers = |field| {
        let array = array.column_by_name(field);
        place.optional(array, field, watched.len(), values::optional_numbers)
    };
    let (bag_click, product_click) = (clicks("bag_click")?, clicks("product_click")?);
    let stay_s = numbers("stay_s")?;
    if let Some(i) = stay_s.iter().position(|stay| stay.is_some_and(|s| s < 0.0)) {
        let stay = stay_s[i].unwrap_or_default();
        let reason = format!("{stay} is not a duration; seconds are not negative");
        return Err(place.value("stay_s", i, None, reason));
    }
    let array = array.column_by_name("position");
    let position = place.optional(array, "position", watched.len(), values::positions)?;
    let labels = Labels { watched, stay_s, bag_click, product_click };
    Ok(CandidateColumns { starts, position, labels })
}

/// Where each row's structs start, and all structs.
fn list_of_structs(batch: &RecordBatch, name: &str) -> Result<(Vec<usize>, StructArray), Problem> {
    let column = batch.column_by_name(name);
    let (starts, elements) = Place::Top.read(column, name, values::lists)?;
    let structs = values::structs(elements.as_ref())
        .map_err(|wrong| Place::List(name, &starts).wrong("", wrong))?;
    Ok((starts, structs))
}

/// What a column's values belong to, to name them in errors.
#[derive(Clone, Copy)]
pub(crate) enum Place<'a> {
    /// The rows themselves.
    Top,
    /// A struct per row.
    Struct(&'a str),
    /// A list of structs per row, and where each row's starts.
    List(&'a str, &'a [usize]),
}

impl Place<'_> {
    /// Reads a column that must be there.
    pub(crate) fn read<T>(
        self,
        array: Option<&ArrayRef>,
        field: &str,
        read: impl Fn(&dyn Array) -> Result<T, Wrong>,
    ) -> Result<T, Problem> {
        let array = array.ok_or_else(|| {
            let reason = "is missing; every file needs it".to_owned();
            Problem::Column { field: self.column(field), reason }
        })?;
        read(array.as_ref()).map_err(|wrong| self.wrong(field, wrong))
    }

    /// Reads a column that the source may not know: `None` everywhere if it is not there.
    fn optional<T: Clone>(
        self,
        array: Option<&ArrayRef>,
        field: &str,
        count: usize,
        read: impl Fn(&dyn Array) -> Result<Vec<Option<T>>, Wrong>,
    ) -> Result<Vec<Option<T>>, Problem> {
        match array {
            Some(_) => self.read(array, field, read),
            None => Ok(vec![None; count]),
        }
    }

    /// Reads the columns of a group.
    pub(crate) fn columns(
        self,
        array: &StructArray,
        fields: &[Field],
    ) -> Result<Vec<Column>, Problem> {
        let column = |field: &Field| {
            let array = array.column_by_name(&field.name);
            self.read(array, &field.name, |array| {
                Ok(match field.kind {
                    Kind::Categorical { .. } => Column::Ids(values::ids(array)?),
                    Kind::Bucket { .. } | Kind::Dense { .. } => {
                        Column::Numbers(values::numbers(array)?)
                    }
                    Kind::Multi { .. } => id_lists(array)?,
                })
            })
        };
        fields.iter().map(column).collect()
    }

    fn wrong(self, field: &str, wrong: Wrong) -> Problem {
        match wrong {
            Wrong::Type { expected, found } => Problem::Column {
                field: self.column(field),
                reason: format!("expected {expected}, found {found}"),
            },
            Wrong::Value { index, inner, reason } => self.value(field, index, inner, reason),
        }
    }

    /// The problem of value `index` (over all rows) of a column, or of element `inner` of that value's list.
    fn value(self, field: &str, index: usize, inner: Option<usize>, reason: String) -> Problem {
        let (row, mut place) = match self {
            Self::Top => (index, field.to_owned()),
            Self::Struct(name) => (index, joined(name, field)),
            Self::List(name, starts) => {
                let row = starts.partition_point(|start| *start <= index) - 1;
                (row, joined(&format!("{name}[{}]", index - starts[row]), field))
            }
        };
        if let Some(inner) = inner {
            place = format!("{place}[{inner}]");
        }
        Problem::Value { row, field: place, reason }
    }

    fn column(self, field: &str) -> String {
        match self {
            Self::Top => field.to_owned(),
            Self::Struct(name) | Self::List(name, _) => joined(name, field),
        }
    }
}

fn joined(name: &str, field: &str) -> String {
    if field.is_empty() { name.to_owned() } else { format!("{name}.{field}") }
}

fn id_lists(array: &dyn Array) -> Result<Column, Wrong> {
    let (starts, elements) = values::lists(array)?;
    let ids = values::ids(elements.as_ref()).map_err(|wrong| match wrong {
        Wrong::Type { found, .. } => Wrong::Type {
            expected: "a list of integers or text",
            found: format!("a list of {found}"),
        },
        Wrong::Value { index: at, reason, .. } => {
            let index = starts.partition_point(|start| *start <= at) - 1;
            Wrong::Value { index, inner: Some(at - starts[index]), reason }
        }
    })?;
    Ok(Column::Lists { ends: starts[1..].iter().map(|end| *end as u32).collect(), ids })
}

/// The columns that [`Decoded::new`] looks at, as (column, field of its structs).
pub(crate) fn wanted(schema: &Schema) -> Vec<(&str, Vec<&str>)> {
    let fields = |groups: &[Group], more: &[&'static str]| -> Vec<&str> {
        let declared = groups.iter().flat_map(|group| schema.fields(*group));
        declared.map(|field| field.name.as_str()).chain(more.iter().copied()).collect()
    };
    vec![
        ("request_id", vec![]),
        ("user_id", vec![]),
        ("ts", vec![]),
        ("user", fields(&[Group::User], &[])),
        ("context", fields(&[Group::Context], &[])),
        ("products", fields(&PRODUCTS, &["age_s"])),
        ("channels", fields(&CHANNELS, &["age_s"])),
        (
            "candidates",
            fields(&CANDIDATES, &["position", "watched", "stay_s", "bag_click", "product_click"]),
        ),
    ]
}

/// Whether a type is one that a column of structs can have, so that its fields can be picked one by one.
pub(crate) fn is_nested(kind: &DataType) -> bool {
    matches!(kind, DataType::Struct(_) | DataType::List(_))
}
