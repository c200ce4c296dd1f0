//! What is known of users, products and channels by id, held in memory: the dimension tables beside an event log.
//!
//! A table has the fields of its group in the schema but the id itself. Reading and writing them is others' business.

use crate::error::Error;
use crate::feed::Column;
use crate::schema::{Group, Schema};

pub use crate::dimension::{ALWAYS, Dimension, Value, id_column};

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

/// The groups that have a table.
pub const TABLE_GROUPS: [Group; 3] = [Group::User, Group::Product, Group::Channel];

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

    /// The anchor of a channel, from the column `anchor_id` of its table, if it was known before `at_ms`. An event belongs to
    /// the anchor that is known when it arrives: ask for the millisecond after.
    pub fn anchor_of(&self, channel: u64, at_ms: i64) -> Option<u64> {
        let Column::Ids(anchors) = self.channels.column("anchor_id")? else { return None };
        self.channels.row_at(channel, at_ms).map(|row| anchors[row])
    }

    /// The table of one of [`TABLE_GROUPS`]; `None` for the other groups.
    pub const fn table(&self, group: Group) -> Option<&Dimension> {
        match group {
            Group::User => Some(&self.users),
            Group::Product => Some(&self.products),
            Group::Channel => Some(&self.channels),
            _ => None,
        }
    }

    /// As [`Dimensions::table`], to change it.
    pub const fn table_mut(&mut self, group: Group) -> Option<&mut Dimension> {
        match group {
            Group::User => Some(&mut self.users),
            Group::Product => Some(&mut self.products),
            Group::Channel => Some(&mut self.channels),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Scalar;

    const SCHEMA: &str = r#"
vocabulary = [{ name = "channel" }, { name = "anchor" }]
channel = [
    { name = "channel_id", kind = "categorical", vocabulary = "channel" },
    { name = "anchor_id", kind = "categorical", vocabulary = "anchor" },
]
"#;

    fn tables() -> Dimensions {
        let schema = Schema::parse(SCHEMA).unwrap();
        let rows = [(7, [Scalar::Id(70)]), (8, [Scalar::Id(80)])];
        let channels = Dimension::from_rows(&schema, Group::Channel, rows).unwrap();
        Dimensions { channels, ..Dimensions::empty(&schema).unwrap() }
    }

    #[test]
    fn a_row_is_known_after_its_moment() {
        let mut tables = tables();
        tables.channels.upsert(7, 100, &[Value::Id(71)]).unwrap();
        tables.channels.upsert(9, 100, &[Value::Id(90)]).unwrap();
        tables.channels.upsert(7, 200, &[Value::Id(72)]).unwrap();
        tables.channels.upsert(7, 200, &[Value::Id(73)]).unwrap();
        let at = |tables: &Dimensions, ms| [7, 8, 9].map(|id| tables.anchor_of(id, ms));
        assert_eq!(at(&tables, 100), [Some(70), Some(80), None]);
        assert_eq!(at(&tables, 101), [Some(71), Some(80), Some(90)]);
        assert_eq!(at(&tables, 201), [Some(73), Some(80), Some(90)]);
        assert!(tables.channels.upsert(7, 150, &[Value::Id(1)]).is_err());
        assert!(tables.channels.upsert(7, 300, &[Value::Number(1.0)]).is_err());
        for moment in 300..500 {
            tables.channels.upsert(7, moment, &[Value::Id(moment as u64)]).unwrap();
        }
        tables.channels.forget_older();
        assert_eq!((tables.channels.len(), tables.anchor_of(7, 500)), (3, Some(499)));
        assert_eq!(tables.anchor_of(8, 500), Some(80));
    }

    #[test]
    fn an_id_has_one_row_of_each_moment() {
        let schema = Schema::parse(SCHEMA).unwrap();
        let table = |moments: [i64; 2]| {
            let columns = vec![Column::Ids(vec![1, 2])];
            let ids = vec![5, 5];
            Dimension::with_moments(&schema, Group::Channel, ids, moments.to_vec(), columns)
        };
        let message = |moments| table(moments).unwrap_err().to_string();
        assert!(message([ALWAYS; 2]).ends_with("5 stands in row 0 already; an id has one row"));
        assert!(message([4, 4]).ends_with("an id has one row of each moment"));
        assert_eq!(table([9, 4]).unwrap().row_at(5, 9), Some(1));
    }
}
