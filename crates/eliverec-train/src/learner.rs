//! One update of everything that learns: dense parameters, accumulators, rows. Knows nothing of files and epochs, so that
//! the benchmark times exactly what training does.

use burn::tensor::{Device, Tensor};
use eliverec_core::Schema;
use eliverec_core::normalize::Moments;
use eliverec_core::seed::{numbered, stream};
use eliverec_models::{Model, parameters};
use eliverec_run::score::row_tensors;
use eliverec_run::tasks::{Schedule, TasksConfig};
use eliverec_run::{Config, Prepared, device};
use eliverec_store::{Store, VocabularySpec};

use crate::error::Error;
use crate::objective::Objective;
use crate::optimizer::{DenseOptimizer, Gradient, warmed_up};
use crate::tasks::Weighting;
use crate::tasks::gradient::{self, Computed, Pass, Weighed, taken};
use crate::tasks::losses::TaskRows;

/// Weights, accumulators and rows.
#[derive(Debug)]
pub struct Learner {
    /// Dense parameters.
    pub model: Model,
    /// Their accumulators.
    pub optimizer: DenseOptimizer,
    /// Embedding rows with theirs.
    pub store: Store,
    /// What balances the inter-channel tasks; `None` without them.
    pub weighting: Option<Weighting>,
    /// Of ln(1 + seconds) of a stay, over the training split.
    stay: Moments,
    vocabularies: Vec<VocabularySpec>,
    device: Device,
}

/// What an update measured.
#[derive(Debug)]
pub struct Measured {
    /// Weighted sum of the terms, a mean over the impressions.
    pub loss: f32,
    /// The terms by name, unweighted.
    pub terms: Vec<(&'static str, f32)>,
    /// The inter-channel tasks with labels in the batch.
    pub tasks: Vec<Weighed>,
    /// Norm of the gradient of the sum over the batch, before clipping.
    pub gradient_norm: f64,
}

/// A number that is none, and where it stood.
#[derive(Debug)]
pub struct NotFinite {
    /// Loss term or gradient.
    pub term: String,
    /// NaN or an infinity.
    pub value: f32,
}

impl Learner {
    /// Initial values, which depend on the seed, the parameters' names and the ids only. `stay` standardises the stay time
    /// of the inter-channel tasks.
    ///
    /// # Errors
    /// Settings that cannot be built, a device that this binary lacks.
    pub fn new(config: &Config, schema: &Schema, stay: Moments) -> Result<Self, Error> {
        let device = device::open(config.training.device)?.autodiff();
        let vocabularies = config.vocabularies(schema);
        Ok(Self {
            model: Model::new(&config.settings(), schema, config.seed, &device)?,
            optimizer: DenseOptimizer::new(config.training.adagrad),
            store: Store::new(config.seed, vocabularies.clone(), config.store.clone())?,
            weighting: Weighting::new(&config.tasks, config.seed),
            stay,
            vocabularies,
            device,
        })
    }

    /// A copy of the model on the same device without autodiff.
    ///
    /// # Errors
    /// None that [`Learner::new`] did not have.
    pub fn evaluated(&self, config: &Config, schema: &Schema) -> Result<(Model, Device), Error> {
        let device = self.device.clone().without_autodiff();
        let model = Model::new(&config.settings(), schema, config.seed, &device)?;
        Ok((parameters::import(model, &parameters::export(&self.model))?, device))
    }

    /// Update number `step`, from 0. The inner result is the number that stopped it before anything but the counts of
    /// ids was changed.
    ///
    /// # Errors
    /// Gradients that the store refuses.
    pub fn update(
        &mut self,
        config: &Config,
        schema: &Schema,
        prepared: &Prepared,
        step: u64,
    ) -> Result<Result<Measured, NotFinite>, Error> {
        // 1. The rows of the batch's ids become leaves of the graph.
        let mut gathered = self.store.gather_for_training(&prepared.unique, step);
        let rows = std::mem::take(&mut gathered.blocks);
        let leaves: Vec<Tensor<2>> = row_tensors(rows, &self.vocabularies, &self.device)
            .into_iter()
            .map(Tensor::require_grad)
            .collect();

        // 2. Forward and backward.
        let sampling = Some(numbered(stream(config.seed, "regulariser rows"), step));
        let (batch, unique) = (&prepared.batch, &prepared.unique);
        let (model, device, leaves) = (&self.model, &self.device, leaves.as_slice());
        let pass = Pass { model, schema, batch, unique, leaves, sampling, device };
        let computed = match &mut self.weighting {
            None => watching_alone(pass),
            Some(weighting) => with_tasks(pass, &config.tasks, self.stay, weighting, step),
        };
        let Computed { mut gradient, loss, terms, tasks } = match computed {
            Ok(computed) => computed,
            Err(number) => return Ok(Err(number)),
        };
        let gradient_norm = gradient.norm();
        if !gradient_norm.is_finite() {
            let names: Vec<&str> = self.vocabularies.iter().map(|v| v.name.as_str()).collect();
            let (name, value) =
                gradient.not_finite(&names).unwrap_or(("all parameters".into(), f32::INFINITY));
            return Ok(Err(NotFinite { term: format!("the gradient of {name}"), value }));
        }

        // 3. Clip.
        let training = &config.training;
        if let Some(limit) = training.clip_norm {
            gradient.clip(gradient_norm, limit);
        }

        // 4. Update the dense parameters, then the rows.
        let rate = warmed_up(training.learning_rate, step, training.warmup_steps);
        let model = self.model.clone();
        self.model = self.optimizer.update(model, &gradient.dense, step, rate);
        self.store.scatter(&gathered, &gradient.rows, step)?;

        Ok(Ok(Measured { loss, terms, tasks, gradient_norm }))
    }
}

/// L_rec + L_reg, in one graph.
fn watching_alone(pass: Pass<'_>) -> Result<Computed, NotFinite> {
    let Pass { model, schema, batch, unique, leaves, sampling, device } = pass;
    let output = model.forward(schema, batch, unique, leaves, sampling);
    let objective = Objective::of(&output, &batch.known_labels().watched, device);
    drop(output);
    if let Some((term, value)) = objective.not_finite() {
        return Err(NotFinite { term: format!("loss term {term}"), value });
    }
    let mut gradients = objective.total.backward();
    let dense = parameters::gradients(model, &gradients);
    let rows = leaves.iter().map(|leaf| taken(leaf, &mut gradients)).collect();
    let gradient = Gradient { dense, rows };
    Ok(Computed { gradient, loss: objective.loss, terms: objective.terms, tasks: Vec::new() })
}

/// L_rec + sum w_i L_i + L_reg; in the alternating schedule updates with an even number are L_reg's, if the model has it.
fn with_tasks(
    pass: Pass<'_>,
    config: &TasksConfig,
    stay: Moments,
    weighting: &mut Weighting,
    step: u64,
) -> Result<Computed, NotFinite> {
    let alternating = config.schedule == Schedule::Alternating;
    if alternating
        && step.is_multiple_of(2)
        && let Some(computed) = gradient::regularizers(pass)?
    {
        return Ok(computed);
    }
    let pass = if alternating { Pass { sampling: None, ..pass } } else { pass };
    let rows = TaskRows::of(pass.batch, config.labels, &stay);
    gradient::compute(pass, config, &rows, weighting)
}
