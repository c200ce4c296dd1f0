//! A trunk's own embedding tables: declared by its config, kept by the store beside those of the schema's vocabularies, looked up
//! where the trunk says.

use std::collections::BTreeMap;

use burn::tensor::Tensor;
use eliverec_core::batch::{Batch, Offsets, Values};
use eliverec_core::no_row::NO_ROW_ID;
use eliverec_core::schema::{Group, Schema};
use eliverec_core::table::{Key, RowLaw};
use eliverec_core::unique::UniqueIds;

use crate::ops;
use crate::rows::{Rows, indices};

/// A table that a trunk has for itself. It admits ids as the vocabulary does that keys it.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnTable {
    /// Unique in the trunk.
    pub name: String,
    /// Whose rows they are.
    pub key: Key,
    /// Numbers per row.
    pub width: usize,
    /// What they start from.
    pub law: RowLaw,
}

/// The rows of a batch's ids in a trunk's own tables.
#[derive(Clone, Debug, Default)]
pub struct OwnRows {
    /// By name: the key, and the leaf tensor `[u, w]`.
    tables: BTreeMap<String, (Key, Tensor<2>)>,
    /// By group and place of the field in it, where a table has the field's vocabulary for its key.
    fields: BTreeMap<(Group, usize), FieldRows>,
    /// Row of each feed's user `[b]`.
    users: Vec<u32>,
}

/// Where a field's ids stand among the distinct ones.
#[derive(Clone, Debug)]
struct FieldRows {
    vocabulary: usize,
    places: Vec<u32>,
    /// Where the id of what has no value stands, if an entity has it.
    unknown: Option<u32>,
    /// From entity to its ids, for lists.
    lists: Option<Offsets>,
}

impl OwnRows {
    /// Of a batch. `leaves` `[u, w]` in the order of `tables`, each with a row for every distinct id of its key.
    pub fn new(
        tables: &[OwnTable],
        leaves: &[Tensor<2>],
        schema: &Schema,
        batch: &Batch,
        unique: &UniqueIds,
    ) -> Self {
        let mut rows = Self::default();
        if tables.is_empty() {
            return rows;
        }
        rows.users = unique.user_places().to_vec();
        for group in Group::ALL {
            let fields = schema.fields(group).iter().zip(batch.values(group));
            for (i, ((field, values), places)) in fields.zip(unique.places(group)).enumerate() {
                let Some(vocabulary) = schema.vocabulary_of(field) else { continue };
                if !tables.iter().any(|table| table.key == Key::Vocabulary(vocabulary)) {
                    continue;
                }
                let (lists, ids): (_, &[u64]) = match values {
                    Values::Lists { offsets, ids } => (Some(offsets.clone()), ids),
                    Values::Ids(ids) => (None, ids),
                    Values::Numbers(_) => (None, &[]),
                };
                let unknown = ids.iter().position(|id| *id == NO_ROW_ID).map(|id| places[id]);
                let places = places.clone();
                rows.fields.insert((group, i), FieldRows { vocabulary, places, unknown, lists });
            }
        }
        let named = tables.iter().zip(leaves);
        rows.tables =
            named.map(|(table, leaf)| (table.name.clone(), (table.key, leaf.clone()))).collect();
        rows
    }

    /// Rows of `table` for the `field`-th field of `group` `[entities, w]`; the mean over the ids of a list, zero for none.
    ///
    /// # Panics
    /// For a table or a field that the trunk did not declare: its own mistake, which no input can cause.
    pub fn at(&self, table: &str, group: Group, field: usize) -> Tensor<2> {
        let (key, leaf) = self.table(table);
        let rows = self.fields.get(&(group, field));
        let rows = rows.filter(|rows| key == Key::Vocabulary(rows.vocabulary));
        let rows = rows.unwrap_or_else(|| panic!("{table} has no rows for {group:?} {field}"));
        let device = leaf.device();
        let found = leaf.clone().select(0, indices(rows.places.clone(), &device));
        match &rows.lists {
            None => found,
            Some(offsets) => ops::masked_mean(found, &Rows::new(offsets.clone(), &device)),
        }
    }

    /// The distinct rows' numbers that a field's ids name `[ids]`: of two fields of one vocabulary they are equal where the ids are.
    /// `None` for a field whose vocabulary keys no table of the trunk's, or that is a list.
    pub fn places(&self, group: Group, field: usize) -> Option<&[u32]> {
        let rows = self.fields.get(&(group, field)).filter(|rows| rows.lists.is_none());
        rows.map(|rows| rows.places.as_slice())
    }

    /// The number in [`OwnRows::places`] of what has no value, which is like nothing else; `None` where all of a field's ids have.
    pub fn unknown(&self, group: Group, field: usize) -> Option<u32> {
        self.fields.get(&(group, field)).and_then(|rows| rows.unknown)
    }

    /// Rows of `table`, which users key, `[b, w]`.
    ///
    /// # Panics
    /// For a table that the trunk did not declare so.
    pub fn users(&self, table: &str) -> Tensor<2> {
        let (key, leaf) = self.table(table);
        assert!(key == Key::User, "{table} is not keyed by users");
        leaf.clone().select(0, indices(self.users.clone(), &leaf.device()))
    }

    fn table(&self, name: &str) -> (Key, &Tensor<2>) {
        let found = self.tables.get(name);
        let (key, leaf) = found.unwrap_or_else(|| panic!("no own table is named {name}"));
        (*key, leaf)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};
    use eliverec_core::toy;

    use super::*;

    /// Each row is its own id.
    #[test]
    fn rows_stand_where_their_ids_do() {
        let (schema, batch, device) = (toy::schema(), toy::batch(9, 2), Device::flex());
        let unique = UniqueIds::of(&schema, &batch);
        let table =
            |name: &str, key| OwnTable { name: name.into(), key, width: 1, law: RowLaw::Zero };
        let product = schema.vocabulary.iter().position(|v| v.name == "product").unwrap();
        let tables = [table("users", Key::User), table("products", Key::Vocabulary(product))];
        let leaf = |table: &OwnTable| {
            let (ids, _) = unique.of_key(table.key).unwrap();
            let values: Vec<f32> = ids.iter().map(|id| *id as f32).collect();
            Tensor::from_data(TensorData::new(values, [ids.len(), 1]), &device)
        };
        let leaves: Vec<Tensor<2>> = tables.iter().map(leaf).collect();
        let own = OwnRows::new(&tables, &leaves, &schema, &batch, &unique);
        let values = |rows: Tensor<2>| rows.try_into_vec_as::<f32>().unwrap();
        let floats = |ids: &[u64]| ids.iter().map(|id| *id as f32).collect::<Vec<f32>>();
        assert_eq!(values(own.users("users")), floats(&batch.user_ids));
        let Values::Ids(clicked) = &batch.values(Group::Product)[0] else { panic!("ids") };
        assert_eq!(values(own.at("products", Group::Product, 0)), floats(clicked));
        let places = own.places(Group::Product, 0).unwrap();
        let (ids, _) = unique.of_key(Key::Vocabulary(product)).unwrap();
        assert!(places.iter().zip(clicked).all(|(place, id)| ids[*place as usize] == *id));
        assert_eq!(own.places(Group::Channel, 0), None);

        // The products on sale are lists: a mean, and zero for none.
        let Values::Lists { offsets, ids } = &batch.values(Group::Dynamic)[1] else {
            panic!("lists")
        };
        assert_eq!(own.places(Group::Dynamic, 1), None);
        let means = values(own.at("products", Group::Dynamic, 1));
        for (mean, range) in means.iter().zip(offsets.ranges()) {
            let sum: f32 = floats(&ids[range.clone()]).iter().sum();
            assert!((mean - sum / range.len().max(1) as f32).abs() < 1e-4);
        }
    }
}
