//! Values of entities, from the tables into the columns of a feed.

use eliverec_core::Dimension;
use eliverec_core::feed::Column;

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
                let row = products.row_at(*product, at_ms);
                if let Some((row, Column::Ids(known))) =
                    row.map(|row| (row, &products.columns()[i]))
                {
                    ids.push(known[row]);
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
        Column::Ids(ids) => ids.push(0),
        Column::Numbers(numbers) => numbers.push(0.0),
        Column::Lists { ends, ids } => ends.push(ids.len() as u32),
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
            ids.extend(entities.map(|id| table.row_at(id, at_ms).map_or(0, |row| known[row])));
        }
        (Column::Numbers(numbers), Column::Numbers(known)) => {
            numbers
                .extend(entities.map(|id| table.row_at(id, at_ms).map_or(0.0, |row| known[row])));
        }
        (Column::Lists { ends, ids }, Column::Lists { ends: known_ends, ids: known }) => {
            for row in entities.map(|id| table.row_at(id, at_ms)) {
                if let Some(row) = row {
                    let start = row.checked_sub(1).map_or(0, |before| known_ends[before] as usize);
                    ids.extend_from_slice(&known[start..known_ends[row] as usize]);
                }
                ends.push(ids.len() as u32);
            }
        }
        // A table's columns have the kinds of the schema's fields.
        _ => {}
    }
}
