//! Values of entities, from the tables into the columns of a feed.

use eliverec_core::Dimension;
use eliverec_core::feed::Column;
use eliverec_core::no_row::{NO_ROW_ID, NO_ROW_NUMBER};

/// Column of a product: its id or a column of its table.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Of {
    Id,
    Table(usize),
}

/// Adds the list of what is on sale.
pub(crate) fn push_bag(
    column: &mut Column,
    products: &Dimension,
    at_ms: i64,
    of: Of,
    on_sale: &[u64],
) {
    let Column::Lists { ends, ids } = column else { return };
    for product in on_sale {
        match of {
            Of::Id => ids.push(*product),
            Of::Table(i) => {
                if let Column::Ids(known) = &products.columns()[i] {
                    let row = products.row_at(*product, at_ms);
                    ids.push(row.map_or(NO_ROW_ID, |row| known[row]));
                }
            }
        }
    }
    ends.push(ids.len() as u32);
}

/// Adds numbers to a column of numbers.
pub(crate) fn extend_numbers(column: &mut Column, values: impl IntoIterator<Item = f32>) {
    if let Column::Numbers(numbers) = column {
        numbers.extend(values);
    }
}

/// Adds what stands for an entity that there is not.
pub(crate) fn push_unknown(column: &mut Column) {
    match column {
        Column::Ids(ids) => ids.push(NO_ROW_ID),
        Column::Numbers(numbers) => numbers.push(NO_ROW_NUMBER),
        Column::Lists { ends, ids } => {
            ids.push(NO_ROW_ID);
            ends.push(ids.len() as u32);
        }
    }
}

/// Adds the values of some entities, as they were known before `at_ms`.
pub(crate) fn extend(
    column: &mut Column,
    table: &Dimension,
    at_ms: i64,
    of: Of,
    entities: impl IntoIterator<Item = u64>,
) {
    let entities = entities.into_iter();
    let Of::Table(i) = of else {
        if let Column::Ids(ids) = column {
            ids.extend(entities);
        }
        return;
    };
    match (column, &table.columns()[i]) {
        (Column::Ids(ids), Column::Ids(known)) => {
            let id = |id| table.row_at(id, at_ms).map_or(NO_ROW_ID, |row| known[row]);
            ids.extend(entities.map(id));
        }
        (Column::Numbers(numbers), Column::Numbers(known)) => {
            let number = |id| table.row_at(id, at_ms).map_or(NO_ROW_NUMBER, |row| known[row]);
            numbers.extend(entities.map(number));
        }
        (Column::Lists { ends, ids }, Column::Lists { ends: known_ends, ids: known }) => {
            for row in entities.map(|id| table.row_at(id, at_ms)) {
                if let Some(row) = row {
                    let start = row.checked_sub(1).map_or(0, |before| known_ends[before] as usize);
                    ids.extend_from_slice(&known[start..known_ends[row] as usize]);
                } else {
                    ids.push(NO_ROW_ID);
                }
                ends.push(ids.len() as u32);
            }
        }
        // A table's columns have the kinds of the schema's fields.
        _ => {}
    }
}
