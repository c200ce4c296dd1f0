//! One update of everything that learns: dense parameters, accumulators, rows. Knows nothing of files and epochs, so that
//! the benchmark times exactly what training does.
//!
//! [`Learner::update`] is `gradient`, from a batch to its gradient, and `apply`, from a gradient to new weights and rows. Each reads
//! top to bottom; what a step is made of stands in `compute` and [`crate::tasks`], what is added up over shards in
//! [`crate::shards`].

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor};
use eliverec_core::profile::{self, Part as Work};
use eliverec_core::{Batch, Normalization, Schema, TableSpec};
use eliverec_models::draws::Draws;
use eliverec_models::term::{TermKind, Training, Turn};
use eliverec_models::{Model, parameters};
use eliverec_run::score::row_tensors;
use eliverec_run::tasks::Schedule;
use eliverec_run::{Config, Prepared, device};

use crate::compute::{Computed, regularisers, watching_alone, with_tasks};
use crate::error::Error;
use crate::gradient::{Gradient, NotFinite, sum_of_squares};
use crate::optimizer::{DenseOptimizer, warmed_up};
use crate::pass::{Pass, Terms};
use crate::passes::Passes;
use crate::shards::Shards;
use crate::shards::cut::{CutBatch, Part};
use crate::shards::rows::{GatheredRows, RowShards};
use crate::tasks::losses::TaskRows;
use crate::tasks::{Weighed, Weighting};

/// Weights, accumulators and rows.
#[derive(Debug)]
pub struct Learner {
    /// Dense parameters.
    pub model: Model,
    /// Their accumulators.
    pub optimizer: DenseOptimizer,
    /// Embedding rows with theirs: those of this rank's shards.
    pub store: RowShards,
    /// What balances the inter-channel tasks; `None` without them.
    pub weighting: Option<Weighting>,
    /// Standardises the durations of the tasks.
    normalization: Normalization,
    tables: Vec<TableSpec>,
    /// Numbers of every dense parameter.
    sizes: BTreeMap<String, usize>,
    device: Device,
}

/// What an update measured, over the whole batch. Of a rank none of whose shards has a feed, the trunk's own terms are missing.
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
    /// Rows of all tables.
    pub rows: usize,
}

impl Learner {
    /// Initial values, which depend on the seed, the parameters' names and the ids only. `normalization` standardises the
    /// durations of the inter-channel tasks. All shards are in this process.
    ///
    /// # Errors
    /// Settings that cannot be built, a device that this binary lacks.
    pub fn new(
        config: &Config,
        schema: &Schema,
        normalization: &Normalization,
    ) -> Result<Self, Error> {
        Self::of_shards(config, schema, normalization, Shards::here(config.training.shards))
    }

    /// The same on one of several ranks.
    ///
    /// # Errors
    /// As [`Learner::new`].
    pub fn of_shards(
        config: &Config,
        schema: &Schema,
        normalization: &Normalization,
        shards: Shards,
    ) -> Result<Self, Error> {
        let device = device::open(config.training.device)?.autodiff();
        let tables = config.tables(schema);
        let model = Model::new(&config.settings(), schema, config.seed, &device)?;
        let sizes = parameters::export(&model).into_iter();
        let sizes = sizes.map(|(name, parameter)| (name, parameter.values.len())).collect();
        Ok(Self {
            model,
            sizes,
            optimizer: DenseOptimizer::new(config.training.adagrad),
            store: RowShards::new(config, tables.clone(), shards)?,
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
        // 1. The rows of the batch's ids become leaves of the graph, in each part of it that this rank computes.
        let batch = CutBatch::new(prepared, schema, self.store.shards());
        let mut gathered = {
            let _within = profile::within(Work::Rows);
            self.store.gather_for_training(&batch, step)
        };
        let rows = std::mem::take(&mut gathered.parts);

        // 2. The iterative manner: first L_reg moves the encoder.
        let mut regularised = None;
        if self.alternates(config) {
            match self.regularise(config, schema, &batch, rows.clone(), step) {
                Ok(done) => regularised = done,
                Err(number) => return Ok(Err(number)),
            }
        }

        // 3. From the rows to the gradient, added up over all parts.
        let mut computed = match self.gradient(config, schema, &batch, rows, step) {
            Ok(computed) => computed,
            Err(number) => return Ok(Err(number)),
        };
        let of_parts = std::mem::take(&mut computed.gradient.rows);
        computed.gradient.rows = self.store.to_keepers(&batch, &gathered, of_parts);

        // 4. From the gradient to new weights and rows.
        let mut measured = self.apply(config, &gathered, computed, step)?;
        if let (Ok(measured), Some(regularised)) = (&mut measured, regularised) {
            measured.loss += regularised.loss;
            measured.terms.extend(regularised.terms);
            measured.kinds.extend(regularised.kinds);
            measured.figures.extend(regularised.figures);
        }
        self.store.shards().count_update();
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
        batch: &CutBatch<'_>,
        rows: Vec<Vec<Vec<f32>>>,
        step: u64,
    ) -> Result<Option<Computed>, NotFinite> {
        let leaves = self.leaves(rows);
        let turn = Turn::Only(TermKind::Regulariser);
        let regularised = regularisers(&self.passes(config, schema, batch, &leaves, step, turn))?;
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

    /// The rows of each part of a batch as leaves of a graph, by table.
    fn leaves(&self, parts: Vec<Vec<Vec<f32>>>) -> Vec<Vec<Tensor<2>>> {
        let _within = profile::within(Work::Copies);
        let leaves = |rows| {
            let leaves = row_tensors(rows, &self.tables, &self.device).into_iter();
            leaves.map(Tensor::require_grad).collect()
        };
        parts.into_iter().map(leaves).collect()
    }

    /// What update number `step` makes of a batch.
    fn passes<'a>(
        &'a self,
        config: &Config,
        schema: &'a Schema,
        batch: &'a CutBatch<'_>,
        leaves: &'a [Vec<Tensor<2>>],
        step: u64,
        terms: Turn,
    ) -> Passes<'a> {
        let (draws, shards) = (Draws { seed: config.seed, step }, self.store.shards());
        let whole = &batch.whole.batch;
        let pass = |(part, leaves): (&'a Part<'_>, &'a Vec<Tensor<2>>)| Pass {
            model: &self.model,
            schema,
            batch: &part.prepared.batch,
            unique: &part.prepared.unique,
            leaves,
            training: Training {
                draws,
                terms,
                shard_begins: (!shards.is_one()).then_some(part.feeds.start),
            },
            device: &self.device,
            whole_impressions: whole.impressions(),
        };
        Passes {
            parts: batch.parts.iter().zip(leaves).map(pass).collect(),
            of_shards: batch.parts.iter().map(|part| part.shard).collect(),
            model: &self.model,
            schema,
            batch: whole,
            shards,
            sizes: &self.sizes,
            device: &self.device,
        }
    }

    /// The gradient of a batch from the rows of its ids, by part and table: of all terms but, where the schedule alternates, L_reg.
    /// Dense parameters are added up over all parts, rows not yet. Only the weighting of tasks learns on the way.
    fn gradient(
        &mut self,
        config: &Config,
        schema: &Schema,
        batch: &CutBatch<'_>,
        rows: Vec<Vec<Vec<f32>>>,
        step: u64,
    ) -> Result<Computed, NotFinite> {
        let leaves = self.leaves(rows);
        let mut weighting = self.weighting.take();
        let turn = match config.tasks.schedule {
            Schedule::Alternating if weighting.is_some() => Turn::Only(TermKind::Auxiliary),
            _ => Turn::All,
        };
        let passes = self.passes(config, schema, batch, &leaves, step, turn);
        let computed = match &mut weighting {
            None => watching_alone(&passes),
            Some(weighting) => {
                let of = |batch: &Batch| {
                    TaskRows::of(batch, config.tasks.labels, &schema.task, &self.normalization)
                };
                let rows: Vec<TaskRows> = passes.parts.iter().map(|pass| of(pass.batch)).collect();
                let labels = match rows.as_slice() {
                    [whole] if passes.shards.is_one() => whole.all_labels(),
                    _ => of(passes.batch).all_labels(),
                };
                with_tasks(&passes, &config.tasks, (&rows, &labels), weighting)
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
    fn apply(
        &mut self,
        config: &Config,
        gathered: &GatheredRows,
        computed: Computed,
        step: u64,
    ) -> Result<Result<Measured, NotFinite>, Error> {
        let Computed { mut gradient, loss, terms, kinds, tasks, figures } = computed;
        let within = profile::within(Work::Optimiser);
        let (gradient_norm, rows) = self.norm_and_rows(&gradient);
        if !gradient_norm.is_finite() {
            let names = self.tables.iter().map(|table| table.name.as_str());
            let names: Vec<&str> = names.cycle().take(gradient.rows.len()).collect();
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
        drop(within);
        let _within = profile::within(Work::Rows);
        self.store.scatter(gathered, &gradient.rows, step)?;

        Ok(Ok(Measured { loss, terms, kinds, tasks, figures, gradient_norm, rows }))
    }

    /// The norm of a gradient, the rows of all shards included, and how many rows these have.
    fn norm_and_rows(&self, gradient: &Gradient) -> (f64, usize) {
        let shards = self.store.shards();
        if shards.is_one() {
            return (gradient.norm(), self.store.rows().sum());
        }
        let of_shards = gradient.rows.chunks(self.tables.len());
        let of_shards = of_shards.zip(self.store.rows()).map(|(gradients, rows)| {
            vec![gradients.iter().map(|gradient| sum_of_squares(gradient)).sum(), rows as f64]
        });
        let sums = shards.sum(&of_shards.collect::<Vec<_>>());
        let dense: f64 = gradient.dense.values().map(|values| sum_of_squares(values)).sum();
        ((dense + sums[0]).sqrt(), sums[1] as usize)
    }
}
