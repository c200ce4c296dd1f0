//! What is known of users, products and channels by id, held in memory: the dimension tables beside an event log.
//!
//! A table has the fields of its group in the schema but the id itself. Reading and writing them is others' business.

use std::collections::HashMap;

use crate::error::Error;
use crate::event::Scalar;
use crate::feed::Column;
use crate::id::IdHash;
use crate::no_row::{NO_ROW_ID, is_no_number};
use crate::schema::{Field, Group, Schema};

/// The tables of a log.
#[derive(Clone, Debug, PartialEq)]
pub struct Dimensions {
    /// By `user_id`.
    pub users: Dimension,
    /// By `product_id`.
    pub products: Dimension,
    /// By `channel_id`.
    pub channels: Dimension,
}

/// One table: columns, and the row of each id.
#[derive(Clone, Debug)]
pub struct Dimension {
    group: Group,
    fields: Vec<Field>,
    ids: Vec<u64>,
    columns: Vec<Column>,
    rows: HashMap<u64, u32, IdHash>,
}

impl PartialEq for Dimension {
    fn eq(&self, other: &Self) -> bool {
        // The rows by id follow from the ids.
        (self.group, &self.fields, &self.ids, &self.columns)
            == (other.group, &other.fields, &other.ids, &other.columns)
    }
}

/// The groups that have a table.
pub const TABLE_GROUPS: [Group; 3] = [Group::User, Group::Product, Group::Channel];

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
                let reason = "stands for what has no value in a table; write another".to_owned();
                let (row, field) = (Some(row as u64), field.name.clone());
                return Err(Error::Table { table: group.name(), row, field, reason });
            }
        }
        let mut rows = HashMap::with_capacity_and_hasher(ids.len(), IdHash::default());
        for (row, id) in ids.iter().enumerate() {
            if let Some(first) = rows.insert(*id, row as u32) {
                let reason = format!("{id} stands in row {first} already; an id has one row");
                let field = id_column(group);
                let row = Some(row as u64);
                return Err(Error::Table { table: group.name(), row, field, reason });
            }
        }
        Ok(Self { group, fields, ids, columns, rows })
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

    /// Whose table it is: one of [`TABLE_GROUPS`].
    pub const fn group(&self) -> Group {
        self.group
    }

    /// How many ids it has.
    pub const fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether it has none.
    pub const fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The ids, row by row.
    pub fn ids(&self) -> &[u64] {
        &self.ids
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

    /// The row of an id; `None` if nothing is known of it.
    pub fn row(&self, id: u64) -> Option<usize> {
        self.rows.get(&id).map(|row| *row as usize)
    }
}

impl Dimensions {
    /// Tables without rows.
    ///
    /// # Errors
    /// None for a schema that passes its check.
    pub fn empty(schema: &Schema) -> Result<Self, Error> {
        let table = |group| {
            let columns = Column::empty_group(&Dimension::fields_of(schema, group));
            Dimension::new(schema, group, Vec::new(), columns)
        };
        let [users, products, channels] = TABLE_GROUPS;
        Ok(Self { users: table(users)?, products: table(products)?, channels: table(channels)? })
    }

    /// The anchor of a channel, from the column `anchor_id` of its table, if it is known.
    pub fn anchor_of(&self, channel: u64) -> Option<u64> {
        let Column::Ids(anchors) = self.channels.column("anchor_id")? else { return None };
        self.channels.row(channel).map(|row| anchors[row])
    }
}
