//! Names for people in the tables of a log: a column of text beside a column of ids, `channel_name` beside `channel_id`. Nothing is
//! computed of them; whoever shows channels, products or what they are about shows names where there are some.

use std::collections::HashMap;

use arrow::array::{Array, StructArray};
use eliverec_core::id::IdHash;
use eliverec_core::schema::Group;

use super::dimensions::file_name;
use super::source::ParquetSource;
use super::store::Store;
use crate::decode::Place;
use crate::error::Error;
use crate::parquet_file::located;
use crate::values;

/// Names by id.
pub type Names = HashMap<u64, String, IdHash>;

/// The column of names beside a column of ids: `category_name` of `category_id`.
pub fn name_column(field: &str) -> String {
    format!("{}_name", field.strip_suffix("_id").unwrap_or(field))
}

/// The names of the values of a column of ids of the table of `group`; none if the table, or either column, is not there. Of several
/// rows of one value the last that has a name counts.
///
/// # Errors
/// A table that cannot be read, and columns that are no ids and no text.
pub fn read_names(store: &Store, group: Group, field: &str) -> Result<Names, Error> {
    let (table, column) = (file_name(group), name_column(field));
    let mut names = Names::default();
    let (_, files) = store.list("")?;
    let Some(file) = files.into_iter().find(|file| file.name == table) else {
        return Ok(names);
    };
    let source = ParquetSource::open(store, file)?;
    let has = |name: &str| source.columns().column_with_name(name).is_some();
    if !has(field) || !has(&column) {
        return Ok(names);
    }
    let path = store.path(&table);
    let mut first_row = 0;
    for row_group in 0..source.row_groups() {
        let mut rows = source.row_group(row_group, &[field, &column])?;
        while let Some(rows) = rows.next_rows()? {
            let rows = StructArray::from(rows);
            let ids = Place::Top.read(rows.column_by_name(field), field, values::ids);
            let texts = ids.and_then(|ids| {
                let texts = Place::Top.read(rows.column_by_name(&column), &column, values::texts);
                Ok((ids, texts?))
            });
            let (ids, texts) = texts.map_err(|problem| located(&path, first_row, problem))?;
            let named = ids.iter().zip(texts.iter());
            names.extend(named.filter_map(|(id, text)| Some((*id, text?.to_owned()))));
            first_row += rows.len() as u64;
        }
    }
    Ok(names)
}
