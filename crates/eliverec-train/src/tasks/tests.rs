//! Gradients with tasks against one plain graph, and the batches in which a task has little to learn from.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor};
use eliverec_core::normalize::Moments;
use eliverec_core::unique::UniqueIds;
use eliverec_core::{Normalization, toy};
use eliverec_models::draws::Draws;
use eliverec_models::registry::ModelConfig;
use eliverec_models::rows::indices;
use eliverec_models::term::{Training, Turn};
use eliverec_models::zoo::probe::ProbeConfig;
use eliverec_models::{Model, parameters};
use eliverec_run::score::row_tensors;
use eliverec_run::{Config, Prepared};
use eliverec_store::{RowReader, Store};

use super::Weighting;
use super::losses::TaskRows;
use crate::compute::{Computed, with_tasks};
use crate::gradient::{Gradient, NotFinite};
use crate::learner::Learner;
use crate::objective::watch_loss;
use crate::pass::{Pass, taken};
use crate::passes::Passes;
use crate::shards::Shards;

fn config(settings: &[&str]) -> Config {
    let text = "seed = 4\n[model]\nname = \"elive\"\nheads = 2\nblocks = 1\n[input]\nwidth = 8\n[tower]\nwidths = [12, 6]\n[tasks]\nmode = \"vanilla\"\n";
    let settings: Vec<String> = settings.iter().map(|setting| (*setting).into()).collect();
    Config::parse(text, "test", &settings).unwrap()
}

/// The same for a model whose logit, terms and tables are its own, which runs the tower on other rows as well.
fn probe(settings: &[&str], own_logit: bool) -> Config {
    let model = ModelConfig::Probe(ProbeConfig { own_logit, ..ProbeConfig::default() });
    Config { model, ..config(settings) }
}

/// What becomes of a batch.
type Change = fn(&mut eliverec_core::Batch);

fn prepared(change: impl FnOnce(&mut eliverec_core::Batch)) -> Prepared {
    let mut batch = toy::batch(40, 5);
    change(&mut batch);
    Prepared { unique: UniqueIds::of(&toy::schema(), &batch), batch }
}

struct Fixture {
    config: Config,
    model: Model,
    leaves: Vec<Tensor<2>>,
    prepared: Prepared,
    device: Device,
}

impl Fixture {
    fn new(config: Config, prepared: Prepared) -> Self {
        let (schema, device) = (toy::schema(), Device::flex().autodiff());
        let model = Learner::new(&config, &schema, &Normalization::default()).unwrap().model;
        let tables = config.tables(&schema);
        let store = Store::new(4, tables.clone(), config.store.clone()).unwrap();
        let leaves = row_tensors(store.gather(&prepared.unique), &tables, &device);
        let leaves = leaves.into_iter().map(Tensor::require_grad).collect();
        Self { config, model, leaves, prepared, device }
    }

    fn with<T>(&self, run: impl FnOnce(Pass<'_>, &TaskRows) -> T) -> T {
        let schema = toy::schema();
        let labels = self.config.tasks.labels;
        let rows = TaskRows::of(&self.prepared.batch, labels, &schema.task, &stay());
        let pass = Pass {
            model: &self.model,
            schema: &schema,
            batch: &self.prepared.batch,
            unique: &self.prepared.unique,
            leaves: &self.leaves,
            training: Training::whole(Draws { seed: 4, step: 9 }, Turn::All),
            device: &self.device,
            whole_impressions: self.prepared.batch.impressions(),
        };
        run(pass, &rows)
    }

    fn compute(&self) -> Computed {
        let weighting = Weighting::new(&self.config.tasks, &toy::schema().task, 4);
        let mut weighting = weighting.unwrap().unwrap();
        self.weighed(&mut weighting).unwrap()
    }

    fn weighed(&self, weighting: &mut Weighting) -> Result<Computed, NotFinite> {
        self.with(|pass, rows| {
            let (shards, sizes) = (Shards::here(1), BTreeMap::new());
            let passes = Passes::of_one(pass, &shards, &sizes);
            let labels = rows.all_labels();
            let rows = (std::slice::from_ref(rows), labels.as_slice());
            with_tasks(&passes, &self.config.tasks, rows, weighting)
        })
    }

    /// L_rec + sum w_i L_i + L_reg in one graph.
    fn plain(&self, weights: [f32; 3]) -> Gradient {
        self.with(|pass, rows| {
            let Pass { model, schema, batch, unique, leaves, training, device, .. } = pass;
            let output = model.forward(schema, batch, unique, leaves, Some(training));
            let mut loss = watch_loss(output.logits, &batch.known_labels().watched, device);
            for term in output.terms {
                loss = loss + term.value * term.weight;
            }
            for (task, output) in output.tasks.unwrap().into_iter().enumerate() {
                let output = output.select(0, indices(rows.impressions.clone(), device));
                loss = loss + rows.loss(task, output, device) * weights[task];
            }
            let mut gradients = (loss * batch.impressions() as f32).backward();
            let dense = parameters::gradients(model, &gradients);
            let rows = leaves.iter().map(|leaf| taken(leaf, &mut gradients)).collect();
            Gradient { dense, rows }
        })
    }
}

fn stay() -> Normalization {
    let durations = [("stay".to_owned(), Moments { mean: 2.0, sd: 1.5 })].into();
    Normalization { durations, ..Normalization::default() }
}

fn assert_equal(ours: &Gradient, plain: &Gradient) {
    assert_eq!(ours.dense.keys().collect::<Vec<_>>(), plain.dense.keys().collect::<Vec<_>>());
    let largest = |values: &[f32]| values.iter().fold(0.0_f32, |max, x| max.max(x.abs()));
    let close = |name: &str, a: &[f32], b: &[f32]| {
        let bound = 1e-5 * largest(b).max(1e-2);
        for (a, b) in a.iter().zip(b) {
            assert!((a - b).abs() <= bound, "{name}: {a} and {b}");
        }
    };
    for (name, values) in &plain.dense {
        close(name, &ours.dense[name], values);
    }
    for (v, (a, b)) in ours.rows.iter().zip(&plain.rows).enumerate() {
        close(&format!("vocabulary {v}"), a, b);
    }
}

#[test]
fn both_scopes_give_the_gradient_of_one_graph() {
    for labels in ["watched", "impressions"] {
        for scope in ["representation", "parameters"] {
            let settings =
                [format!("tasks.labels={labels}"), format!("tasks.gradient_scope={scope}")];
            let settings = settings.each_ref().map(String::as_str);
            for config in [config(&settings), probe(&settings, false), probe(&settings, true)] {
                let fixture = Fixture::new(config, prepared(|_| {}));
                let computed = fixture.compute();
                assert_equal(&computed.gradient, &fixture.plain([0.3, 0.3, 0.1]));
                assert_eq!(computed.tasks.len(), 3);
                let norms = computed.tasks.iter().map(|task| task.signal.norms[1]);
                assert!(norms.into_iter().all(|norm| norm > 0.0));
            }
        }
    }
}

/// The toy schema's e_d has a map of its own, which watching does not read: the gradients have different parameters.
#[test]
fn cosines_at_parameters_compare_parameters_of_one_name() {
    let settings = [
        "tasks.gradient_scope=parameters",
        "model.correlation_weight=0",
        "model.alignment_weight=0",
    ];
    let fixture = Fixture::new(config(&settings), prepared(|_| {}));
    let watching = fixture.plain([0.0; 3]).dense;
    let computed = fixture.compute();
    for (i, weighed) in computed.tasks.iter().enumerate() {
        let with = fixture.plain(std::array::from_fn(|k| f32::from(u8::from(k == i)))).dense;
        let (mut product, mut squares) = (0.0_f64, [0.0; 2]);
        for (name, main) in &watching {
            let shared = !name.starts_with("tower.") && !name.starts_with("heads.");
            if !shared || name == "entities.dynamic.weight" {
                continue;
            }
            for (main, with) in main.iter().zip(&with[name]) {
                let (main, own) = (f64::from(*main), f64::from(with - main));
                product += main * own;
                squares[0] += main * main;
                squares[1] += own * own;
            }
        }
        let expected = product / (squares[0] * squares[1]).sqrt();
        let cosine = f64::from(weighed.signal.cosine);
        assert!((cosine - expected).abs() < 1e-3, "{cosine}, expected {expected}");
    }
}

#[test]
fn batches_with_little_to_learn_from_are_survived() {
    let modes = ["vanilla", "adaptive", "uncertainty", "meta_balance"];
    let nobody =
        |batch: &mut eliverec_core::Batch| batch.labels.as_mut().unwrap().watched.fill(0.0);
    let unknown = |batch: &mut eliverec_core::Batch| {
        let labels = batch.labels.as_mut().unwrap();
        labels.tasks[0].fill(f32::NAN);
        labels.tasks[1].fill(f32::NAN);
    };
    let one_class =
        |batch: &mut eliverec_core::Batch| batch.labels.as_mut().unwrap().tasks[2].fill(1.0);
    let changes: [(Change, usize); 3] = [(nobody, 0), (unknown, 1), (one_class, 3)];
    for mode in modes {
        for scope in ["representation", "parameters"] {
            for (change, tasks) in changes {
                let settings =
                    [format!("tasks.mode={mode}"), format!("tasks.gradient_scope={scope}")];
                let settings = settings.each_ref().map(String::as_str);
                let computed = Fixture::new(config(&settings), prepared(change)).compute();
                assert_eq!(computed.tasks.len(), tasks, "{mode} {scope}");
                assert!(computed.loss.is_finite() && computed.gradient.norm().is_finite());
            }
        }
    }
}

#[test]
fn a_single_feed_and_an_empty_domain_are_survived() {
    let schema = toy::schema();
    let normalization = eliverec_core::Normalization::default();
    let mut feeds = toy::feeds(30, 5);
    feeds.iter_mut().for_each(|feed| feed.candidates.labels.as_mut().unwrap().watched[0] = true);
    for (feeds, products, channels) in [(&feeds[..1], 50, 50), (&feeds, 0, 50), (&feeds, 50, 0)] {
        let lengths = eliverec_core::Lengths { products, channels };
        let mut builder = eliverec_core::BatchBuilder::new(&schema, &normalization, lengths);
        feeds.iter().for_each(|feed| builder.push(feed).unwrap());
        let batch = builder.finish().unwrap();
        let prepared = Prepared { unique: UniqueIds::of(&schema, &batch), batch };
        let computed = Fixture::new(config(&["tasks.mode=adaptive"]), prepared).compute();
        assert!(computed.loss.is_finite() && computed.gradient.norm().is_finite());
    }
}

/// Every task by its name, before anything is changed.
#[test]
fn a_loss_that_is_no_number_is_named() {
    for (task, labels) in [("stay", 0), ("bag_click", 1), ("product_click", 2)] {
        let change = |batch: &mut eliverec_core::Batch| {
            let known = batch.labels.as_mut().unwrap();
            known.watched.fill(1.0);
            known.tasks[labels].fill(f32::INFINITY);
        };
        let fixture = Fixture::new(config(&["tasks.mode=adaptive"]), prepared(change));
        let weighting = Weighting::new(&fixture.config.tasks, &toy::schema().task, 4);
        let mut weighting = weighting.unwrap().unwrap();
        let stopped = fixture.weighed(&mut weighting);
        assert_eq!(stopped.unwrap_err().term, format!("loss term {task}"));
    }
}
