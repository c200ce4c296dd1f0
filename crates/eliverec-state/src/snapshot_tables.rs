//! The tables in a snapshot: copied some thousand rows at a time, of which the newest row of each id is written.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::PoisonError;

use eliverec_core::dimensions::TABLE_GROUPS;
use eliverec_core::feed::Column;
use eliverec_core::id::IdHash;
use eliverec_core::schema::Group;
use eliverec_core::{Dimension, Dimensions, Schema};
use serde::{Deserialize, Serialize};

use crate::contended::Contended;
use crate::error::Error;
use crate::pieces::Pieces;
use crate::tables::Tables;

/// Rows of a table that are copied at a time, while it is locked.
const ROWS: usize = 8192;

/// One table as it is written.
#[derive(Serialize, Deserialize)]
struct SavedTable {
    ids: Vec<u64>,
    known_from_ms: Vec<i64>,
    columns: Vec<Column>,
}

/// The tables as they are written.
#[derive(Serialize, Deserialize)]
pub(crate) struct SavedTables {
    /// The number of the last upsert.
    changed: u64,
    tables: Vec<SavedTable>,
}

/// The tables as of one record.
pub(crate) struct CopiedTables {
    /// Every upsert up to this record is in them, and no later one.
    pub(crate) position: u64,
    /// The stamp of the last group applied then.
    pub(crate) stamp_ms: Option<i64>,
    changed: u64,
    tables: Vec<Copied>,
}

/// A table as of one record; it only grows until it is rewritten.
struct Copied {
    group: Group,
    /// How often it had been rewritten.
    rewritten: u64,
    /// The rows that it had.
    rows: usize,
    /// The first of them.
    table: SavedTable,
}

/// Some rows of a table; `None` if they are not what they were.
fn rows_of(
    tables: &Tables,
    group: Group,
    rewritten: u64,
    rows: Range<usize>,
) -> Option<SavedTable> {
    let table = tables.dimensions.table(group).filter(|_| tables.rewritten(group) == rewritten)?;
    let mut columns = Column::empty_group(table.fields());
    for (to, from) in columns.iter_mut().zip(table.columns()) {
        to.extend(from, rows.clone());
    }
    let ids = table.ids()[rows.clone()].to_vec();
    Some(SavedTable { ids, known_from_ms: table.known_from_ms()[rows].to_vec(), columns })
}

impl Copied {
    fn begin(tables: &Tables, group: Group) -> Option<Self> {
        let (rewritten, rows) = (tables.rewritten(group), tables.dimensions.table(group)?.len());
        let table = rows_of(tables, group, rewritten, 0..rows.min(ROWS))?;
        Some(Self { group, rewritten, rows, table })
    }

    /// Copies the other rows; whether they are as they were.
    fn complete(&mut self, pieces: &impl Pieces) -> bool {
        while self.table.ids.len() < self.rows {
            let (group, rewritten, begun) = (self.group, self.rewritten, self.table.ids.len());
            let rows = begun..self.rows.min(begun + ROWS);
            let more = pieces.piece(move |contended| {
                let tables = contended.store.tables.read().unwrap_or_else(PoisonError::into_inner);
                rows_of(&tables, group, rewritten, rows)
            });
            let Some(more) = more else { return false };
            // Here and not there: a column that grows may move all that it has.
            for (to, from) in self.table.columns.iter_mut().zip(&more.columns) {
                to.extend(from, 0..more.ids.len());
            }
            self.table.ids.extend(more.ids);
            self.table.known_from_ms.extend(more.known_from_ms);
        }
        true
    }
}

impl CopiedTables {
    /// Copies the tables as they are at one record, while records go on being applied.
    pub(crate) fn of(pieces: &impl Pieces) -> Self {
        loop {
            let mut copied = pieces.piece(Self::begin);
            if copied.tables.iter_mut().all(|table| table.complete(pieces)) {
                return copied;
            }
        }
    }

    fn begin(contended: &Contended) -> Self {
        let store = &contended.store;
        let tables = store.tables.read().unwrap_or_else(PoisonError::into_inner);
        // Groups with rows hold the tables until they are applied.
        let (position, stamp_ms) = store.with_clock(|clock| (clock.position(), clock.applied_ms()));
        let copied = TABLE_GROUPS.iter().filter_map(|group| Copied::begin(&tables, *group));
        let copied = copied.collect();
        Self { position, stamp_ms, changed: tables.changed, tables: copied }
    }

    /// What is written: the newest row of each id, for what comes after the snapshot asks for no earlier moment.
    pub(crate) fn saved(self) -> SavedTables {
        let tables = self.tables.into_iter().map(|copied| newest(copied.table)).collect();
        SavedTables { changed: self.changed, tables }
    }
}

/// The newest row of each id; of several with one moment the last.
fn newest(table: SavedTable) -> SavedTable {
    let SavedTable { ids, known_from_ms, columns } = &table;
    let is_even = columns.iter().all(|column| column.len() == ids.len());
    if known_from_ms.len() != ids.len() || !is_even {
        // Refused where it is read.
        return table;
    }
    let mut rows: HashMap<u64, usize, IdHash> = HashMap::default();
    for (row, id) in ids.iter().enumerate() {
        let newest = rows.entry(*id).or_insert(row);
        if known_from_ms[row] >= known_from_ms[*newest] {
            *newest = row;
        }
    }
    if rows.len() == ids.len() {
        return table;
    }
    let mut rows: Vec<usize> = rows.into_values().collect();
    rows.sort_unstable();
    let of_column = |from: &Column| {
        let mut column = match from {
            Column::Ids(_) => Column::Ids(Vec::new()),
            Column::Numbers(_) => Column::Numbers(Vec::new()),
            Column::Lists { .. } => Column::Lists { ends: Vec::new(), ids: Vec::new() },
        };
        rows.iter().for_each(|row| column.extend(from, *row..row + 1));
        column
    };
    SavedTable {
        ids: rows.iter().map(|row| ids[*row]).collect(),
        known_from_ms: rows.iter().map(|row| known_from_ms[*row]).collect(),
        columns: columns.iter().map(of_column).collect(),
    }
}

/// The tables of a snapshot in `folder`, as of a record.
pub(crate) fn read_tables(
    folder: &Path,
    schema: &Schema,
    position: u64,
    saved: SavedTables,
) -> Result<Tables, Error> {
    let table = |group: Group, saved: SavedTable| {
        // Those of earlier programs may have several rows of one id and moment.
        let SavedTable { ids, known_from_ms, columns } = newest(saved);
        Dimension::with_moments(schema, group, ids, known_from_ms, columns)
            .map_err(|e| Error::snapshot(&folder.join("tables"), e.to_string()))
    };
    let Ok::<[SavedTable; 3], _>([users, products, channels]) = saved.tables.try_into() else {
        return Err(Error::snapshot(&folder.join("tables"), "does not have three tables"));
    };
    let [of_users, of_products, of_channels] = TABLE_GROUPS;
    let dimensions = Dimensions {
        users: table(of_users, users)?,
        products: table(of_products, products)?,
        channels: table(of_channels, channels)?,
    };
    Ok(Tables::new(position, saved.changed, dimensions))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_row_of_each_id_is_written() {
        let lists = Column::Lists { ends: vec![1, 1, 3, 4, 6], ids: vec![0, 2, 2, 3, 4, 4] };
        let columns = vec![Column::Ids(vec![0, 1, 2, 3, 4]), lists];
        let (ids, known_from_ms) = (vec![7, 8, 7, 9, 8], vec![5, 6, 5, 1, 2]);
        let table = newest(SavedTable { ids, known_from_ms, columns });
        assert_eq!((table.ids, table.known_from_ms), (vec![8, 7, 9], vec![6, 5, 1]));
        let lists = Column::Lists { ends: vec![0, 2, 3], ids: vec![2, 2, 3] };
        assert_eq!(table.columns, [Column::Ids(vec![1, 2, 3]), lists]);
    }
}
