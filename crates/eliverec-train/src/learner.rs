//! One update of everything that learns: dense parameters, accumulators, rows. Knows nothing of files and epochs, so that
//! the benchmark times exactly what training does.
//!
//! [`Learner::update`] is [`Learner::gradient`], from a batch to its gradient, and [`Learner::apply`], from a gradient to new
//! weights and rows. Each reads top to bottom; what a step is made of stands in [`crate::pass`] and [`crate::tasks`].

use burn::tensor::{Device, Tensor};
use eliverec_core::{Normalization, Schema, TableSpec};
use eliverec_models::draws::Draws;
use eliverec_models::model::Representation;
use eliverec_models::term::{TermKind, Training, Turn};
use eliverec_models::{Model, parameters};
use eliverec_run::score::row_tensors;
use eliverec_run::tasks::{GradientScope, Schedule, TasksConfig};
use eliverec_run::{Config, Prepared, device};
use eliverec_store::{Gathered, Store};

use crate::error::Error;
use crate::gradient::{Gradient, NotFinite};
use crate::objective::{finite, scalar};
use crate::optimizer::{DenseOptimizer, warmed_up};
use crate::pass::{Pass, Terms, with_terms};
use crate::tasks::cut::Cut;
use crate::tasks::losses::TaskRows;
use crate::tasks::{Signal, Weighed, Weighting, at_parameters};

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
    /// Standardises the durations of the tasks.
    normalization: Normalization,
    tables: Vec<TableSpec>,
    device: Device,
}

/// What an update measured.
#[derive(Debug)]
pub struct Measured {
    /// Weighted sum of the terms, each a mean.
    pub loss: f32,
    /// The terms by name, unweighted.
    pub terms: Terms,
    /// What those of the trunk are for.
    pub kinds: Vec<(&'static str, TermKind)>,
    /// The inter-channel tasks with labels in the batch.
    pub tasks: Vec<Weighed>,
    /// The trunk's own figures by name.
    pub figures: Vec<(&'static str, f32)>,
    /// Norm of the gradient of the sum over the batch, before clipping.
    pub gradient_norm: f64,
}

/// The gradient of one batch, before it changes anything.
#[derive(Debug)]
pub struct Computed {
    /// Of the sum over the batch.
    pub gradient: Gradient,
    pub(crate) loss: f32,
    pub(crate) terms: Terms,
    kinds: Vec<(&'static str, TermKind)>,
    pub(crate) tasks: Vec<Weighed>,
    figures: Vec<(&'static str, f32)>,
}

impl Learner {
    /// Initial values, which depend on the seed, the parameters' names and the ids only. `normalization` standardises the
    /// durations of the inter-channel tasks.
    ///
    /// # Errors
    /// Settings that cannot be built, a device that this binary lacks.
    pub fn new(
        config: &Config,
        schema: &Schema,
        normalization: &Normalization,
    ) -> Result<Self, Error> {
        let device = device::open(config.training.device)?.autodiff();
        let tables = config.tables(schema);
        Ok(Self {
            model: Model::new(&config.settings(), schema, config.seed, &device)?,
            optimizer: DenseOptimizer::new(config.training.adagrad),
            store: Store::new(config.seed, tables.clone(), config.store.clone())?,
            weighting: Weighting::new(&config.tasks, &schema.task, config.seed)?,
            normalization: normalization.clone(),
            tables,
            device,
        })
    }

    /// The tables of rows.
    pub fn tables(&self) -> &[TableSpec] {
        &self.tables
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
        let rows = std::mem::take(&mut gathered.rows);

        // 2. The iterative manner: first L_reg moves the encoder.
        let mut regularised = None;
        if self.alternates(config) {
            match self.regularise(config, schema, prepared, rows.clone(), step) {
                Ok(done) => regularised = done,
                Err(number) => return Ok(Err(number)),
            }
        }

        // 3. From the rows to the gradient. On several machines, theirs would be added up after this.
        let computed = match self.gradient(config, schema, prepared, rows, step) {
            Ok(computed) => computed,
            Err(number) => return Ok(Err(number)),
        };

        // 4. From the gradient to new weights and rows.
        let mut measured = self.apply(config, &gathered, computed, step)?;
        if let (Ok(measured), Some(regularised)) = (&mut measured, regularised) {
            measured.loss += regularised.loss;
            measured.terms.extend(regularised.terms);
            measured.kinds.extend(regularised.kinds);
            measured.figures.extend(regularised.figures);
        }
        Ok(measured)
    }

    /// Whether L_reg has steps of its own.
    fn alternates(&self, config: &Config) -> bool {
        self.weighting.is_some() && config.tasks.schedule == Schedule::Alternating
    }

    /// The first half of the iterative manner (Sec. IV-D): "we leverage the regularization term to optimize the encoder module". A
    /// step along L_reg of the trunk's parameters alone; tower, heads, maps and rows stay. `None` for a model without L_reg.
    pub(crate) fn regularise(
        &mut self,
        config: &Config,
        schema: &Schema,
        prepared: &Prepared,
        rows: Vec<Vec<f32>>,
        step: u64,
    ) -> Result<Option<Computed>, NotFinite> {
        let leaves = self.leaves(rows);
        let pass = self.pass(config, schema, prepared, &leaves, step);
        let regularised = regularisers(pass.with(Turn::Only(TermKind::Regulariser)))?;
        let Some(mut computed) = regularised else { return Ok(None) };
        let gradient = &mut computed.gradient;
        gradient.dense.retain(|name, _| name.starts_with("trunk."));
        gradient.rows.clear();
        let norm = gradient.norm();
        if !norm.is_finite() {
            let (name, value) =
                gradient.not_finite(&[]).unwrap_or(("the encoder".into(), f32::INFINITY));
            return Err(NotFinite { term: format!("the gradient of L_reg at {name}"), value });
        }
        let training = &config.training;
        if let Some(limit) = training.clip_norm {
            gradient.clip(norm, limit);
        }
        let rate = warmed_up(training.learning_rate, step, training.warmup_steps);
        let model = self.model.clone();
        self.model = self.optimizer.update_besides(model, &gradient.dense, rate);
        Ok(Some(computed))
    }

    /// The rows of a batch's ids as leaves of a graph, by table.
    fn leaves(&self, rows: Vec<Vec<f32>>) -> Vec<Tensor<2>> {
        let leaves = row_tensors(rows, &self.tables, &self.device).into_iter();
        leaves.map(Tensor::require_grad).collect()
    }

    /// What update number `step` makes of a batch.
    fn pass<'a>(
        &'a self,
        config: &Config,
        schema: &'a Schema,
        prepared: &'a Prepared,
        leaves: &'a [Tensor<2>],
        step: u64,
    ) -> Pass<'a> {
        let draws = Draws { seed: config.seed, step };
        Pass {
            model: &self.model,
            schema,
            batch: &prepared.batch,
            unique: &prepared.unique,
            leaves,
            training: Training { draws, terms: Turn::All },
            device: &self.device,
        }
    }

    /// The gradient of a batch from the rows of its ids, by table: of all terms but, where the schedule alternates, L_reg. Only
    /// the weighting of tasks learns on the way.
    ///
    /// # Errors
    /// A loss that is no number.
    pub fn gradient(
        &mut self,
        config: &Config,
        schema: &Schema,
        prepared: &Prepared,
        rows: Vec<Vec<f32>>,
        step: u64,
    ) -> Result<Computed, NotFinite> {
        let leaves = self.leaves(rows);
        let mut weighting = self.weighting.take();
        let pass = self.pass(config, schema, prepared, &leaves, step);
        let computed = match &mut weighting {
            None => watching_alone(pass),
            Some(weighting) => {
                let labels = config.tasks.labels;
                let rows = TaskRows::of(pass.batch, labels, &schema.task, &self.normalization);
                let pass = match config.tasks.schedule {
                    Schedule::Joint => pass,
                    Schedule::Alternating => pass.with(Turn::Only(TermKind::Auxiliary)),
                };
                with_tasks(pass, &config.tasks, &rows, weighting)
            }
        };
        self.weighting = weighting;
        computed
    }

    /// Changes weights and rows by the gradient of a batch, whose rows were `gathered`. The inner result is a number of the gradient
    /// that is none; nothing has changed then.
    ///
    /// # Errors
    /// Gradients that the store refuses.
    pub fn apply(
        &mut self,
        config: &Config,
        gathered: &Gathered,
        computed: Computed,
        step: u64,
    ) -> Result<Result<Measured, NotFinite>, Error> {
        let Computed { mut gradient, loss, terms, kinds, tasks, figures } = computed;
        let gradient_norm = gradient.norm();
        if !gradient_norm.is_finite() {
            let names: Vec<&str> = self.tables.iter().map(|table| table.name.as_str()).collect();
            let (name, value) =
                gradient.not_finite(&names).unwrap_or(("all parameters".into(), f32::INFINITY));
            return Ok(Err(NotFinite { term: format!("the gradient of {name}"), value }));
        }

        // 1. Clip.
        let training = &config.training;
        if let Some(limit) = training.clip_norm {
            gradient.clip(gradient_norm, limit);
        }

        // 2. Update the dense parameters, then the rows.
        let rate = warmed_up(training.learning_rate, step, training.warmup_steps);
        let model = self.model.clone();
        self.model = self.optimizer.update(model, &gradient.dense, step, rate);
        self.store.scatter(gathered, &gradient.rows, step)?;

        Ok(Ok(Measured { loss, terms, kinds, tasks, figures, gradient_norm }))
    }
}

/// L_rec and the trunk's own terms, in one graph.
fn watching_alone(pass: Pass<'_>) -> Result<Computed, NotFinite> {
    // 1. Forward.
    let represented = pass.represent();
    let (kinds, figures) = (kinds(&represented), represented.figures.clone());

    // 2. L_rec + sum lambda L.
    let fields = represented.fields.iter().map(|(_, field)| field.clone()).collect();
    let watch = pass.watch(fields, represented.logit.clone())?;
    let mut terms: Terms = vec![("watch".into(), scalar(&watch))];
    let loss = finite("loss", with_terms(watch, &represented, &mut terms)?)?;
    drop(represented);

    // 3. Backward.
    let (value, tasks) = (scalar(&loss), Vec::new());
    Ok(Computed { loss: value, gradient: pass.backward(loss), terms, kinds, tasks, figures })
}

/// L_rec + sum w_i L_i and the trunk's own terms, where the weights may depend on how the gradients of the tasks agree.
pub(crate) fn with_tasks(
    pass: Pass<'_>,
    config: &TasksConfig,
    rows: &TaskRows,
    weighting: &mut Weighting,
) -> Result<Computed, NotFinite> {
    if config.gradient_scope == GradientScope::Parameters {
        let found = at_parameters::compute(pass, rows, weighting)?;
        let signals = (found.signals, found.weights);
        let (represented, terms) = (found.represented, found.terms);
        return Ok(summed(pass.schema, found.gradient, found.watch, signals, &represented, terms));
    }
    // 1. Forward: the trunk, once.
    let represented = pass.represent();
    let cut = Cut::new(pass, &represented);

    // 2. The gradient of each loss at F, by itself.
    let watching = cut.watch()?;
    let tasks = cut.tasks(rows)?;

    // 3. eq. 14-15: weights.
    let signals = cut.signals(&watching, &tasks, rows);
    let weights = weighting.weigh(&signals);

    // 4. Backward: their weighted sum and the trunk's own terms, through the trunk, once.
    let (watch, mut terms) = (watching.loss, Vec::new());
    let gradient = cut.backward(watching, &tasks, rows, &weights, &mut terms)?;
    Ok(summed(pass.schema, gradient, watch, (signals, weights), &represented, terms))
}

/// L_reg alone, its step in the alternating schedule; `None` for a model that has none.
fn regularisers(pass: Pass<'_>) -> Result<Option<Computed>, NotFinite> {
    let represented = pass.represent();
    if represented.terms.is_empty() {
        return Ok(None);
    }
    let (kinds, figures) = (kinds(&represented), represented.figures.clone());
    let mut terms = Vec::new();
    let zero = Tensor::zeros([1], pass.device);
    let loss = with_terms(zero, &represented, &mut terms)?;
    let (value, tasks) = (scalar(&loss), Vec::new());
    let gradient = pass.backward(loss);
    Ok(Some(Computed { loss: value, gradient, terms, kinds, tasks, figures }))
}

/// L = L_rec + sum w_i L_i + sum lambda L, from what was measured.
fn summed(
    schema: &Schema,
    gradient: Gradient,
    watch: f32,
    (signals, weights): (Vec<Option<Signal>>, Vec<f32>),
    represented: &Representation,
    own: Terms,
) -> Computed {
    let names = schema.task.iter().map(|task| task.name.clone());
    let all = names.zip(signals).zip(weights);
    let tasks: Vec<Weighed> = all
        .filter_map(|((task, signal), weight)| Some(Weighed { task, signal: signal?, weight }))
        .collect();
    let of_tasks = tasks.iter().map(|weighed| weighed.weight * weighed.signal.loss);
    let lambdas = represented.terms.iter().map(|term| term.weight);
    let of_trunk = lambdas.zip(&own).map(|(lambda, (_, value))| lambda * value);
    let loss = watch + of_tasks.sum::<f32>() + of_trunk.sum::<f32>();

    let mut terms: Terms = vec![("watch".into(), watch)];
    terms.extend(tasks.iter().map(|weighed| (weighed.task.clone().into(), weighed.signal.loss)));
    terms.extend(own);
    let (kinds, figures) = (kinds(represented), represented.figures.clone());
    Computed { gradient, loss, terms, kinds, tasks, figures }
}

fn kinds(represented: &Representation) -> Vec<(&'static str, TermKind)> {
    represented.terms.iter().map(|term| (term.name, term.kind)).collect()
}
