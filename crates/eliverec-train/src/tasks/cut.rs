//! The trunk cut off from what stands on it.
//!
//! A graph can be run backward once. So each task's graph begins at a copy of F (and of e_d, and of what else the logit is made
//! of), and what all of them send back there goes through the trunk in one more backward, together with its own terms.

use std::collections::BTreeMap;

use burn::tensor::Tensor;
use eliverec_models::model::Representation;
use eliverec_models::parameters;
use eliverec_models::rows::indices;

use super::compare::Comparison;
use super::losses::TaskRows;
use super::signal::Signal;
use crate::gradient::{Gradient, NotFinite};
use crate::objective::{finite, scalar};
use crate::pass::{Pass, Terms, taken, with_terms};

/// A trunk's output and where it is cut.
pub(crate) struct Cut<'a> {
    pass: Pass<'a>,
    represented: &'a Representation,
    /// F side by side `[n, w]`.
    joined: Tensor<2>,
    /// Of each field.
    widths: Vec<usize>,
}

/// What L_rec sends back.
pub(crate) struct FromWatching {
    /// L_rec
    pub(crate) loss: f32,
    /// To F.
    at_fields: Vec<f32>,
    /// To what else the logit is made of.
    at_parts: Vec<Vec<f32>>,
    /// To the tower's own parameters.
    dense: BTreeMap<String, Vec<f32>>,
}

/// What a task's loss sends back.
pub(crate) struct FromTask {
    loss: f32,
    /// To F's rows of the task.
    at_fields: Vec<f32>,
    /// To e_d's rows of the task.
    at_dynamic: Vec<f32>,
    /// To the heads' own parameters.
    dense: BTreeMap<String, Vec<f32>>,
}

/// One or none for each task: a task without labels in the batch sends nothing.
pub(crate) type FromTasks = Vec<Option<FromTask>>;

impl<'a> Cut<'a> {
    /// Cuts at F.
    pub(crate) fn new(pass: Pass<'a>, represented: &'a Representation) -> Self {
        let fields: Vec<Tensor<2>> =
            represented.fields.iter().map(|(_, field)| field.clone()).collect();
        let widths = fields.iter().map(|field| field.dims()[1]).collect();
        Self { pass, represented, joined: Tensor::cat(fields, 1), widths }
    }

    fn width(&self) -> usize {
        self.widths.iter().sum()
    }

    /// `[rows, w]` field by field.
    fn apart(&self, joined: &Tensor<2>) -> Vec<Tensor<2>> {
        let mut start = 0;
        let field = |width: &usize| {
            start += width;
            joined.clone().narrow(1, start - width, *width)
        };
        self.widths.iter().map(field).collect()
    }

    /// L_rec, from a copy of F.
    pub(crate) fn watch(&self) -> Result<FromWatching, NotFinite> {
        let leaf = self.joined.clone().detach().require_grad();
        let logit = &self.represented.logit;
        let parts: Vec<Tensor<1>> =
            logit.parts().into_iter().map(|part| part.detach().require_grad()).collect();
        let loss = self.pass.watch(self.apart(&leaf), logit.with_parts(parts.clone()))?;
        let value = scalar(&loss);
        let mut gradients = (loss * self.pass.scale()).backward();
        Ok(FromWatching {
            loss: value,
            dense: parameters::gradients(self.pass.model, &gradients),
            at_fields: taken(&leaf, &mut gradients),
            at_parts: parts.iter().map(|part| taken(part, &mut gradients)).collect(),
        })
    }

    /// L_i, each from a copy of its rows of F and e_d, as a share of the mean over the `labels` that the whole batch has of each.
    pub(crate) fn tasks(&self, rows: &TaskRows, labels: &[usize]) -> Result<FromTasks, NotFinite> {
        let pass = &self.pass;
        let places = indices(rows.impressions.clone(), pass.device);
        let copy = |tensor: &Tensor<2>| {
            tensor.clone().detach().select(0, places.clone()).detach().require_grad()
        };
        let names = self.represented.fields.iter().map(|(name, _)| *name);
        let mut found = FromTasks::new();
        for task in 0..rows.tasks() {
            if !rows.has(task) {
                found.push(None);
                continue;
            }
            let (leaf, dynamic) = (copy(&self.joined), self.represented.dynamic.as_ref().map(copy));
            let fields: Vec<_> = names.clone().zip(self.apart(&leaf)).collect();
            let outputs = pass.model.tasks(&fields, dynamic.as_ref()).expect("tasks have heads");
            let name = &pass.schema.task[task].name;
            let loss = finite(name, rows.loss(task, outputs[task].clone(), pass.device))?;
            let value = scalar(&loss);
            let scale = pass.scale_of(rows.labels(task), labels[task]);
            let mut gradients = (loss * scale).backward();
            found.push(Some(FromTask {
                loss: value,
                at_fields: taken(&leaf, &mut gradients),
                at_dynamic: dynamic.map_or(Vec::new(), |leaf| taken(&leaf, &mut gradients)),
                dense: parameters::gradients(pass.model, &gradients),
            }));
        }
        Ok(found)
    }

    /// How each task's gradient at F stands to that of watching, over the watched rows, as numbers to be added up over shards for
    /// [`signals`].
    pub(crate) fn compared(
        &self,
        watching: &FromWatching,
        tasks: &FromTasks,
        rows: &TaskRows,
    ) -> Vec<f64> {
        let watched = &self.pass.batch.known_labels().watched;
        let comparison = Comparison {
            main: &watching.at_fields,
            rows: &rows.impressions,
            width: self.width(),
            compared: |row: usize| watched[row] > 0.5,
        };
        let mut sums = comparison.of_main().to_vec();
        for (task, found) in tasks.iter().enumerate() {
            let (loss, gradient) =
                found.as_ref().map_or((0.0, &[][..]), |task| (task.loss, &task.at_fields));
            sums.push(f64::from(loss) * rows.labels(task) as f64);
            sums.extend(comparison.of_task(gradient));
        }
        sums
    }

    /// The gradient of L_rec + sum w_i L_i and of the trunk's own terms, whose values are noted in `terms`: one backward of the
    /// trunk, since the derivative of sum(F * G) by F is G. `joint` is what the terms over the whole batch send back, in that form.
    pub(crate) fn backward(
        &self,
        watching: FromWatching,
        (tasks, rows, weights): (&FromTasks, &TaskRows, &[f32]),
        joint: Option<Tensor<1>>,
        terms: &mut Terms,
    ) -> Result<Gradient, NotFinite> {
        let (pass, represented) = (&self.pass, self.represented);
        let FromWatching { mut at_fields, at_parts, dense, .. } = watching;
        let mut gradient = Gradient { dense, rows: Vec::new() };

        // sum_i w_i dL_i / d(F, e_d), and the heads' own parameters.
        let dynamic_width = represented.dynamic.as_ref().map_or(0, |dynamic| dynamic.dims()[1]);
        let mut at_dynamic = vec![0.0; pass.batch.impressions() * dynamic_width];
        for (task, weight) in tasks.iter().zip(weights) {
            let Some(task) = task else { continue };
            add_rows(&mut at_fields, &task.at_fields, &rows.impressions, *weight);
            add_rows(&mut at_dynamic, &task.at_dynamic, &rows.impressions, *weight);
            gradient.add_dense(&task.dense, *weight);
        }

        let scale = 1.0 / pass.scale();
        let mut surrogate =
            (self.joined.clone() * pass.constant(at_fields, self.width())).sum() * scale;
        for (part, gradient) in represented.logit.parts().into_iter().zip(at_parts) {
            let gradient = pass.constant(gradient, 1).squeeze_dim(1);
            surrogate = surrogate + (part * gradient).sum() * scale;
        }
        if let Some(dynamic) = &represented.dynamic {
            let gradient = pass.constant(at_dynamic, dynamic_width);
            surrogate = surrogate + (dynamic.clone() * gradient).sum() * scale;
        }
        let mut surrogate = with_terms(surrogate, represented, terms)?;
        if let Some(joint) = joint {
            surrogate = surrogate + joint;
        }
        let trunk = pass.backward(surrogate);

        // A trunk that ran the tower on other rows sends something to its parameters, too.
        for (name, values) in trunk.dense {
            match gradient.dense.get_mut(&name) {
                Some(own) => own.iter_mut().zip(&values).for_each(|(own, value)| *own += value),
                None => drop(gradient.dense.insert(name, values)),
            }
        }
        gradient.rows = trunk.rows;
        Ok(gradient)
    }
}

/// What weighting gets to know, from the sums of [`Cut::compared`] over all shards of a batch, and the `labels` that it has of each task.
pub(crate) fn signals(sums: &[f64], labels: &[usize]) -> Vec<Option<Signal>> {
    let (of_main, of_tasks) = sums.split_first_chunk::<2>().expect("those of the main task");
    let of_task = |([loss, own @ ..], labels): (&[f64; 4], &usize)| {
        let mean = (loss / *labels as f64) as f32;
        (*labels > 0).then(|| Signal::of(mean, *of_main, *own))
    };
    of_tasks.as_chunks().0.iter().zip(labels).map(of_task).collect()
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
