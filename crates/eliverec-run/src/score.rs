//! The one room where a batch is scored: rows of its ids, forward, every output. Evaluation, intent statistics, explanations
//! and whatever serves stand on it. Runs on a device without autodiff: tracking a forward pass that is never differentiated
//! costs more than a training step.

use std::path::Path;
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use eliverec_core::normalize::Moments;
use eliverec_core::task::TaskKind;
use eliverec_core::unique::UniqueIds;
use eliverec_core::{Batch, Normalization, Schema, TableSpec};
use eliverec_models::term::{Term, Training};
use eliverec_models::trace::{Recorded, Trace};
use eliverec_models::{Model, Output, parameters};
use eliverec_store::{MappedStore, RowReader};

use crate::checkpoint::{self, Commit};
use crate::config::Config;
use crate::device;
use crate::error::Error;
use crate::run::RunDirectory;

/// A batch and its distinct ids.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Whole feeds.
    pub batch: Batch,
    /// Its distinct ids per vocabulary.
    pub unique: UniqueIds,
}

impl Prepared {
    /// Finds the distinct ids of a batch.
    pub fn of(schema: &Schema, batch: Batch) -> Self {
        Self { unique: UniqueIds::of(schema, &batch), batch }
    }
}

/// One tensor `[u, width]` per table from the rows of a batch, row-major.
pub fn row_tensors(rows: Vec<Vec<f32>>, tables: &[TableSpec], device: &Device) -> Vec<Tensor<2>> {
    let all = rows.into_iter().zip(tables);
    all.map(|(values, table)| {
        let shape = [values.len() / table.width, table.width];
        Tensor::from_data(TensorData::new(values, shape), device)
    })
    .collect()
}

/// What scoring needs; a trained run has it all ([`Scorer`]), and so has one in training.
#[derive(Clone, Copy, Debug)]
pub struct Scoring<'a> {
    /// Dense parameters, on `device`.
    pub model: &'a Model,
    /// Embedding rows.
    pub rows: &'a dyn RowReader,
    /// Of the feeds.
    pub schema: &'a Arc<Schema>,
    /// Of the run.
    pub config: &'a Config,
    /// Of the training split.
    pub normalization: &'a Normalization,
    /// Without autodiff.
    pub device: &'a Device,
}

/// What a model says of the impressions of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// Of being watched `[n]`.
    pub p_watch: Vec<f32>,
    /// What happens to those who enter, a list `[n]` per task of the schema: seconds of a duration, the probability, given a
    /// watch, of what happens or not. `None` for a model without heads.
    pub tasks: Option<Vec<Vec<f32>>>,
}

impl Scoring<'_> {
    /// The rows of a batch's ids as one tensor per table.
    pub fn leaves(&self, unique: &UniqueIds) -> Vec<Tensor<2>> {
        row_tensors(self.rows.gather(unique), &self.config.tables(self.schema), self.device)
    }

    /// The scores of a batch.
    pub fn score(&self, prepared: &Prepared) -> Scores {
        let Prepared { batch, unique } = prepared;
        let leaves = self.leaves(unique);
        self.read(&self.model.forward(self.schema, batch, unique, &leaves, None))
    }

    /// The scores of a batch, every intermediate recorded by name.
    pub fn trace(&self, prepared: &Prepared, trace: &mut Trace) -> Scores {
        let Prepared { batch, unique } = prepared;
        let leaves = self.leaves(unique);
        self.read(&self.model.explain(self.schema, batch, unique, &leaves, None, trace))
    }

    /// The terms of the loss that the trunk adds, of a batch in the place of an update's; what they were computed from is
    /// recorded by name.
    pub fn terms(&self, prepared: &Prepared, asked: Training, trace: &mut Trace) -> Vec<Term> {
        let Prepared { batch, unique } = prepared;
        let leaves = self.leaves(unique);
        self.model.explain(self.schema, batch, unique, &leaves, Some(asked), trace).terms
    }

    fn read(&self, output: &Output) -> Scores {
        let values = |output: &Tensor<1>| Recorded::of(output).values;
        let tasks = output.tasks.as_ref().map(|outputs| outputs.iter().map(values).collect());
        Scores::of(values(&output.logits), tasks, self.schema, self.normalization)
    }
}

impl Scores {
    /// From what a model gives: the logits of being watched, and by task of the schema the standardised ln(1 + seconds) of a duration
    /// or the logit of what happens or not.
    pub fn of(
        logits: Vec<f32>,
        tasks: Option<Vec<Vec<f32>>>,
        schema: &Schema,
        normalization: &Normalization,
    ) -> Self {
        let tasks = tasks.map(|outputs| {
            let all = schema.task.iter().zip(outputs);
            all.map(|(task, output)| {
                let values = output.into_iter();
                match task.kind {
                    TaskKind::Duration => {
                        let moments = normalization.duration(&task.name);
                        values.map(|x| duration_s(x, moments)).collect()
                    }
                    TaskKind::Binary => values.map(sigmoid).collect(),
                }
            })
            .collect()
        });
        Self { p_watch: logits.into_iter().map(sigmoid).collect(), tasks }
    }
}

/// A duration in seconds from the model's standardised ln(1 + seconds): the median of what it predicts, not the mean.
fn duration_s(output: f32, stay: Moments) -> f32 {
    // Ten standard deviations from the mean are further than any label; without a bound one wild output would be infinite.
    const FURTHEST: f32 = 10.0;
    stay.restore(output.clamp(-FURTHEST, FURTHEST)).exp_m1().clamp(0.0, f32::MAX)
}

/// `1 / (1 + exp(-z))`
fn sigmoid(z: f32) -> f32 {
    1.0 / (1.0 + (-z).exp())
}

/// A model ready to score, with its rows, which a run and a bundle map from files of their own.
#[derive(Debug)]
pub struct Scorer<R = MappedStore> {
    /// Of the run.
    pub config: Config,
    /// Of the feeds it was trained on.
    pub schema: Arc<Schema>,
    /// Of the training split.
    pub normalization: Normalization,
    /// Dense parameters, on `device`.
    pub model: Model,
    /// Embedding rows.
    pub rows: R,
    /// Without autodiff.
    pub device: Device,
}

impl<R: RowReader> Scorer<R> {
    /// What scoring a batch needs.
    pub fn scoring(&self) -> Scoring<'_> {
        Scoring {
            model: &self.model,
            rows: &self.rows,
            schema: &self.schema,
            config: &self.config,
            normalization: &self.normalization,
            device: &self.device,
        }
    }

    /// Dense parameters, numbers.
    pub fn parameters(&self) -> u64 {
        let all = parameters::export(&self.model);
        all.values().map(|parameter| parameter.values.len() as u64).sum()
    }

    /// Whether it predicts what happens inside a channel.
    pub fn has_tasks(&self) -> bool {
        self.config.settings().heads.is_some()
    }
}

impl Scorer {
    /// Loads the best checkpoint of a run, and tells which it is.
    ///
    /// # Errors
    /// [`Error::Run`] if nothing was committed yet, [`Error::Damaged`] for files that do not load.
    pub fn open(path: &Path) -> Result<(Self, Commit), Error> {
        let run = RunDirectory::existing(path)?;
        loop {
            let commit = checkpoint::read_commit(&run)?.ok_or_else(|| Error::Run {
                path: path.into(),
                reason: "has no checkpoint yet; train it, or go on with --resume".into(),
            })?;
            match Self::load(&run, &commit) {
                // Training that goes on at the same time may have replaced the checkpoint under our hands.
                Err(_) if checkpoint::read_commit(&run)?.is_some_and(|c| c.best != commit.best) => {
                }
                loaded => return Ok((loaded?, commit)),
            }
        }
    }

    fn load(run: &RunDirectory, commit: &Commit) -> Result<Self, Error> {
        commit.check_files(run, &[&commit.best])?;
        let (config, schema) = (run.config()?, Arc::new(run.schema()?));
        let device = device::open(config.training.device)?;
        let checkpoint = run.path().join(&commit.best);
        let dense = checkpoint::load_dense(&checkpoint)?;
        let model = Model::new(&config.settings(), &schema, config.seed, &device)?;
        let model = parameters::import(model, &dense.parameters)?;
        let rows = checkpoint::map_store(&checkpoint, &config, &schema)?;
        let normalization = run.normalization()?;
        Ok(Self { config, schema, normalization, model, rows, device })
    }
}
