//! A trunk's own tables: rows that are inputs of the reference, as are the ids that name them.

use burn::tensor::{Gradients, Tensor, TensorData};
use eliverec_core::batch::Lengths;
use eliverec_core::normalize::Normalization;
use eliverec_core::schema::{Field, Kind, Schema, Vocabulary};
use eliverec_core::toy;
use eliverec_core::unique::UniqueIds;
use eliverec_models::ModelSettings;
use eliverec_models::own::{OwnRows, OwnTable};

use super::batches::{batch, place};
use super::{Reference, device};

/// That of `FIELDS` in `fixed_inputs.py`: the toy schema with a list in every channel and an id in every target.
pub(crate) fn schema() -> Schema {
    let mut schema = toy::schema();
    for name in ["tag", "slot"] {
        schema.vocabulary.push(Vocabulary { name: name.into(), width: None, min_count: 1 });
    }
    let kind = Kind::Multi { vocabulary: "tag".into() };
    schema.channel.push(Field { name: "tags".into(), kind });
    let kind = Kind::Categorical { vocabulary: "slot".into() };
    schema.target.push(Field { name: "slot".into(), kind });
    schema
}

/// The rows of a model's own tables.
pub(crate) struct Tables {
    pub(crate) rows: OwnRows,
    /// Name, distinct ids, and their rows.
    leaves: Vec<(String, Vec<u64>, Tensor<2>)>,
}

impl Tables {
    pub(crate) fn of(r: &Reference, settings: &ModelSettings, schema: &Schema) -> Self {
        let batch = batch(r, schema, &Normalization::default(), Lengths::default());
        let unique = UniqueIds::of(schema, &batch);
        let own = settings.tables(schema).into_iter().skip(schema.vocabulary.len());
        let tables: Vec<OwnTable> = own
            .map(|table| {
                let (_, name) = table.name.split_once('.').unwrap();
                let (name, key, width, law) = (name.into(), table.key, table.width, table.law);
                OwnTable { name, key, width, law }
            })
            .collect();
        let stored = r.tensors.keys().filter(|name| name.starts_with("input.table.")).count();
        assert_eq!(tables.len(), stored, "{}: tables of the model and of the reference", r.name);
        let leaf = |table: &OwnTable| {
            let (ids, _) = unique.of_key(table.key).unwrap();
            let stored = &r.tensors[&format!("input.table.{}", table.name)];
            let row = |id: &u64| {
                &stored.values[place(*id, stored.shape[0]) * table.width..][..table.width]
            };
            let values: Vec<f32> = ids.iter().flat_map(row).copied().collect();
            let leaf = TensorData::new(values, [ids.len(), table.width]);
            let leaf = Tensor::from_data(leaf, &device()).require_grad();
            (table.name.clone(), ids.to_vec(), leaf)
        };
        let leaves: Vec<_> = tables.iter().map(leaf).collect();
        let rows: Vec<Tensor<2>> = leaves.iter().map(|(_, _, leaf)| leaf.clone()).collect();
        Self { rows: OwnRows::new(&tables, &rows, schema, &batch, &unique), leaves }
    }

    /// Those of the rows; a row that no id names has none.
    pub(crate) fn check_gradients(&self, r: &Reference, gradients: &Gradients) {
        for (name, ids, leaf) in &self.leaves {
            let stored = &r.tensors[&format!("input.table.{name}")];
            let mut ours = vec![0.0; stored.values.len()];
            let gradient = leaf.grad(gradients).unwrap_or_else(|| panic!("{}: {name}", r.name));
            let gradient: Vec<f32> = gradient.try_into_vec_as().unwrap();
            let (rows, width) = (stored.shape[0], stored.shape[1]);
            for (id, row) in ids.iter().zip(gradient.chunks(width)) {
                ours[place(*id, rows) * width..][..width].copy_from_slice(row);
            }
            r.check_values(&format!("grad.input.table.{name}"), &ours);
        }
    }
}
