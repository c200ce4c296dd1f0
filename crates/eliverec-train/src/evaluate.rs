//! Scoring a split and measuring the scores. Runs on a device without autodiff: tracking a forward pass that is never
//! differentiated costs more than a training step.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::{Device, Tensor};
use eliverec_core::normalize::Moments;
use eliverec_core::unique::UniqueIds;
use eliverec_core::{Batch, Normalization, Schema};
use eliverec_metrics::{Evaluation, Report, TaskEvaluation, UserAuc};
use eliverec_models::trace::Recorded;
use eliverec_models::{Model, Output, parameters};
use eliverec_store::Store;
use eliverec_tables::{FeedDirectory, Split};

use crate::checkpoint::{self, Commit};
use crate::config::Config;
use crate::device;
use crate::error::Error;
use crate::learner::leaves;
use crate::read_ahead::{Prepared, ReadAhead};
use crate::run::{self, RunDirectory};
use crate::tasks::TASKS;

/// A trained model with its rows, ready to score.
#[derive(Debug)]
pub struct Scorer {
    /// Of the run.
    pub config: Config,
    /// Of the feeds it was trained on.
    pub schema: Arc<Schema>,
    /// Of the training split.
    pub normalization: Normalization,
    /// Which checkpoint it is.
    pub commit: Commit,
    /// Dense parameters.
    pub model: Model,
    /// Embedding rows.
    pub store: Store,
    device: Device,
}

impl Scorer {
    /// Loads the best checkpoint of a run.
    ///
    /// # Errors
    /// [`Error::Run`] if nothing was committed yet, [`Error::Damaged`] for files that do not load.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let run = RunDirectory::existing(path)?;
        loop {
            let commit = checkpoint::read_commit(&run)?.ok_or_else(|| Error::Run {
                path: path.into(),
                reason: "has no checkpoint yet; train it, or go on with --resume".into(),
            })?;
            match Self::load(&run, commit.clone()) {
                // Training that goes on at the same time may have replaced the checkpoint under our hands.
                Err(_) if checkpoint::read_commit(&run)?.is_some_and(|c| c.best != commit.best) => {
                }
                loaded => return loaded,
            }
        }
    }

    fn load(run: &RunDirectory, commit: Commit) -> Result<Self, Error> {
        let (config, schema) = (run.config()?, Arc::new(run.schema()?));
        let device = device::open(config.training.device)?;
        let checkpoint = run.path().join(&commit.best);
        let dense = checkpoint::load_dense(&checkpoint)?;
        let model = Model::new(&config.settings(), &schema, config.seed, &device)?;
        let model = parameters::import(model, &dense.parameters)?;
        let store = checkpoint::load_store(&checkpoint, &config, &schema)?;
        let normalization = run.normalization()?;
        Ok(Self { config, schema, normalization, commit, model, store, device })
    }

    /// Metrics of a split of `feeds`, which must have the run's schema.
    ///
    /// # Errors
    /// A schema that differs, a split without feeds, feeds that break the contract.
    pub fn evaluate(
        &self,
        path: &Path,
        feeds: &FeedDirectory,
        split: Split,
    ) -> Result<Report, Error> {
        Ok(self.evaluate_in_detail(path, feeds, split)?.report)
    }

    /// The same, with what a report over several runs compares besides.
    ///
    /// # Errors
    /// As [`Scorer::evaluate`].
    pub fn evaluate_in_detail(
        &self,
        path: &Path,
        feeds: &FeedDirectory,
        split: Split,
    ) -> Result<Detail, Error> {
        run::check_schema(&RunDirectory::at(path), feeds)?;
        let never = AtomicBool::new(false);
        let seen = self.scoring().accumulate(&self.model, &self.store, feeds, split, &never)?;
        let (evaluation, tasks) = seen.expect("nobody asks this one to stop");
        let calibration = evaluation.calibration().bins();
        let (report, users) = evaluation.finish_with_users();
        let report = report.with_tasks(tasks.map(TaskEvaluation::finish));
        Ok(Detail { report, users, calibration })
    }

    /// Dense parameters, numbers.
    pub fn parameters(&self) -> u64 {
        let all = parameters::export(&self.model);
        all.values().map(|parameter| parameter.values.len() as u64).sum()
    }

    /// What scoring needs besides weights and rows.
    pub fn scoring(&self) -> Scoring<'_> {
        Scoring {
            config: &self.config,
            schema: &self.schema,
            normalization: &self.normalization,
            device: &self.device,
        }
    }
}

/// Metrics of a split and what they are made of.
#[derive(Clone, Debug)]
pub struct Detail {
    /// The metrics.
    pub report: Report,
    /// The AUC of every user with both classes.
    pub users: Vec<UserAuc>,
    /// Mean predicted, share watched and impressions by bin of the prediction.
    pub calibration: Vec<(f64, f64, u64)>,
}

/// What scoring needs besides weights and rows.
#[derive(Clone, Copy, Debug)]
pub struct Scoring<'a> {
    /// Of the run.
    pub config: &'a Config,
    /// Of the feeds.
    pub schema: &'a Arc<Schema>,
    /// Of the training split.
    pub normalization: &'a Normalization,
    /// Without autodiff.
    pub device: &'a Device,
}

impl Scoring<'_> {
    /// The batches of a split, in order.
    ///
    /// # Errors
    /// A split without feeds, files that cannot be read.
    pub fn batches(&self, feeds: &FeedDirectory, split: Split) -> Result<ReadAhead, Error> {
        let lengths = self.config.settings().lengths();
        let impressions = self.config.training.batch_impressions;
        let batches = feeds.batches(split, self.normalization, lengths, impressions, None)?;
        Ok(ReadAhead::new(batches, Arc::clone(self.schema)))
    }

    /// The rows of a batch's ids as one tensor per table.
    pub fn rows(&self, store: &Store, unique: &UniqueIds) -> Vec<Tensor<2>> {
        leaves(store.gather(unique), &self.config.settings().tables(self.schema), self.device)
    }

    /// Metrics of one split; `None` if `stop` was set on the way.
    ///
    /// # Errors
    /// Feeds that break the contract, scores that are no numbers.
    pub fn run(
        &self,
        model: &Model,
        store: &Store,
        feeds: &FeedDirectory,
        split: Split,
        stop: &AtomicBool,
    ) -> Result<Option<Report>, Error> {
        let seen = self.accumulate(model, store, feeds, split, stop)?;
        Ok(seen.map(|(evaluation, tasks)| {
            evaluation.finish().with_tasks(tasks.map(TaskEvaluation::finish))
        }))
    }

    fn accumulate(
        &self,
        model: &Model,
        store: &Store,
        feeds: &FeedDirectory,
        split: Split,
        stop: &AtomicBool,
    ) -> Result<Option<(Evaluation, Option<TaskEvaluation>)>, Error> {
        let (mut evaluation, mut tasks) = (Evaluation::new(), None);
        for prepared in self.batches(feeds, split)? {
            let Prepared { batch, unique } = prepared?;
            let rows = self.rows(store, &unique);
            let output = model.forward(self.schema, &batch, &unique, &rows, None);
            add(&mut evaluation, &batch, &output)?;
            if let Some(outputs) = &output.tasks {
                let stay = self.normalization.stay;
                add_tasks(tasks.get_or_insert_default(), &batch, outputs, stay)?;
            }
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
        }
        Ok(Some((evaluation, tasks)))
    }
}

fn add(evaluation: &mut Evaluation, batch: &Batch, output: &Output) -> Result<(), Error> {
    let probabilities: Vec<f32> = logits(output).into_iter().map(sigmoid).collect();
    let watched: Vec<bool> = batch.labels.watched.iter().map(|w| *w > 0.5).collect();
    for (user, range) in batch.user_ids.iter().zip(batch.candidates.ranges()) {
        evaluation.add_feed(*user, &probabilities[range.clone()], &watched[range])?;
    }
    Ok(())
}

/// The inter-channel tasks, where the label is known and the channel was entered.
fn add_tasks(
    evaluation: &mut TaskEvaluation,
    batch: &Batch,
    outputs: &[Tensor<1>; TASKS],
    stay: Moments,
) -> Result<(), Error> {
    let labels = &batch.labels;
    let [stays, bag_clicks, product_clicks] =
        outputs.each_ref().map(|output| Recorded::of(output).values);
    for i in (0..batch.impressions()).filter(|i| labels.watched[*i] > 0.5) {
        let known = |label: &[f32]| Some(label[i]).filter(|label| !label.is_nan());
        if let Some(seconds) = known(&labels.stay_s) {
            evaluation.add_stay(stay_seconds(stays[i], stay), seconds)?;
        }
        if let Some(clicked) = known(&labels.bag_click) {
            evaluation.add_bag_click(bag_clicks[i], clicked > 0.5)?;
        }
        if let Some(clicked) = known(&labels.product_click) {
            evaluation.add_product_click(product_clicks[i], clicked > 0.5)?;
        }
    }
    Ok(())
}

/// A stay in seconds from the model's standardised ln(1 + seconds): the median of what it predicts, not the mean.
pub(crate) fn stay_seconds(output: f32, stay: Moments) -> f32 {
    // A day is longer than any stay; without a bound one wild output would be infinite.
    const LONGEST: f32 = 86_400.0;
    stay.restore(output).exp_m1().clamp(0.0, LONGEST)
}

/// The logits of a batch, off the device.
pub(crate) fn logits(output: &Output) -> Vec<f32> {
    Recorded::of(&output.logits).values
}

/// `1 / (1 + exp(-z))`
pub(crate) fn sigmoid(z: f32) -> f32 {
    1.0 / (1.0 + (-z).exp())
}
