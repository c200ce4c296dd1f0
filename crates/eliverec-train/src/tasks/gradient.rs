//! The gradient of one batch with inter-channel tasks: of L = L_rec + sum w_i L_i + L_reg, where the weights may depend on how
//! the gradients of the tasks agree.
//!
//! A graph can be run backward once, so the trunk is cut off from what stands on it: each task's graph begins at a copy
//! of F and e_d, and what they send back together goes through the trunk in one more backward ([`at_representation`]).

use std::collections::BTreeMap;

use burn::tensor::{Device, Gradients, Tensor, TensorData};
use eliverec_core::unique::UniqueIds;
use eliverec_core::{Batch, Schema};
use eliverec_models::heads::Task;
use eliverec_models::model::Representation;
use eliverec_models::rows::indices;
use eliverec_models::trace::Recorded;
use eliverec_models::{Model, parameters};

use super::losses::TaskRows;
use super::{Signal, TASKS, Weighting};
use crate::learner::NotFinite;
use crate::objective::{scalar, watch_loss};
use crate::optimizer::Gradient;
use eliverec_run::tasks::TasksConfig;
use eliverec_run::tasks::{GradientScope, LabelSpace};

/// What a forward pass needs.
#[derive(Clone, Copy)]
pub(crate) struct Pass<'a> {
    pub(crate) model: &'a Model,
    pub(crate) schema: &'a Schema,
    pub(crate) batch: &'a Batch,
    pub(crate) unique: &'a UniqueIds,
    /// The rows of the tables, leaves of the graph.
    pub(crate) leaves: &'a [Tensor<2>],
    /// Seeds the regularisers' rows; `None` leaves L_reg out.
    pub(crate) sampling: Option<u64>,
    pub(crate) device: &'a Device,
}

/// A batch's gradient and what was measured on the way.
#[derive(Debug)]
pub(crate) struct Computed {
    /// Of the sum over the batch.
    pub(crate) gradient: Gradient,
    /// Weighted sum of the terms.
    pub(crate) loss: f32,
    /// The terms by name, without their weights.
    pub(crate) terms: Vec<(&'static str, f32)>,
    /// Of the tasks with labels in the batch.
    pub(crate) tasks: Vec<Weighed>,
}

/// A task in one update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weighed {
    /// Which.
    pub task: Task,
    /// What weighting knew.
    pub signal: Signal,
    /// w_i
    pub weight: f32,
}

/// One task's loss and what it sends back.
struct TaskGradient {
    loss: f32,
    /// To the compared place: F's rows of the task, or nothing where whole gradients are compared.
    at_fields: Vec<f32>,
    /// To e_d's rows of the task.
    at_dynamic: Vec<f32>,
    own: Gradient,
}

impl Pass<'_> {
    fn represent(&self) -> Representation {
        self.model.represent(self.schema, self.batch, self.unique, self.leaves, self.sampling)
    }

    /// Number of impressions: losses are means over them, the optimiser sees the gradient of the sum.
    fn scale(&self) -> f32 {
        self.batch.impressions() as f32
    }

    /// L_rec (Eq. 11).
    fn watch(&self, fields: Vec<Tensor<2>>) -> Result<Tensor<1>, NotFinite> {
        let logits = self.model.watch(fields);
        finite("watch", watch_loss(logits, &self.batch.known_labels().watched, self.device))
    }

    fn constant(&self, values: Vec<f32>, width: usize) -> Tensor<2> {
        let shape = [values.len() / width, width];
        Tensor::from_data(TensorData::new(values, shape), self.device)
    }

    /// The gradient of everything that takes part in the graph of `loss`; a constant has none, as L_reg of a single feed.
    fn backward(&self, loss: Tensor<1>) -> Gradient {
        if !loss.is_tracked() {
            let zeros = |leaf: &Tensor<2>| vec![0.0; leaf.dims().iter().product()];
            let rows = self.leaves.iter().map(zeros).collect();
            return Gradient { dense: BTreeMap::new(), rows };
        }
        let mut gradients = (loss * self.scale()).backward();
        let dense = parameters::gradients(self.model, &gradients);
        let rows = self.leaves.iter().map(|leaf| taken(leaf, &mut gradients)).collect();
        Gradient { dense, rows }
    }
}

/// The gradient of a leaf, row-major; zeros where the loss does not depend on it.
pub(crate) fn taken(leaf: &Tensor<2>, gradients: &mut Gradients) -> Vec<f32> {
    match leaf.grad_remove(gradients) {
        Some(gradient) => Recorded::of(&gradient).values,
        None => vec![0.0; leaf.dims().iter().product()],
    }
}

fn finite(term: &str, loss: Tensor<1>) -> Result<Tensor<1>, NotFinite> {
    let value = scalar(&loss);
    if value.is_finite() {
        return Ok(loss);
    }
    Err(NotFinite { term: format!("loss term {term}"), value })
}

/// The gradient of a batch in the scope that the config asks for.
pub(crate) fn compute(
    pass: Pass<'_>,
    config: &TasksConfig,
    rows: &TaskRows,
    weighting: &mut Weighting,
) -> Result<Computed, NotFinite> {
    match config.gradient_scope {
        GradientScope::Representation => at_representation(pass, config, rows, weighting),
        GradientScope::Parameters => at_parameters(pass, rows, weighting),
    }
}

/// L_reg alone, the turn of the regularisers in the alternating schedule; `None` for a model that has none.
pub(crate) fn regularizers(pass: Pass<'_>) -> Result<Option<Computed>, NotFinite> {
    let mut terms = Vec::new();
    let zero = Tensor::zeros([1], pass.device);
    let representation = pass.represent();
    if representation.penalties.is_empty() {
        return Ok(None);
    }
    let loss = penalties(&representation, zero, &mut terms)?;
    let (value, gradient) = (scalar(&loss), pass.backward(loss));
    Ok(Some(Computed { loss: value, gradient, terms, tasks: Vec::new() }))
}

/// `sum` and the weighted terms of L_reg, which are noted in `terms`.
fn penalties(
    representation: &Representation,
    mut sum: Tensor<1>,
    terms: &mut Vec<(&'static str, f32)>,
) -> Result<Tensor<1>, NotFinite> {
    for penalty in &representation.penalties {
        let value = finite(penalty.name, penalty.value.clone())?;
        terms.push((penalty.name, scalar(&value)));
        sum = sum + value * penalty.weight;
    }
    Ok(sum)
}

/// Gradients compared at F: one trunk, forward and backward.
fn at_representation(
    pass: Pass<'_>,
    config: &TasksConfig,
    rows: &TaskRows,
    weighting: &mut Weighting,
) -> Result<Computed, NotFinite> {
    let representation = pass.represent();
    let names: Vec<&'static str> = representation.fields.iter().map(|(name, _)| *name).collect();
    let fields: Vec<Tensor<2>> =
        representation.fields.iter().map(|(_, field)| field.clone()).collect();
    let field = fields[0].dims()[1];
    let joined = Tensor::cat(fields, 1); //                                        [n, fields * d]
    let [_, width] = joined.dims();
    let apart = |joined: Tensor<2>| joined.chunk(width / field, 1);

    // L_rec, from a copy of F.
    let leaf = joined.clone().detach().require_grad();
    let watch = pass.watch(apart(leaf.clone()))?;
    let mut terms = vec![("watch", scalar(&watch))];
    let mut gradients = (watch * pass.scale()).backward();
    let mut dense = parameters::gradients(pass.model, &gradients);
    let mut at_fields = taken(&leaf, &mut gradients);

    // L_i, each from a copy of its rows of F and e_d.
    let places = indices(rows.impressions.clone(), pass.device);
    let copy = |tensor: &Tensor<2>| {
        tensor.clone().detach().select(0, places.clone()).detach().require_grad()
    };
    let mut found: [Option<TaskGradient>; TASKS] = [const { None }; TASKS];
    for (found, task) in found.iter_mut().zip(Task::ALL).filter(|(_, task)| rows.has(*task)) {
        let (leaf, dynamic) = (copy(&joined), representation.dynamic.as_ref().map(copy));
        let fields: Vec<_> = names.iter().copied().zip(apart(leaf.clone())).collect();
        let outputs = pass.model.tasks(&fields, dynamic.as_ref()).expect("tasks have heads");
        let output = outputs[task as usize].clone();
        let loss = finite(task.name(), rows.loss(task, output, pass.device))?;
        let value = scalar(&loss);
        let mut gradients = (loss * pass.scale()).backward();
        *found = Some(TaskGradient {
            loss: value,
            at_fields: taken(&leaf, &mut gradients),
            at_dynamic: dynamic.map_or(Vec::new(), |leaf| taken(&leaf, &mut gradients)),
            own: Gradient {
                dense: parameters::gradients(pass.model, &gradients),
                rows: Vec::new(),
            },
        });
    }

    // eq. 14: weights.
    let watched = &pass.batch.known_labels().watched;
    let compared = |row: usize| config.cosine_rows == LabelSpace::Impressions || watched[row] > 0.5;
    let comparison = Comparison { main: &at_fields, rows: &rows.impressions, width, compared };
    let signals = found.each_ref().map(|task| task.as_ref().map(|t| comparison.signal(t)));
    let weights = weighting.weigh(&signals);

    // sum_i w_i dL_i / d(F, e_d), and the heads' own parameters.
    let dynamic_width = representation.dynamic.as_ref().map_or(0, |dynamic| dynamic.dims()[1]);
    let mut at_dynamic = vec![0.0; pass.batch.impressions() * dynamic_width];
    for (task, weight) in found.iter().zip(weights) {
        let Some(task) = task else { continue };
        add_rows(&mut at_fields, &task.at_fields, &rows.impressions, weight);
        add_rows(&mut at_dynamic, &task.at_dynamic, &rows.impressions, weight);
        add_dense(&mut dense, &task.own.dense, weight);
    }

    // One backward of the trunk: the derivative of sum(F * G) by F is G.
    let scale = 1.0 / pass.scale();
    let mut surrogate = (joined * pass.constant(at_fields, width)).sum() * scale;
    if let Some(dynamic) = &representation.dynamic {
        let gradient = pass.constant(at_dynamic, dynamic_width);
        surrogate = surrogate + (dynamic.clone() * gradient).sum() * scale;
    }
    let tasks = weighed(signals, weights, &mut terms);
    let own_terms = terms.len();
    let surrogate = penalties(&representation, surrogate, &mut terms)?;
    let loss = total(&terms[0], &tasks, &representation, &terms[own_terms..]);
    let trunk = pass.backward(surrogate);
    dense.extend(trunk.dense);
    Ok(Computed { gradient: Gradient { dense, rows: trunk.rows }, loss, terms, tasks })
}

/// Gradients compared at the dense parameters that all tasks share: the trunk runs for every term. Slow; a check of the other.
fn at_parameters(
    pass: Pass<'_>,
    rows: &TaskRows,
    weighting: &mut Weighting,
) -> Result<Computed, NotFinite> {
    let apart = Pass { sampling: None, ..pass };
    let fields = |r: Representation| r.fields.into_iter().map(|(_, field)| field).collect();
    let watch = apart.watch(fields(apart.represent()))?;
    let mut terms = vec![("watch", scalar(&watch))];
    let mut gradient = apart.backward(watch);

    let mut found: [Option<TaskGradient>; TASKS] = [const { None }; TASKS];
    for (found, task) in found.iter_mut().zip(Task::ALL).filter(|(_, task)| rows.has(*task)) {
        let representation = apart.represent();
        let places = indices(rows.impressions.clone(), pass.device);
        let select = |tensor: &Tensor<2>| tensor.clone().select(0, places.clone());
        let fields: Vec<_> =
            representation.fields.iter().map(|(name, field)| (*name, select(field))).collect();
        let dynamic = representation.dynamic.as_ref().map(select);
        let outputs = pass.model.tasks(&fields, dynamic.as_ref()).expect("tasks have heads");
        let output = outputs[task as usize].clone();
        let loss = finite(task.name(), rows.loss(task, output, pass.device))?;
        let (value, own) = (scalar(&loss), apart.backward(loss));
        let at_fields = shared(&gradient, &own);
        *found = Some(TaskGradient { loss: value, at_fields, at_dynamic: vec![], own });
    }
    let main = shared(&gradient, &gradient);
    let comparison =
        Comparison { main: &main, rows: &[0], width: main.len(), compared: |_: usize| true };
    let signals = found.each_ref().map(|task| task.as_ref().map(|t| comparison.signal(t)));
    let weights = weighting.weigh(&signals);
    for (task, weight) in found.iter().zip(weights) {
        if let Some(task) = task {
            gradient.add(&task.own, weight);
        }
    }
    let tasks = weighed(signals, weights, &mut terms);
    let own_terms = terms.len();
    let representation = pass.represent();
    let zero = Tensor::zeros([1], pass.device);
    let penalty = penalties(&representation, zero, &mut terms)?;
    let loss = total(&terms[0], &tasks, &representation, &terms[own_terms..]);
    if !representation.penalties.is_empty() {
        gradient.add(&pass.backward(penalty), 1.0);
    }
    Ok(Computed { gradient, loss, terms, tasks })
}

/// The gradient `of` the parameters that watching, whose gradient is `main`, shares with the tasks, one after the other. Neither
/// a tower is among them nor the map of an e_d that only the heads read.
fn shared(main: &Gradient, of: &Gradient) -> Vec<f32> {
    let own = |name: &str| name.starts_with("tower.") || name.starts_with("heads.");
    let shared = main.dense.iter().filter(|(name, _)| !own(name));
    let values = |(name, main): (&String, &Vec<f32>)| {
        of.dense.get(name).cloned().unwrap_or_else(|| vec![0.0; main.len()])
    };
    shared.flat_map(values).collect()
}

fn weighed(
    signals: [Option<Signal>; TASKS],
    weights: [f32; TASKS],
    terms: &mut Vec<(&'static str, f32)>,
) -> Vec<Weighed> {
    let all = Task::ALL.into_iter().zip(signals).zip(weights);
    let tasks: Vec<Weighed> = all
        .filter_map(|((task, signal), weight)| Some(Weighed { task, signal: signal?, weight }))
        .collect();
    terms.extend(tasks.iter().map(|weighed| (weighed.task.name(), weighed.signal.loss)));
    tasks
}

/// L = L_rec + sum w_i L_i + L_reg
fn total(
    watch: &(&'static str, f32),
    tasks: &[Weighed],
    representation: &Representation,
    penalties: &[(&'static str, f32)],
) -> f32 {
    let tasks = tasks.iter().map(|weighed| weighed.weight * weighed.signal.loss);
    let lambdas = representation.penalties.iter().map(|penalty| penalty.weight);
    let penalties = lambdas.zip(penalties).map(|(lambda, (_, value))| lambda * value);
    watch.1 + tasks.sum::<f32>() + penalties.sum::<f32>()
}

/// How a task's gradient stands to the main one's.
struct Comparison<'a, F> {
    /// Of L_rec, rows of `width`.
    main: &'a [f32],
    /// The rows of `main` that a task's gradient has.
    rows: &'a [u32],
    width: usize,
    /// Whether a row of `main` counts in the cosine.
    compared: F,
}

impl<F: Fn(usize) -> bool> Comparison<'_, F> {
    fn signal(&self, task: &TaskGradient) -> Signal {
        let (mut product, mut own, mut own_compared) = (0.0_f64, 0.0, 0.0);
        for (row, gradient) in self.rows.iter().zip(task.at_fields.chunks(self.width)) {
            let (row, squares) = (*row as usize, dot(gradient, gradient));
            own += squares;
            if (self.compared)(row) {
                own_compared += squares;
                product += dot(gradient, &self.main[row * self.width..][..self.width]);
            }
        }
        let (mut main, mut main_compared) = (0.0_f64, 0.0);
        for (row, gradient) in self.main.chunks(self.width).enumerate() {
            let squares = dot(gradient, gradient);
            main += squares;
            main_compared += if (self.compared)(row) { squares } else { 0.0 };
        }
        let norms = (own_compared * main_compared).sqrt();
        let cosine = if norms > 0.0 { product / norms } else { 0.0 };
        Signal {
            loss: task.loss,
            cosine: cosine as f32,
            norms: [main.sqrt() as f32, own.sqrt() as f32],
        }
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// `to[rows] += weight * from`
fn add_rows(to: &mut [f32], from: &[f32], rows: &[u32], weight: f32) {
    if from.is_empty() {
        return;
    }
    let width = from.len() / rows.len();
    for (row, from) in rows.iter().zip(from.chunks(width)) {
        let to = &mut to[*row as usize * width..][..width];
        to.iter_mut().zip(from).for_each(|(to, from)| *to += weight * from);
    }
}

/// `to += weight * from`, by name.
pub(crate) fn add_dense(
    to: &mut BTreeMap<String, Vec<f32>>,
    from: &BTreeMap<String, Vec<f32>>,
    weight: f32,
) {
    for (name, from) in from {
        let to = to.entry(name.clone()).or_insert_with(|| vec![0.0; from.len()]);
        to.iter_mut().zip(from).for_each(|(to, from)| *to += weight * from);
    }
}
