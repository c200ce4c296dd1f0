//! Gradients compared at the dense parameters that all tasks share, where [`super::cut`] compares them at F: the trunk runs for
//! every term. Slow; a check of the other.

use burn::tensor::Tensor;
use eliverec_models::model::Representation;
use eliverec_models::rows::indices;
use eliverec_models::term::Turn;

use super::compare::Comparison;
use super::losses::TaskRows;
use super::signal::Signal;
use super::weighting::Weighting;
use crate::gradient::{Gradient, NotFinite};
use crate::objective::{finite, scalar};
use crate::pass::{Pass, Terms, with_terms};

/// What came of a batch.
pub(crate) struct AtParameters {
    pub(crate) gradient: Gradient,
    /// L_rec
    pub(crate) watch: f32,
    pub(crate) signals: Vec<Option<Signal>>,
    pub(crate) weights: Vec<f32>,
    /// With the trunk's terms.
    pub(crate) represented: Representation,
    /// Their values.
    pub(crate) terms: Terms,
}

/// The gradient of L_rec + sum w_i L_i and of the trunk's terms.
pub(crate) fn compute(
    pass: Pass<'_>,
    rows: &TaskRows,
    weighting: &mut Weighting,
) -> Result<AtParameters, NotFinite> {
    let apart = pass.with(Turn::Rest);
    let Representation { fields, logit, .. } = apart.represent();
    let watch = apart.watch(fields.into_iter().map(|(_, field)| field).collect(), logit)?;
    let watch_value = scalar(&watch);
    let mut gradient = apart.backward(watch);

    let mut found: Vec<Option<(f32, Vec<f32>, Gradient)>> = Vec::new();
    for task in 0..rows.tasks() {
        if !rows.has(task) {
            found.push(None);
            continue;
        }
        let represented = apart.represent();
        let places = indices(rows.impressions.clone(), pass.device);
        let select = |tensor: &Tensor<2>| tensor.clone().select(0, places.clone());
        let fields: Vec<_> =
            represented.fields.iter().map(|(name, field)| (*name, select(field))).collect();
        let dynamic = represented.dynamic.as_ref().map(select);
        let outputs = pass.model.tasks(&fields, dynamic.as_ref()).expect("tasks have heads");
        let name = &pass.schema.task[task].name;
        let loss = finite(name, rows.loss(task, outputs[task].clone(), pass.device))?;
        let (value, own) = (scalar(&loss), apart.backward(loss));
        found.push(Some((value, shared(&gradient, &own), own)));
    }
    let main = shared(&gradient, &gradient);
    let comparison =
        Comparison { main: &main, rows: &[0], width: main.len(), compared: |_: usize| true };
    let of_main = comparison.of_main();
    let signal = |(loss, at_shared, _): &(f32, Vec<f32>, Gradient)| {
        Signal::of(*loss, of_main, comparison.of_task(at_shared))
    };
    let signals: Vec<_> = found.iter().map(|task| task.as_ref().map(signal)).collect();
    let weights = weighting.weigh(&signals);
    for (task, weight) in found.iter().zip(&weights) {
        if let Some((.., own)) = task {
            gradient.add(own, *weight);
        }
    }
    let represented = pass.represent();
    let mut terms = Vec::new();
    let zero = Tensor::zeros([1], pass.device);
    let sum = with_terms(zero, &represented, &mut terms)?;
    if !represented.terms.is_empty() {
        gradient.add(&pass.backward(sum), 1.0);
    }
    Ok(AtParameters { gradient, watch: watch_value, signals, weights, represented, terms })
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
