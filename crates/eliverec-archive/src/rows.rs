//! Rows of tables that changed on a day, on their way into the tables beside the folders.
//!
//! `samples` needs all moments of a row, and so the tables keep all rows. They are read when the first row of a day comes and written as
//! a whole, so a day takes the memory of these tables, columns of all rows that there ever were, and of one group of the log beside.

use std::collections::BTreeMap;

use eliverec_core::{Dimensions, Schema};
use eliverec_state::{Table, Upsert};
use eliverec_tables::events::{Store, read_dimensions, write_dimensions};

use crate::error::Error;

/// Rows in the order of the log.
pub(crate) struct Rows<'a> {
    store: &'a Store,
    schema: &'a Schema,
    /// `None` before the first row.
    dimensions: Option<Dimensions>,
    /// Those of the newest moment, of which another one of an id may come.
    newest: BTreeMap<(Table, u64), Upsert>,
    added: u64,
}

impl<'a> Rows<'a> {
    pub(crate) const fn new(store: &'a Store, schema: &'a Schema) -> Self {
        Self { store, schema, dimensions: None, newest: BTreeMap::new(), added: 0 }
    }

    /// The next row of the log. Of several of one id in one moment the last counts.
    pub(crate) fn push(&mut self, upsert: Upsert) -> Result<(), Error> {
        let newest = self.newest.first_key_value();
        if newest.is_some_and(|(_, newest)| newest.available_at_ms != upsert.available_at_ms) {
            self.add()?;
        }
        self.newest.insert((upsert.table, upsert.id), upsert);
        Ok(())
    }

    /// Adds the rows of the newest moment, but for those that are in the tables already.
    fn add(&mut self) -> Result<(), Error> {
        if self.newest.is_empty() {
            return Ok(());
        }
        let mut dimensions = match self.dimensions.take() {
            Some(dimensions) => dimensions,
            None => read_dimensions(self.store, self.schema)?,
        };
        for ((table, id), upsert) in std::mem::take(&mut self.newest) {
            let moment = upsert.available_at_ms;
            let Some(table) = dimensions.table_mut(table.group()) else { continue };
            if table.row(id).is_none_or(|row| table.known_from_ms()[row] < moment) {
                table.upsert(id, moment, &upsert.values)?;
                self.added += 1;
            }
        }
        self.dimensions = Some(dimensions);
        Ok(())
    }

    /// Writes the tables, if they have new rows; the number of these.
    pub(crate) fn finish(mut self) -> Result<u64, Error> {
        self.add()?;
        if let Some(dimensions) = self.dimensions.filter(|_| self.added > 0) {
            write_dimensions(&dimensions, self.store)?;
        }
        Ok(self.added)
    }
}

#[cfg(test)]
mod tests {
    use eliverec_core::dimensions::Value;
    use eliverec_tables::events::EventWriter;

    use super::*;

    #[test]
    fn all_moments_are_kept_once_and_of_one_moment_the_last_row() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::local(folder.path()).unwrap();
        let schema = Schema::parse(eliverec_sim::SCHEMA).unwrap();
        EventWriter::create(&store, &schema).unwrap().finish().unwrap();
        write_dimensions(&Dimensions::empty(&schema).unwrap(), &store).unwrap();
        let push = |rows: &[(u64, i64, u64)]| {
            let mut added = Rows::new(&store, &schema);
            for (id, available_at_ms, anchor) in rows {
                let values = vec![Value::Id(*anchor), Value::Id(3)];
                let (table, id, available_at_ms) = (Table::Channels, *id, *available_at_ms);
                added.push(Upsert { table, id, values, available_at_ms }).unwrap();
            }
            added.finish().unwrap()
        };
        let day = [(7, 100, 1), (8, 100, 2), (7, 100, 3), (7, 200, 4), (8, 300, 5)];
        assert_eq!(push(&day), 4);
        let anchors = || {
            let dimensions = read_dimensions(&store, &schema).unwrap();
            assert_eq!(dimensions.channels.len(), 4);
            let of = |(id, ms)| dimensions.anchor_of(id, ms);
            [(7, 101), (7, 201), (8, 101), (8, 301), (8, 100)].map(of)
        };
        let expected = [Some(3), Some(4), Some(2), Some(5), None];
        assert_eq!(anchors(), expected);
        // The day once more, after a kill.
        assert_eq!((push(&day), anchors()), (0, expected));
    }
}
