//! Arrow columns to feeds: types are told apart once per column, and what is wrong is named with row, column and list
//! position.

use arrow::array::{Array, ArrayRef, RecordBatch, StructArray};
use arrow::datatypes::{DataType, TimeUnit};
use eliverec_core::columns::{Histories, Parts};
use eliverec_core::feed::{Column, Labels};
use eliverec_core::offsets::Offsets;
use eliverec_core::schema::{Field, Group, Kind};
use eliverec_core::task::{Task, TaskKind};
use eliverec_core::{FeedColumns, Schema};

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

/// What [`decode`] refuses in the first row that it refuses alone: it goes column by column, and `problem`, its first, may be of a later row.
pub(crate) fn first_problem(
    schema: &Schema,
    ts_unit: TimeUnit,
    batch: &RecordBatch,
    problem: Problem,
) -> Problem {
    let of_row = |i: usize| match decode(schema, ts_unit, &batch.slice(i, 1)) {
        Err(Problem::Value { field, reason, .. }) => Some(Problem::Value { row: i, field, reason }),
        _ => None,
    };
    (0..batch.num_rows()).find_map(of_row).unwrap_or(problem)
}

/// Rows that hold at least the columns that `schema` declares; others are ignored. A batch without rows checks the columns
/// alone. `ts_unit` is that of a `ts` that is a plain integer.
///
/// What only the file knows, types and nulls, is checked here; the rest of the contract where [`FeedColumns`] are made.
pub(crate) fn decode(
    schema: &Schema,
    ts_unit: TimeUnit,
    batch: &RecordBatch,
) -> Result<FeedColumns, Problem> {
    let mut groups = Group::ALL.map(|_| Vec::new());
    let top = Place::Top;
    let request_ids = top.read(batch.column_by_name("request_id"), "request_id", values::ids)?;
    let user_ids = top.read(batch.column_by_name("user_id"), "user_id", values::ids)?;
    let times = |array: &dyn Array| values::times_ms(array, ts_unit);
    let ts_ms = top.read(batch.column_by_name("ts"), "ts", times)?;
    for group in [Group::User, Group::Context] {
        if !schema.fields(group).is_empty() {
            let name = group.name();
            let array = top.read(batch.column_by_name(name), name, values::structs)?;
            groups[group as usize] =
                Place::Struct(name).unchecked_columns(&array, schema.fields(group))?;
        }
    }
    let products = histories(schema, batch, PRODUCTS, &mut groups)?;
    let channels = histories(schema, batch, CHANNELS, &mut groups)?;
    let (candidates, position, labels) = candidates(schema, batch, &mut groups)?;
    let parts = Parts {
        request_ids,
        user_ids,
        ts_ms,
        groups,
        products,
        channels,
        candidates,
        position,
        labels,
    };
    FeedColumns::new(schema, parts).map_err(|breach| Problem::Value {
        row: breach.feed,
        field: breach.field,
        reason: breach.reason,
    })
}

fn histories(
    schema: &Schema,
    batch: &RecordBatch,
    of: [Group; 2],
    groups: &mut [Vec<Column>; Group::ALL.len()],
) -> Result<Histories, Problem> {
    let name = of[0].column();
    let declares_none = of.iter().all(|group| schema.fields(*group).is_empty());
    if declares_none && batch.column_by_name(name).is_none() {
        let offsets = Offsets::from_lengths(std::iter::repeat_n(0, batch.num_rows()));
        return Ok(Histories { offsets, age_s: Vec::new() });
    }
    let (starts, array) = list_of_structs(batch, name)?;
    let Some(array) = array else {
        for group in of {
            groups[group as usize] = Column::empty_group(schema.fields(group));
        }
        return Ok(Histories { offsets: offsets(&starts), age_s: Vec::new() });
    };
    let place = Place::List(name, &starts);
    for group in of {
        groups[group as usize] = place.unchecked_columns(&array, schema.fields(group))?;
    }
    let age_s = place.read(array.column_by_name("age_s"), "age_s", values::known_numbers)?;
    Ok(Histories { offsets: offsets(&starts), age_s })
}

fn offsets(starts: &[usize]) -> Offsets {
    Offsets::from_lengths(starts.windows(2).map(|pair| pair[1] - pair[0]))
}

type CandidateColumns = (Offsets, Vec<Option<u16>>, Option<Labels>);

fn candidates(
    schema: &Schema,
    batch: &RecordBatch,
    groups: &mut [Vec<Column>; Group::ALL.len()],
) -> Result<CandidateColumns, Problem> {
    let name = Group::Candidate.column();
    let (starts, array) = list_of_structs(batch, name)?;
    let Some(array) = array else {
        // Every list is empty: for a file without rows a type that fits, for any other the contract's breach.
        for group in CANDIDATES {
            groups[group as usize] = Column::empty_group(schema.fields(group));
        }
        return Ok((offsets(&starts), Vec::new(), None));
    };
    let (place, n) = (Place::List(name, &starts), array.len());
    for group in CANDIDATES {
        groups[group as usize] = place.unchecked_columns(&array, schema.fields(group))?;
    }
    let column = |field: &str| array.column_by_name(field);
    let position = place.optional(column("position"), "position", n, values::positions)?;
    let Some(watched) = column("watched") else { return Ok((offsets(&starts), position, None)) };
    let task = |task: &Task| -> Result<Vec<Option<f32>>, Problem> {
        let name = task.column();
        Ok(match task.kind {
            TaskKind::Duration => {
                place.optional(column(name), name, n, values::optional_numbers)?
            }
            TaskKind::Binary => {
                let known = place.optional(column(name), name, n, values::optional_labels)?;
                let number = |happened: bool| f32::from(u8::from(happened));
                known.into_iter().map(|label| label.map(number)).collect()
            }
        })
    };
    let labels = Labels {
        watched: place.read(Some(watched), "watched", values::labels)?,
        tasks: schema.task.iter().map(task).collect::<Result<_, _>>()?,
    };
    Ok((offsets(&starts), position, Some(labels)))
}

/// Where each row's structs start, and all structs; `None` where tools that saw empty lists only wrote no struct.
pub(crate) fn list_of_structs(
    batch: &RecordBatch,
    name: &str,
) -> Result<(Vec<usize>, Option<StructArray>), Problem> {
    let column = batch.column_by_name(name);
    let (starts, elements) = Place::Top.read(column, name, values::lists)?;
    if values::is_nothing(elements.as_ref()) {
        return Ok((starts, None));
    }
    let structs = values::structs(elements.as_ref())
        .map_err(|wrong| Place::List(name, &starts).wrong("", wrong))?;
    Ok((starts, Some(structs)))
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
        self.columns_with(array, fields, values::numbers)
    }

    /// The same where numbers that are not finite are refused later.
    fn unchecked_columns(
        self,
        array: &StructArray,
        fields: &[Field],
    ) -> Result<Vec<Column>, Problem> {
        self.columns_with(array, fields, values::known_numbers)
    }

    fn columns_with(
        self,
        array: &StructArray,
        fields: &[Field],
        numbers: fn(&dyn Array) -> Result<Vec<f32>, Wrong>,
    ) -> Result<Vec<Column>, Problem> {
        let column = |field: &Field| {
            let array = array.column_by_name(&field.name);
            self.read(array, &field.name, |array| {
                Ok(match field.kind {
                    Kind::Categorical { .. } => Column::Ids(values::ids(array)?),
                    Kind::Bucket { .. } | Kind::Dense { .. } => Column::Numbers(numbers(array)?),
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
                reason: format!(
                    "expected {expected}, found {found}; cast the column where the file is written"
                ),
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

/// The columns that [`decode`] looks at, as (column, field of its structs).
pub(crate) fn wanted(schema: &Schema) -> Vec<(&str, Vec<&str>)> {
    let fields = |groups: &[Group], more: &[&'static str]| -> Vec<&str> {
        let declared = groups.iter().flat_map(|group| schema.fields(*group));
        declared.map(|field| field.name.as_str()).chain(more.iter().copied()).collect()
    };
    let mut candidates = fields(&CANDIDATES, &["position", "watched"]);
    candidates.extend(schema.task.iter().map(Task::column));
    vec![
        ("request_id", vec![]),
        ("user_id", vec![]),
        ("ts", vec![]),
        ("user", fields(&[Group::User], &[])),
        ("context", fields(&[Group::Context], &[])),
        ("products", fields(&PRODUCTS, &["age_s"])),
        ("channels", fields(&CHANNELS, &["age_s"])),
        ("candidates", candidates),
    ]
}

/// Whether a column is of structs, one or a list of them, so that their fields can be picked one by one.
pub(crate) fn is_nested(kind: &DataType) -> bool {
    match kind {
        DataType::Struct(_) => true,
        DataType::List(element) => matches!(element.data_type(), DataType::Struct(_)),
        _ => false,
    }
}
