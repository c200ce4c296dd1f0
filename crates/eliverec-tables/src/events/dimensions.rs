//! The dimension tables beside a log: what is known of users, products and channels, by id, held in memory.
//!
//! A table has the column `user_id`, `product_id` or `channel_id`, and the fields of that group of the schema but the
//! id itself, in the types of a feed file.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StructArray, UInt64Array};
use arrow::datatypes::{DataType, Field as ArrowField, Schema as ArrowSchema};
use eliverec_core::Schema;
use eliverec_core::event::Scalar;
use eliverec_core::feed::Column;
use eliverec_core::id::IdHash;
use eliverec_core::schema::{Field, Group};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::source::ParquetSource;
use super::store::Store;
use crate::arrow_schema;
use crate::decode::Place;
use crate::encode;
use crate::error::Error;
use crate::read::located;
use crate::values;

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
const GROUPS: [Group; 3] = [Group::User, Group::Product, Group::Channel];

fn id_column(group: Group) -> String {
    format!("{}_id", group.name())
}

fn file_name(group: Group) -> String {
    format!("{}s.parquet", group.name())
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
    /// Two rows of one id, columns that do not fit the schema, and numbers that are not finite.
    pub fn new(
        schema: &Schema,
        group: Group,
        ids: Vec<u64>,
        columns: Vec<Column>,
    ) -> Result<Self, Error> {
        Self::of(schema, group, ids, columns, Path::new(&file_name(group)))
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
        let path = PathBuf::from(file_name(group));
        if N != fields.len() {
            let reason = format!("{N} columns, the schema declares {}", fields.len());
            return Err(Error::Column { path, field: group.name().into(), reason });
        }
        let (mut ids, mut columns) = (Vec::new(), Column::empty_group(&fields));
        for (id, values) in rows {
            for ((field, column), value) in fields.iter().zip(&mut columns).zip(values) {
                match (column, value) {
                    (Column::Ids(ids), Scalar::Id(id)) => ids.push(id),
                    (Column::Numbers(numbers), Scalar::Number(x)) => numbers.push(x),
                    _ => {
                        let reason = format!("{value:?} is not of its kind {:?}", field.kind);
                        let (row, field) = (ids.len() as u64, field.name.clone());
                        return Err(Error::Value { path, row, field, reason });
                    }
                }
            }
            ids.push(id);
        }
        Self::of(schema, group, ids, columns, &path)
    }

    fn of(
        schema: &Schema,
        group: Group,
        ids: Vec<u64>,
        columns: Vec<Column>,
        path: &Path,
    ) -> Result<Self, Error> {
        let fields = Self::fields_of(schema, group);
        let wrong = |field: &str, reason: String| Error::Column {
            path: path.into(),
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
        }
        let mut rows = HashMap::with_capacity_and_hasher(ids.len(), IdHash::default());
        for (row, id) in ids.iter().enumerate() {
            if let Some(first) = rows.insert(*id, row as u32) {
                let reason = format!("{id} stands in row {first} already; an id has one row");
                let field = id_column(group);
                return Err(Error::Value { path: path.into(), row: row as u64, field, reason });
            }
        }
        Ok(Self { group, fields, ids, columns, rows })
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

    /// Writes it into a log in place of the one that was there.
    fn write(&self, store: &Store) -> Result<(), Error> {
        let name = file_name(self.group);
        let failed = |e: &dyn std::fmt::Display| {
            Error::directory(&store.path(&name), format!("cannot write: {e}"))
        };
        let mut columns = vec![ArrowField::new(id_column(self.group), DataType::UInt64, false)];
        let mut arrays: Vec<ArrayRef> = vec![Arc::new(UInt64Array::from(self.ids.clone()))];
        for (field, column) in self.fields.iter().zip(&self.columns) {
            columns.push(arrow_schema::column(field));
            let array = encode::concatenated(&field.kind, std::iter::once(column));
            arrays.push(array.map_err(|e| failed(&e))?);
        }
        let columns = Arc::new(ArrowSchema::new(columns));
        let rows = RecordBatch::try_new(Arc::clone(&columns), arrays).map_err(|e| failed(&e))?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .build();
        let mut contents = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut contents, columns, Some(properties))
            .map_err(|e| failed(&e))?;
        writer.write(&rows).map_err(|e| failed(&e))?;
        writer.close().map_err(|e| failed(&e))?;
        store.replace(&name, contents)
    }

    fn read(store: &Store, schema: &Schema, group: Group) -> Result<Self, Error> {
        let fields = Self::fields_of(schema, group);
        let (name, id) = (file_name(group), id_column(group));
        let path = store.path(&name);
        let Some(file) = store.list("")?.1.into_iter().find(|file| file.name == name) else {
            if fields.is_empty() {
                return Self::new(schema, group, Vec::new(), Vec::new());
            }
            let reason = format!(
                "no such table; the schema has {} fields, so write one, if only without rows",
                group.name()
            );
            return Err(Error::directory(&path, reason));
        };
        let source = ParquetSource::open(store, file)?;
        let mut wanted = vec![id.as_str()];
        wanted.extend(fields.iter().map(|field| field.name.as_str()));
        let (mut ids, mut columns) = (Vec::new(), Column::empty_group(&fields));
        let mut add = |rows: RecordBatch| {
            let first_row = ids.len() as u64;
            let rows = StructArray::from(rows);
            let more = Place::Top
                .read(rows.column_by_name(&id), &id, values::ids)
                .and_then(|more| Ok((more, Place::Top.columns(&rows, &fields)?)));
            let (more_ids, more) = more.map_err(|problem| located(&path, first_row, problem))?;
            ids.extend(more_ids);
            columns.iter_mut().zip(more).for_each(|(column, more)| extend(column, more));
            Ok::<_, Error>(())
        };
        // Without rows, the columns alone are checked.
        add(RecordBatch::new_empty(Arc::clone(source.columns())))?;
        for row_group in 0..source.row_groups() {
            let mut rows = source.row_group(row_group, &wanted)?;
            while let Some(rows) = rows.next_rows()? {
                add(rows)?;
            }
        }
        Self::of(schema, group, ids, columns, &path)
    }
}

fn extend(column: &mut Column, more: Column) {
    match (column, more) {
        (Column::Ids(ids), Column::Ids(more)) => ids.extend(more),
        (Column::Numbers(numbers), Column::Numbers(more)) => numbers.extend(more),
        (Column::Lists { ends, ids }, Column::Lists { ends: more_ends, ids: more_ids }) => {
            let first = ids.len() as u32;
            ends.extend(more_ends.into_iter().map(|end| first + end));
            ids.extend(more_ids);
        }
        // Both are columns of the same field.
        _ => {}
    }
}

impl Dimensions {
    /// Tables without rows, but for ids that have no fields.
    ///
    /// # Errors
    /// None for a schema that passes its check.
    pub fn empty(schema: &Schema) -> Result<Self, Error> {
        let table = |group| {
            let columns = Column::empty_group(&Dimension::fields_of(schema, group));
            Dimension::new(schema, group, Vec::new(), columns)
        };
        let [users, products, channels] = GROUPS;
        Ok(Self { users: table(users)?, products: table(products)?, channels: table(channels)? })
    }

    /// Writes the tables into a log in place of those that were there, each as a whole.
    ///
    /// # Errors
    /// What the store refuses.
    pub fn write(&self, store: &Store) -> Result<(), Error> {
        [&self.users, &self.products, &self.channels].into_iter().try_for_each(|t| t.write(store))
    }

    /// Reads the tables of a log. A table may be missing if the schema has no fields for it but the id.
    ///
    /// # Errors
    /// A table that is missing or cannot be read, columns that do not fit the schema, nulls, numbers that are not
    /// finite, and two rows of one id.
    pub fn read(store: &Store, schema: &Schema) -> Result<Self, Error> {
        let [users, products, channels] = GROUPS;
        let table = |group| Dimension::read(store, schema, group);
        Ok(Self { users: table(users)?, products: table(products)?, channels: table(channels)? })
    }
}
