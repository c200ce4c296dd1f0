//! A trunk's own tables: rows that are inputs of the reference, as are the ids that name them.

use burn::tensor::{Gradients, Tensor, TensorData};
use eliverec_core::batch::{Batch, BatchBuilder, Lengths, Offsets};
use eliverec_core::feed::{Column, Feed};
use eliverec_core::no_row::NO_ROW_ID;
use eliverec_core::normalize::Normalization;
use eliverec_core::schema::{Field, Group, Kind, Schema, Vocabulary};
use eliverec_core::toy;
use eliverec_core::unique::UniqueIds;
use eliverec_models::ModelSettings;
use eliverec_models::own::{OwnRows, OwnTable};

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

/// The ids of a tensor; -1 is what has no value.
pub(crate) fn ids(r: &Reference, name: &str) -> Vec<u64> {
    let id = |id: &f32| if *id < 0.0 { NO_ROW_ID } else { *id as u64 };
    r.values(name).iter().map(id).collect()
}

/// The rows of a model's own tables.
pub(crate) struct Tables {
    pub(crate) rows: OwnRows,
    /// Name, distinct ids, and their rows.
    leaves: Vec<(String, Vec<u64>, Tensor<2>)>,
}

impl Tables {
    pub(crate) fn of(r: &Reference, settings: &ModelSettings, schema: &Schema) -> Self {
        let batch = batch(r, schema);
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

/// The row of an id in a table of the reference: the last for what has no value.
fn place(id: u64, rows: usize) -> usize {
    if id == NO_ROW_ID { rows - 1 } else { id as usize }
}

/// Feeds with the reference's ids; numbers have no part in own tables.
fn batch(r: &Reference, schema: &Schema) -> Batch {
    let offsets =
        |name: &str| Offsets::from_lengths(r.values(name).iter().map(|length| *length as usize));
    let candidates = offsets("input.candidate_lengths");
    let watched = offsets("input.live.lengths");
    let normalization = Normalization::default();
    let mut builder = BatchBuilder::new(schema, &normalization, Lengths::default());
    for feed in 0..candidates.feeds() {
        let mut of_feed = Feed::empty(schema);
        (of_feed.request_id, of_feed.user_id) = (feed as u64, feed as u64);
        let fill = |columns: &mut [Column], group: Group, rows: std::ops::Range<usize>| {
            for (column, field) in columns.iter_mut().zip(schema.fields(group)) {
                let name = format!("input.ids.{}.{}", group.name(), field.name);
                match column {
                    Column::Numbers(of) => of.resize(rows.len(), 1.0),
                    Column::Ids(of) if r.has(&name) => of.extend(&ids(r, &name)[rows.clone()]),
                    Column::Ids(of) => of.resize(rows.len(), 0),
                    Column::Lists { ends, ids: of } if r.has(&name) => {
                        let lists = offsets(&format!("{name}.lengths"));
                        for row in rows.clone() {
                            of.extend(&ids(r, &name)[lists.range(row)]);
                            ends.push(of.len() as u32);
                        }
                    }
                    Column::Lists { ends, .. } => ends.resize(rows.len(), 0),
                }
            }
        };
        fill(&mut of_feed.user, Group::User, feed..feed + 1);
        fill(&mut of_feed.context, Group::Context, feed..feed + 1);
        let rows = candidates.range(feed);
        fill(&mut of_feed.candidates.channel, Group::Candidate, rows.clone());
        fill(&mut of_feed.candidates.target, Group::Target, rows.clone());
        fill(&mut of_feed.candidates.dynamic, Group::Dynamic, rows.clone());
        of_feed.candidates.position = vec![None; rows.len()];
        let rows = watched.range(feed);
        fill(&mut of_feed.channels.entity, Group::Channel, rows.clone());
        fill(&mut of_feed.channels.event, Group::ChannelEvent, rows.clone());
        of_feed.channels.age_s = vec![1.0; rows.len()];
        if r.has("input.product.lengths") {
            let rows = offsets("input.product.lengths").range(feed);
            fill(&mut of_feed.products.entity, Group::Product, rows.clone());
            fill(&mut of_feed.products.event, Group::ProductEvent, rows.clone());
            of_feed.products.age_s = vec![1.0; rows.len()];
        }
        builder.push(&of_feed).unwrap();
    }
    builder.finish().unwrap()
}
