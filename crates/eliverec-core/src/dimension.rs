//! One table of what is known of users, products or channels: columns, and the rows of each id.
//!
//! An id may have several rows, each known from a moment on: a service changes rows while it runs, and what was known at a
//! request is what the newest row said that was known before it.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::event::Scalar;
use crate::feed::Column;
use crate::id::IdHash;
use crate::no_row::{NO_ROW_ID, is_no_number};
use crate::schema::{Field, Group, Schema};

/// One table: columns, and the rows of each id.
#[derive(Clone, Debug)]
pub struct Dimension {
    group: Group,
    fields: Vec<Field>,
    ids: Vec<u64>,
    /// From when each row is known; [`ALWAYS`] for those of a table that nobody changes.
    known_from_ms: Vec<i64>,
    columns: Vec<Column>,
    /// The newest row of each id.
    rows: HashMap<u64, u32, IdHash>,
    /// The row of the same id that was known before; [`NONE`] for the first.
    older: Vec<u32>,
}

/// A row that is known at any moment.
pub const ALWAYS: i64 = i64::MIN;

const RESERVED: &str = "stands for what has no value in a table; write another";

/// No older row.
const NONE: u32 = u32::MAX;

/// The value of one field in one row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// Of a categorical field.
    Id(u64),
    /// Of a bucketised or dense field.
    Number(f32),
    /// Of a multi-valued field.
    Ids(Vec<u64>),
}

impl PartialEq for Dimension {
    fn eq(&self, other: &Self) -> bool {
        // The rows by id follow from the ids.
        (self.group, &self.fields, &self.ids, &self.known_from_ms, &self.columns)
            == (other.group, &other.fields, &other.ids, &other.known_from_ms, &other.columns)
    }
}

/// The column of a table's ids, `user_id`, `product_id` or `channel_id`.
pub fn id_column(group: Group) -> String {
    format!("{}_id", group.name())
}

impl Dimension {
    /// The fields that a table has: those of the group in the schema but the id itself.
    pub fn fields_of(schema: &Schema, group: Group) -> Vec<Field> {
        let id = id_column(group);
        schema.fields(group).iter().filter(|field| field.name != id).cloned().collect()
    }

    /// A table of one of the groups user, product and channel, from ids and one column per field of
    /// [`Dimension::fields_of`], in its order, with one value per id.
    ///
    /// # Errors
    /// Two rows of one id, columns that do not fit the schema, numbers that are not finite, and what stands for no value
    /// ([`crate::no_row`]).
    pub fn new(
        schema: &Schema,
        group: Group,
        ids: Vec<u64>,
        columns: Vec<Column>,
    ) -> Result<Self, Error> {
        let known_from_ms = vec![ALWAYS; ids.len()];
        Self::with_moments(schema, group, ids, known_from_ms, columns)
    }

    /// As [`Dimension::new`], with the moment from which each row is known, milliseconds since 1970 UTC; in any order.
    ///
    /// # Errors
    /// As [`Dimension::new`]; two rows of one id may stand there if their moments differ.
    pub fn with_moments(
        schema: &Schema,
        group: Group,
        ids: Vec<u64>,
        known_from_ms: Vec<i64>,
        columns: Vec<Column>,
    ) -> Result<Self, Error> {
        let fields = Self::fields_of(schema, group);
        let wrong = |field: &str, reason: String| Error::Table {
            table: group.name(),
            row: None,
            field: field.into(),
            reason,
        };
        if columns.len() != fields.len() {
            let reason = format!("{} columns, the schema declares {}", columns.len(), fields.len());
            return Err(wrong(group.name(), reason));
        }
        for (field, column) in fields.iter().zip(&columns) {
            let fits = std::mem::discriminant(column)
                == std::mem::discriminant(&Column::empty(&field.kind));
            if !fits || column.len() != ids.len() {
                let (given, rows) = (column.len(), ids.len());
                let reason =
                    format!("{given} values for {rows} ids, or not of its kind {:?}", field.kind);
                return Err(wrong(&field.name, reason));
            }
            if let Column::Numbers(numbers) = column
                && let Some(x) = numbers.iter().find(|x| !x.is_finite())
            {
                return Err(wrong(&field.name, format!("{x} is not a finite number")));
            }
            let reserved = match column {
                Column::Numbers(numbers) => numbers.iter().position(|x| is_no_number(*x)),
                Column::Ids(ids) => ids.iter().position(|id| *id == NO_ROW_ID),
                Column::Lists { ends, ids } => ids
                    .iter()
                    .position(|id| *id == NO_ROW_ID)
                    .map(|at| ends.partition_point(|end| *end as usize <= at)),
            };
            if let Some(row) = reserved {
                let (row, field) = (Some(row as u64), field.name.clone());
                return Err(Error::Table {
                    table: group.name(),
                    row,
                    field,
                    reason: RESERVED.into(),
                });
            }
        }
        if known_from_ms.len() != ids.len() {
            let reason = format!("{} moments for {} ids", known_from_ms.len(), ids.len());
            return Err(wrong(group.name(), reason));
        }
        let mut rows = HashMap::with_capacity_and_hasher(ids.len(), IdHash::default());
        let mut older = vec![NONE; ids.len()];
        let mut order: Vec<u32> = (0..ids.len() as u32).collect();
        order.sort_by_key(|row| known_from_ms[*row as usize]);
        for row in order {
            let place = row as usize;
            let Some(before) = rows.insert(ids[place], row) else { continue };
            if known_from_ms[before as usize] == known_from_ms[place] {
                let id = ids[place];
                let of_moment = if known_from_ms[place] == ALWAYS { "" } else { " of each moment" };
                let reason =
                    format!("{id} stands in row {before} already; an id has one row{of_moment}");
                let field = id_column(group);
                let row = Some(place as u64);
                return Err(Error::Table { table: group.name(), row, field, reason });
            }
            older[place] = before;
        }
        Ok(Self { group, fields, ids, known_from_ms, columns, rows, older })
    }

    /// Whether `values` can be a row of a table with these fields.
    ///
    /// # Errors
    /// Too many or too few values, one that is not of its field's kind, a number that is not finite, what stands for no value.
    pub fn check_values(group: Group, fields: &[Field], values: &[Value]) -> Result<(), Error> {
        let table = group.name();
        let wrong = |field: &str, reason| {
            Err(Error::Table { table, row: None, field: field.into(), reason })
        };
        if values.len() != fields.len() {
            let reason = format!("{} values, the schema declares {}", values.len(), fields.len());
            return wrong(table, reason);
        }
        for (field, value) in fields.iter().zip(values) {
            match (Column::empty(&field.kind), value) {
                (Column::Numbers(_), Value::Number(x)) if !x.is_finite() => {
                    return wrong(&field.name, format!("{x} is not a finite number"));
                }
                (Column::Numbers(_), Value::Number(x)) if is_no_number(*x) => {
                    return wrong(&field.name, RESERVED.into());
                }
                (Column::Ids(_), Value::Id(NO_ROW_ID)) => {
                    return wrong(&field.name, RESERVED.into());
                }
                (Column::Lists { .. }, Value::Ids(ids)) if ids.contains(&NO_ROW_ID) => {
                    return wrong(&field.name, RESERVED.into());
                }
                (Column::Ids(_), Value::Id(_))
                | (Column::Numbers(_), Value::Number(_))
                | (Column::Lists { .. }, Value::Ids(_)) => {}
                _ => {
                    let reason = format!("{value:?} is not of its kind {:?}", field.kind);
                    return wrong(&field.name, reason);
                }
            }
        }
        Ok(())
    }

    /// Gives an id other values from `known_from_ms` on; of several with one moment the last counts. Moments of an id may not go
    /// back.
    ///
    /// # Errors
    /// As [`Dimension::check_values`], a moment before that of the id's newest row, more rows than 32 bits can count.
    pub fn upsert(&mut self, id: u64, known_from_ms: i64, values: &[Value]) -> Result<(), Error> {
        Self::check_values(self.group, &self.fields, values)?;
        let newest = self.rows.get(&id).copied();
        let newest_ms = newest.map(|row| self.known_from_ms[row as usize]);
        let row = u32::try_from(self.ids.len()).unwrap_or(NONE);
        let reason = if newest_ms.is_some_and(|newest_ms| newest_ms > known_from_ms) {
            format!("{id} has a row of a later moment than {known_from_ms}")
        } else if row == NONE {
            "has as many rows as can be counted".to_owned()
        } else {
            for (column, value) in self.columns.iter_mut().zip(values) {
                push(column, value);
            }
            self.ids.push(id);
            self.known_from_ms.push(known_from_ms);
            self.older.push(match newest {
                Some(replaced) if newest_ms == Some(known_from_ms) => self.older[replaced as usize],
                newest => newest.unwrap_or(NONE),
            });
            self.rows.insert(id, row);
            return Ok(());
        };
        let field = id_column(self.group);
        Err(Error::Table { table: self.group.name(), row: None, field, reason })
    }

    /// Drops all rows but the newest of each id, once they are half of all: what is asked for earlier moments is then unknown.
    pub fn forget_older(&mut self) {
        if self.ids.len() >= 2 * self.rows.len().max(64) {
            *self = self.newest();
        }
    }

    /// The newest row of each id, without those of earlier moments.
    #[must_use]
    pub fn newest(&self) -> Self {
        let mut columns = Column::empty_group(&self.fields);
        let (mut ids, mut known_from_ms) = (Vec::new(), Vec::new());
        for row in 0..self.ids.len() {
            if self.rows[&self.ids[row]] as usize == row {
                for (column, from) in columns.iter_mut().zip(&self.columns) {
                    column.extend(from, row..row + 1);
                }
                ids.push(self.ids[row]);
                known_from_ms.push(self.known_from_ms[row]);
            }
        }
        Self {
            group: self.group,
            fields: self.fields.clone(),
            rows: ids.iter().enumerate().map(|(row, id)| (*id, row as u32)).collect(),
            older: vec![NONE; ids.len()],
            ids,
            known_from_ms,
            columns,
        }
    }

    /// A table of one of the groups user, product and channel, row by row: an id and its values in the order of
    /// [`Dimension::fields_of`].
    ///
    /// # Errors
    /// As [`Dimension::new`], and a value that is not of its field's kind.
    pub fn from_rows<const N: usize>(
        schema: &Schema,
        group: Group,
        rows: impl IntoIterator<Item = (u64, [Scalar; N])>,
    ) -> Result<Self, Error> {
        let fields = Self::fields_of(schema, group);
        let table = group.name();
        if N != fields.len() {
            let reason = format!("{N} columns, the schema declares {}", fields.len());
            return Err(Error::Table { table, row: None, field: table.into(), reason });
        }
        let (mut ids, mut columns) = (Vec::new(), Column::empty_group(&fields));
        for (id, values) in rows {
            for ((field, column), value) in fields.iter().zip(&mut columns).zip(values) {
                match (column, value) {
                    (Column::Ids(ids), Scalar::Id(id)) => ids.push(id),
                    (Column::Numbers(numbers), Scalar::Number(x)) => numbers.push(x),
                    _ => {
                        let reason = format!("{value:?} is not of its kind {:?}", field.kind);
                        let (row, field) = (Some(ids.len() as u64), field.name.clone());
                        return Err(Error::Table { table, row, field, reason });
                    }
                }
            }
            ids.push(id);
        }
        Self::new(schema, group, ids, columns)
    }

    /// Whose table it is: one of [`crate::dimensions::TABLE_GROUPS`].
    pub const fn group(&self) -> Group {
        self.group
    }

    /// How many rows it has.
    pub const fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether it has no row.
    pub const fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The ids, row by row.
    pub fn ids(&self) -> &[u64] {
        &self.ids
    }

    /// From when each row is known, milliseconds since 1970 UTC, or [`ALWAYS`].
    pub fn known_from_ms(&self) -> &[i64] {
        &self.known_from_ms
    }

    /// Its fields, in the order of the schema.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The values of each field, row by row.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The values of the field of that name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        let index = self.fields.iter().position(|field| field.name == name)?;
        self.columns.get(index)
    }

    /// The newest row of an id; `None` if nothing is known of it.
    pub fn row(&self, id: u64) -> Option<usize> {
        self.rows.get(&id).map(|row| *row as usize)
    }

    /// The row of an id that was known before `at_ms`; `None` if nothing was known of it.
    pub fn row_at(&self, id: u64, at_ms: i64) -> Option<usize> {
        let mut row = self.row(id)?;
        while self.known_from_ms[row] >= at_ms && self.known_from_ms[row] != ALWAYS {
            match self.older[row] {
                NONE => return None,
                older => row = older as usize,
            }
        }
        Some(row)
    }
}

fn push(column: &mut Column, value: &Value) {
    match (column, value) {
        (Column::Ids(ids), Value::Id(id)) => ids.push(*id),
        (Column::Numbers(numbers), Value::Number(x)) => numbers.push(*x),
        (Column::Lists { ends, ids }, Value::Ids(more)) => {
            ids.extend(more);
            ends.push(ids.len() as u32);
        }
        // The values were checked.
        _ => {}
    }
}
