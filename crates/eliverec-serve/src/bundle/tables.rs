//! `tables/`: what is known of users, products and channels, a file each.

use eliverec_core::dimensions::{TABLE_GROUPS, id_column};
use eliverec_core::schema::{Field, Group};
use eliverec_core::{Dimension, Dimensions, Schema};

use super::columns::{ColumnReader, ColumnWriter};

/// The file of a table.
pub(crate) fn file_name(group: Group) -> String {
    format!("tables/{}s.safetensors", group.name())
}

/// The file of each table, with its content: of each id the newest row, since a bundle knows no earlier moments.
pub(crate) fn to_files(dimensions: &Dimensions) -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let Dimensions { users, products, channels } = dimensions;
    let file = |table: &Dimension| {
        let table = table.newest();
        let mut columns = ColumnWriter::default();
        columns.numbers(&id_column(table.group()), table.ids());
        for (field, column) in table.fields().iter().zip(table.columns()) {
            columns.column(&tensor_name(field), column);
        }
        Ok((file_name(table.group()), columns.to_bytes()?))
    };
    [users, products, channels].into_iter().map(file).collect()
}

/// A table from the content of its file; otherwise what is wrong.
pub(crate) fn from_bytes(schema: &Schema, group: Group, bytes: &[u8]) -> Result<Dimension, String> {
    let reader = ColumnReader::new(bytes)?;
    let ids = reader.numbers(&id_column(group))?;
    let fields = Dimension::fields_of(schema, group);
    let columns = fields.iter().map(|field| reader.column(&tensor_name(field), &field.kind));
    let columns = columns.collect::<Result<_, String>>()?;
    Dimension::new(schema, group, ids, columns).map_err(|e| e.to_string())
}

/// The tables from the bytes of their files; `None` if there are none, otherwise the name of the file at fault and why.
pub(crate) fn read<'a>(
    schema: &Schema,
    file: impl Fn(&str) -> Option<&'a [u8]>,
) -> Result<Option<Dimensions>, (String, String)> {
    if TABLE_GROUPS.iter().all(|group| file(&file_name(*group)).is_none()) {
        return Ok(None);
    }
    let table = |group| {
        let name = file_name(group);
        let bytes = file(&name).ok_or_else(|| "is missing beside the other tables".to_owned());
        bytes.and_then(|bytes| from_bytes(schema, group, bytes)).map_err(|reason| (name, reason))
    };
    let [users, products, channels] = TABLE_GROUPS;
    let dimensions =
        Dimensions { users: table(users)?, products: table(products)?, channels: table(channels)? };
    Ok(Some(dimensions))
}

/// A field may be called as the ids are.
fn tensor_name(field: &Field) -> String {
    format!("field.{}", field.name)
}
