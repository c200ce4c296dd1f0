//! One batch on its way through the model: the forward pass, the losses, a backward pass.

use std::borrow::Cow;
use std::collections::BTreeMap;

use burn::tensor::{Device, Gradients, Tensor, TensorData};
use eliverec_core::profile::{self, Part};
use eliverec_core::unique::UniqueIds;
use eliverec_core::{Batch, Schema};
use eliverec_models::model::Representation;
use eliverec_models::term::{Training, Turn};
use eliverec_models::trace::Recorded;
use eliverec_models::trunk::Logit;
use eliverec_models::{Model, parameters};

use crate::gradient::{Gradient, NotFinite};
use crate::objective::{finite, scalar, watch_loss};

/// What a forward pass needs.
#[derive(Clone, Copy)]
pub(crate) struct Pass<'a> {
    pub(crate) model: &'a Model,
    pub(crate) schema: &'a Schema,
    pub(crate) batch: &'a Batch,
    pub(crate) unique: &'a UniqueIds,
    /// The rows of the tables, leaves of the graph.
    pub(crate) leaves: &'a [Tensor<2>],
    /// Random numbers, and which of the trunk's terms have their turn.
    pub(crate) training: Training,
    pub(crate) device: &'a Device,
    /// Impressions of the whole batch, of which `batch` may be a shard.
    pub(crate) whole_impressions: usize,
}

impl Pass<'_> {
    /// The same batch with other terms of the trunk's.
    pub(crate) fn with(self, terms: Turn) -> Self {
        Self { training: Training { terms, ..self.training }, ..self }
    }

    /// F and what belongs to it.
    pub(crate) fn represent(&self) -> Representation {
        let training = Some(self.training);
        self.model.represent(self.schema, self.batch, self.unique, self.leaves, training)
    }

    /// Number of impressions: losses are means, the optimiser sees the gradient of the sum.
    pub(crate) fn scale(&self) -> f32 {
        self.batch.impressions() as f32
    }

    /// The same for a mean over `own` rows, of which the whole batch has `all`: what the sum over its impressions sees of them.
    pub(crate) fn scale_of(&self, own: usize, all: usize) -> f32 {
        (self.whole_impressions as f64 * own as f64 / all as f64) as f32
    }

    /// L_rec (Eq. 11).
    pub(crate) fn watch(
        &self,
        fields: Vec<Tensor<2>>,
        logit: Logit,
    ) -> Result<Tensor<1>, NotFinite> {
        let logits = self.model.watch(fields, logit);
        finite("watch", watch_loss(logits, &self.batch.known_labels().watched, self.device))
    }

    /// Values as a tensor `[rows, width]` that nothing is differentiated by.
    pub(crate) fn constant(&self, values: Vec<f32>, width: usize) -> Tensor<2> {
        let shape = [values.len() / width, width];
        Tensor::from_data(TensorData::new(values, shape), self.device)
    }

    /// The gradient of everything that takes part in the graph of `loss`; a constant has none, as L_reg of a single feed.
    pub(crate) fn backward(&self, loss: Tensor<1>) -> Gradient {
        if !loss.is_tracked() {
            let zeros = |leaf: &Tensor<2>| vec![0.0; leaf.dims().iter().product()];
            let rows = self.leaves.iter().map(zeros).collect();
            return Gradient { dense: BTreeMap::new(), rows };
        }
        let mut gradients = (loss * self.scale()).backward();
        let _within = profile::within(Part::Copies);
        let dense = parameters::gradients(self.model, &gradients);
        let rows = self.leaves.iter().map(|leaf| taken(leaf, &mut gradients)).collect();
        Gradient { dense, rows }
    }
}

/// Values of terms of the loss, without their weights, by name.
pub(crate) type Terms = Vec<(Cow<'static, str>, f32)>;

/// `sum` and the trunk's weighted terms, whose values are noted in `terms`.
pub(crate) fn with_terms(
    mut sum: Tensor<1>,
    represented: &Representation,
    terms: &mut Terms,
) -> Result<Tensor<1>, NotFinite> {
    for term in &represented.terms {
        let value = finite(term.name, term.value.clone())?;
        terms.push((term.name.into(), scalar(&value)));
        sum = sum + value * term.weight;
    }
    Ok(sum)
}

/// The gradient of a leaf, row-major; zeros where the loss does not depend on it.
pub(crate) fn taken<const D: usize>(leaf: &Tensor<D>, gradients: &mut Gradients) -> Vec<f32> {
    match leaf.grad_remove(gradients) {
        Some(gradient) => Recorded::of(&gradient).values,
        None => vec![0.0; leaf.dims().iter().product()],
    }
}
