//! Losses, cosines and gradients of the tasks, and the weighting network, against what `reference/tasks.py` computed in float64
//! from the paper's equations. Tolerance: 1e-5 of a tensor's largest element.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use eliverec_core::feed::Column;
use eliverec_core::normalize::Moments;
use eliverec_core::schema::{Field, Kind, Schema, Vocabulary};
use eliverec_core::unique::UniqueIds;
use eliverec_core::{Batch, BatchBuilder, Feed, Lengths, Normalization, Task};
use eliverec_models::draws::Draws;
use eliverec_models::term::{Training, Turn};
use eliverec_models::trace::Recorded;
use eliverec_models::{Model, parameters};

use eliverec_run::{Config, tensor_file};

use super::Weighting;
use super::losses::TaskRows;
use crate::compute::{Computed, with_tasks};
use crate::learner::Learner;
use crate::pass::Pass;
use crate::passes::Passes;
use crate::shards::Shards;

const CONFIG: &str = r#"
seed = 1
[model]
name = "elive"
heads = 2
blocks = 1
ffn_ratio = 2
[input]
width = 8
[tower]
widths = [10, 6]
[heads]
experts = 3
expert_width = 6
gate_hidden = 5
tower_hidden = 4
[tasks]
mode = "vanilla"
"#;

/// The moments that the reference standardises the stay with.
const STAY: Moments = Moments { mean: 3.5, sd: 1.25 };

fn normalization() -> Normalization {
    let durations = [("stay".to_owned(), STAY)].into();
    Normalization { durations, ..Normalization::default() }
}

/// A file of reference values.
pub(super) struct Reference(BTreeMap<String, Recorded>);

impl Reference {
    pub(super) fn read(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference");
        Self(tensor_file::read(&folder.join(name)).unwrap())
    }

    pub(super) fn values(&self, name: &str) -> &[f32] {
        &self.0.get(name).unwrap_or_else(|| panic!("no reference value {name}")).values
    }

    pub(super) fn check(&self, name: &str, ours: &[f32]) {
        let expected = self.values(name);
        assert_eq!(ours.len(), expected.len(), "{name}");
        let largest = expected.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
        for (i, (ours, expected)) in ours.iter().zip(expected).enumerate() {
            let error = (ours - expected).abs();
            assert!(error <= 1e-5 * largest + 1e-7, "{name}[{i}] is {ours}, expected {expected}");
        }
    }

    /// The values of a packed input by feed, given the lengths.
    fn lengths(&self, name: &str) -> Vec<usize> {
        self.values(name).iter().map(|length| *length as usize).collect()
    }
}

/// One categorical field as wide as the model for every entity, so that an entity's vector is a row of its table.
fn schema() -> Schema {
    let names = ["user", "product", "channel", "target", "dynamic"];
    let field = |name: &str| Field {
        name: format!("{name}_id"),
        kind: Kind::Categorical { vocabulary: name.into() },
    };
    let vocabulary = |name: &str| Vocabulary { name: name.into(), width: None, min_count: 1 };
    Schema {
        name: "reference".into(),
        vocabulary: names.map(vocabulary).into(),
        user: vec![field("user")],
        product: vec![field("product")],
        channel: vec![field("channel")],
        target: vec![field("target")],
        dynamic: vec![field("dynamic")],
        ..Schema::default()
    }
}

/// The tables that the ids of a vocabulary name, one after the other.
fn tables(vocabulary: &str) -> &'static [&'static str] {
    match vocabulary {
        "user" => &["context"],
        "product" => &["product.items"],
        "channel" => &["target", "live.items"],
        "target" => &["target_state"],
        _ => &["dynamic"],
    }
}

/// Feeds in which the i-th impression, watch and product click of the whole file has an id of its own.
fn batch(r: &Reference, schema: &Schema) -> Batch {
    let impressions = r.values("input.watched").len();
    let (mut shown, mut watched, mut clicked) = (0, impressions, 0);
    let next = |from: &mut usize, count: usize| {
        let ids = (*from..*from + count).map(|id| id as u64).collect();
        *from += count;
        Column::Ids(ids)
    };
    let normalization = Normalization::default();
    let mut builder = BatchBuilder::new(schema, &normalization, Lengths::default());
    let live = r.lengths("input.live.lengths");
    let product = r.lengths("input.product.lengths");
    for (i, count) in r.lengths("input.candidate_lengths").into_iter().enumerate() {
        let mut feed = Feed::empty(schema);
        (feed.request_id, feed.user_id) = (i as u64, i as u64);
        feed.user[0] = Column::Ids(vec![i as u64]);
        feed.channels.entity[0] = next(&mut watched, live[i]);
        feed.channels.age_s = vec![0.0; live[i]];
        feed.products.entity[0] = next(&mut clicked, product[i]);
        feed.products.age_s = vec![0.0; product[i]];
        let rows = shown..shown + count;
        let ids = next(&mut shown, count);
        let candidates = &mut feed.candidates;
        candidates.channel[0] = ids.clone();
        candidates.target[0] = ids.clone();
        candidates.dynamic[0] = ids;
        candidates.position = vec![None; count];
        let known = |name: &str| {
            let label = |i: usize| Some(r.values(name)[i]).filter(|label| *label >= 0.0);
            rows.clone().map(label).collect::<Vec<_>>()
        };
        let labels = candidates.labels.get_or_insert_default();
        labels.watched = rows.clone().map(|i| r.values("input.watched")[i] > 0.5).collect();
        labels.tasks = ["input.stay", "input.bag_click", "input.product_click"].map(known).into();
        builder.push(&feed).unwrap();
    }
    builder.finish().unwrap()
}

/// From our names to the reference's.
fn reference_name(name: &str) -> String {
    let tasks = Task::paper();
    let task = |place: &str| tasks[place.parse::<usize>().unwrap()].name.as_str();
    match name.split('.').collect::<Vec<_>>()[..] {
        ["trunk", ..] => name.replacen("trunk", "elive", 1),
        ["tower", "layers", layer, kind] => format!("tower.{layer}.{kind}"),
        ["tower", "slopes", layer] => format!("tower.{layer}.slope"),
        ["heads", "gate", "hidden", kind] => format!("heads.gate.hidden_{kind}"),
        ["heads", "gate", "weights", field, kind] => format!("heads.gate.{field}.{kind}"),
        ["heads", "mixture", "experts", kind] => format!("heads.expert_{kind}"),
        ["heads", "mixture", "tasks", k, "gate"] => format!("heads.{}.gate", task(k)),
        ["heads", "mixture", "tasks", k, layer, kind] => {
            format!("heads.{}.{layer}_{kind}", task(k))
        }
        _ => panic!("{name} has no reference name"),
    }
}

struct Fixture {
    reference: Reference,
    schema: Schema,
    batch: Batch,
    unique: UniqueIds,
    width: usize,
}

impl Fixture {
    fn new() -> Self {
        let (reference, schema) = (Reference::read("task_gradients.safetensors"), schema());
        let batch = batch(&reference, &schema);
        let unique = UniqueIds::of(&schema, &batch);
        Self { reference, schema, batch, unique, width: 8 }
    }

    /// The rows of a vocabulary's ids in `kind` (`input` or `grad.input`), in the order of the batch's ids.
    fn rows(&self, kind: &str, v: usize) -> Vec<f32> {
        let tables = tables(&self.schema.vocabulary[v].name).iter();
        let all = tables.map(|table| self.reference.values(&format!("{kind}.{table}")));
        let all: Vec<f32> = all.flatten().copied().collect();
        let row = |id: &u64| &all[*id as usize * self.width..][..self.width];
        self.unique.ids[v].iter().flat_map(row).copied().collect()
    }

    fn compute(&self, settings: &[&str]) -> Computed {
        let settings: Vec<String> = settings.iter().map(|setting| (*setting).into()).collect();
        let config = Config::parse(CONFIG, "reference", &settings).unwrap();
        let device = Device::flex().autodiff();
        let model = Learner::new(&config, &self.schema, &normalization()).unwrap().model;
        let model: Model = parameters::update(model, |name, values| {
            let theirs = format!("param.{}", reference_name(name));
            values.copy_from_slice(self.reference.values(&theirs));
        });
        let leaf = |v: usize| {
            let rows = self.rows("input", v);
            let shape = [rows.len() / self.width, self.width];
            Tensor::from_data(TensorData::new(rows, shape), &device).require_grad()
        };
        let leaves: Vec<Tensor<2>> = (0..self.schema.vocabulary.len()).map(leaf).collect();
        let pass = Pass {
            model: &model,
            schema: &self.schema,
            batch: &self.batch,
            unique: &self.unique,
            leaves: &leaves,
            training: Training::whole(Draws { seed: 1, step: 0 }, Turn::Rest),
            device: &device,
            whole_impressions: self.batch.impressions(),
        };
        let labels = config.tasks.labels;
        let rows = TaskRows::of(&self.batch, labels, &self.schema.task, &normalization());
        let weighting = Weighting::new(&config.tasks, &self.schema.task, config.seed);
        let mut weighting = weighting.unwrap().unwrap();
        let (shards, sizes) = (Shards::here(1), BTreeMap::new());
        let passes = Passes::of_one(pass, &shards, &sizes);
        let labels = rows.all_labels();
        with_tasks(&passes, &config.tasks, (&[rows], &labels), &mut weighting).unwrap()
    }
}

#[test]
fn losses_cosines_and_gradients_in_both_scopes() {
    let fixture = Fixture::new();
    let r = &fixture.reference;
    for scope in ["representation", "parameters"] {
        let scoped = format!("tasks.gradient_scope={scope}");
        let Computed { gradient, terms, tasks, .. } = fixture.compute(&[&scoped]);
        assert_eq!(tasks.len(), 3);
        r.check("output.loss.rec", &[terms[0].1]);
        for weighed in &tasks {
            let name = format!("output.loss.{}", weighed.task);
            r.check(&name, &[weighed.signal.loss]);
        }
        let cosines: Vec<f32> = tasks.iter().map(|weighed| weighed.signal.cosine).collect();
        r.check(&format!("output.cosine.{scope}"), &cosines);

        // Norms are those of the sum over the batch, taken over the whole scope.
        let mean = 1.0 / fixture.batch.impressions() as f32;
        let own = tasks.iter().map(|weighed| weighed.signal.norms[1]);
        let norms = std::iter::once(tasks[0].signal.norms[0]).chain(own).map(|norm| norm * mean);
        r.check(&format!("output.norm.{scope}"), &norms.collect::<Vec<_>>());

        for (name, values) in &gradient.dense {
            let values: Vec<f32> = values.iter().map(|x| x * mean).collect();
            r.check(&format!("grad.{}", reference_name(name)), &values);
        }
        let theirs = r.0.keys().filter(|key| key.starts_with("grad.")).count();
        let tables = fixture.schema.vocabulary.iter().flat_map(|v| tables(&v.name)).count();
        assert_eq!(gradient.dense.len() + tables, theirs);
        for (v, values) in gradient.rows.iter().enumerate() {
            let expected = fixture.rows("grad.input", v);
            let largest = expected.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
            for (ours, expected) in values.iter().map(|x| x * mean).zip(&expected) {
                assert!((ours - expected).abs() <= 1e-5 * largest, "{ours}, expected {expected}");
            }
        }
    }
}
