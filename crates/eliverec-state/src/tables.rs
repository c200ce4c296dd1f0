//! The tables of users, products and channels in memory.

use eliverec_core::Dimensions;
use eliverec_core::schema::Group;

use crate::error::Error;
use crate::record::{Table, Upsert};

/// The tables, and when they last changed.
#[derive(Clone, Debug)]
pub(crate) struct Tables {
    /// Every upsert up to here is in them.
    pub(crate) position: u64,
    /// The number of the last upsert, 0 if there was none.
    pub(crate) changed: u64,
    pub(crate) dimensions: Dimensions,
    /// How often each table of [`TABLES`] lost rows; otherwise rows only come behind those that are there.
    rewritten: [u64; 3],
}

const TABLES: [Table; 3] = [Table::Users, Table::Products, Table::Channels];

impl Tables {
    pub(crate) const fn new(position: u64, changed: u64, dimensions: Dimensions) -> Self {
        Self { position, changed, dimensions, rewritten: [0; 3] }
    }

    /// Gives rows other values, but for what is in the tables already.
    ///
    /// # Errors
    /// Values that do not fit their table.
    pub(crate) fn upsert(&mut self, upserts: &[(u64, &Upsert)]) -> Result<(), Error> {
        for (index, (sequence, upsert)) in upserts.iter().enumerate() {
            if *sequence <= self.position {
                continue;
            }
            let Some(table) = self.dimensions.table_mut(upsert.table.group()) else { continue };
            let wrong = |source| Error::Row { index, id: upsert.id, source };
            table.upsert(upsert.id, upsert.available_at_ms, &upsert.values).map_err(wrong)?;
            let rows = table.len();
            table.forget_older();
            if table.len() < rows {
                let of = TABLES.iter().zip(&mut self.rewritten);
                of.filter(|(of, _)| **of == upsert.table).for_each(|(_, count)| *count += 1);
            }
            self.changed = *sequence;
        }
        Ok(())
    }

    /// How often the table of that group lost rows.
    pub(crate) fn rewritten(&self, group: Group) -> u64 {
        let of = TABLES.iter().zip(self.rewritten);
        of.filter(|(of, _)| of.group() == group).map(|(_, count)| count).sum()
    }
}
