//! The training loop, top to bottom. No callbacks: what happens between two updates stands here in the order in which it happens,
//! what happens within one in [`crate::learner`].
//!
//! Everything that influences a number is a function of the config, the feeds and the position, so a run that was killed
//! and resumed ends with the numbers of one that was not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use eliverec_core::seed::{numbered, stream};
use eliverec_core::{Normalization, Schema};
use eliverec_run::checkpoint::{
    Finish, TrainingPosition, map_store, read_commit, remove_leftovers,
};
use eliverec_run::{Config, Prepared, RunDirectory, Scoring};
use eliverec_tables::{FeedDirectory, Shuffle, Split};

use crate::begin::begin;
use crate::checkpoint::{self, Saved};
use crate::error::Error;
use crate::floors::Floors;
use crate::gradient::NotFinite;
use crate::learner::Learner;
use crate::log::{MetricsLog, Record};
use crate::order::{TrainingEnd, TrainingOrder};
use crate::progress::{Progress, Reporter, Update};
use crate::ranks::first_alone;
use crate::read_ahead::ReadAhead;
use crate::shards::Shards;
use crate::{evaluate, figures, training_split};

/// Trains until it is over or `stop` is set.
///
/// # Errors
/// Bad configs, feeds and runs before anything is computed; a NaN or infinity with its step, term and batch.
pub fn train(
    order: &TrainingOrder,
    progress: Progress,
    stop: &AtomicBool,
) -> Result<TrainingEnd, Error> {
    let run = RunDirectory::at(&order.run);
    let begun = begin(order, &run)?;
    let shards = Shards::new(begun.config.training.shards, Arc::clone(&order.ranks))?;
    begun.pool.install(|| {
        let mut training =
            Training::open(&run, begun.config, order.feeds.clone(), progress, shards)?;
        begun.lines.iter().for_each(|line| training.reporter.say(line));
        training.run(stop)
    })
}

/// A run in memory.
struct Training<'a> {
    run: &'a RunDirectory,
    config: Config,
    feeds: FeedDirectory,
    /// Where the training split is read from.
    shuffled: FeedDirectory,
    feeds_per_epoch: u64,
    has_validation: bool,
    schema: Arc<Schema>,
    normalization: Normalization,
    learner: Learner,
    position: TrainingPosition,
    /// Of the first rank.
    log: Option<MetricsLog>,
    reporter: Reporter,
    floors: Floors,
    shards: Shards,
}

impl<'a> Training<'a> {
    /// From the last checkpoint, or from the beginning.
    fn open(
        run: &'a RunDirectory,
        config: Config,
        feeds: FeedDirectory,
        progress: Progress,
        shards: Shards,
    ) -> Result<Self, Error> {
        let has_validation = feeds.feeds(Split::Validation)? > 0;
        let schema = Arc::new(run.schema()?);
        let training_feeds = feeds.feeds(Split::Train)?;
        let commit = read_commit(run)?;
        if shards.is_first() {
            remove_leftovers(run, commit.as_ref())?;
        }
        let normalization = run.normalization()?;
        let mut learner = Learner::of_shards(&config, &schema, &normalization, shards.clone())?;
        let (mut position, mut metrics_bytes) = (TrainingPosition::default(), 0);
        if let Some(commit) = commit {
            if commit.training_feeds != training_feeds {
                let reason = format!(
                    "{training_feeds} training feeds, the run was trained on {}; resume it with the same feeds",
                    commit.training_feeds
                );
                let path = feeds.path().into();
                return Err(eliverec_run::Error::Run { path, reason }.into());
            }
            checkpoint::load(&run.path().join(&commit.current), &config, &schema, &mut learner)?;
            if commit.best != commit.current && shards.is_first() {
                // What the run is for in the end is not to be found damaged only then.
                map_store(&run.path().join(&commit.best), &config, &schema)?;
            }
            (position, metrics_bytes) = (commit.position, commit.metrics_bytes);
        }
        let open_log = || MetricsLog::open(&run.metrics_file(), metrics_bytes);
        let log = shards.is_first().then(open_log).transpose()?;
        let mut reporter = Reporter::new(progress, config.training.log_every_steps);
        let tell = |line: &str| reporter.say(line);
        let shuffled = first_alone(&**shards.ranks(), || {
            training_split::open(run, &config, &feeds, &position, tell)
        })?;
        Ok(Self {
            run,
            config,
            feeds,
            shuffled,
            feeds_per_epoch: training_feeds,
            has_validation,
            schema,
            normalization,
            learner,
            position,
            log,
            reporter,
            floors: Floors::default(),
            shards,
        })
    }

    /// THE loop: epochs of batches, between them evaluations and checkpoints.
    fn run(mut self, stop: &AtomicBool) -> Result<TrainingEnd, Error> {
        if let Some(finish) = self.position.finished {
            return Ok(TrainingEnd::AlreadyFinished(finish));
        }
        let mut batches = self.batches()?;
        loop {
            if self.position.evaluation_due && !self.is_asked_to(stop) {
                self.evaluate(stop)?;
            }
            if self.is_asked_to(stop) {
                self.save(false)?;
                return Ok(TrainingEnd::Interrupted { step: self.position.step });
            }
            if let Some(finish) = self.finish() {
                self.position.finished = Some(finish);
                // Without evaluations the last state is all there is to choose from.
                self.save(self.position.best_value.is_none())?;
                drop(batches);
                self.shards.barrier();
                if self.shards.is_first() {
                    training_split::close(self.run)?;
                }
                let traffic = self.shards.traffic();
                return Ok(TrainingEnd::Finished { finish, traffic });
            }
            let every = self.config.training.checkpoint_every_steps;
            if every > 0 && self.position.step > 0 && self.position.step.is_multiple_of(every) {
                self.save(false)?;
            }
            if let Some(prepared) = batches.next() {
                self.update(&prepared?)?;
            } else {
                self.position.epoch += 1;
                (self.position.batches, self.position.feeds) = (0, 0);
                if self.position.epoch < self.config.training.epochs {
                    batches = self.batches()?;
                }
            }
            self.position.evaluation_due = self.evaluation_is_due();
        }
    }

    /// Whether `stop` is set on any rank.
    fn is_asked_to(&self, stop: &AtomicBool) -> bool {
        self.shards.any(stop.load(Ordering::Relaxed))
    }

    /// The batches of this epoch that were not used yet.
    fn batches(&self) -> Result<ReadAhead, Error> {
        let training = &self.config.training;
        let shuffle = Shuffle {
            seed: numbered(stream(self.config.seed, "shuffle"), self.position.epoch),
            buffer_feeds: training.shuffle_buffer_feeds,
        };
        let mut batches = self.shuffled.batches(
            Split::Train,
            &self.schema,
            &self.normalization,
            self.config.settings().lengths(),
            training.batch_impressions,
            Some(shuffle),
        )?;
        batches.skip_batches(self.position.batches as usize)?;
        Ok(ReadAhead::new(batches, Arc::clone(&self.schema)))
    }

    /// One update, with what belongs around it: the position, the log, the progress.
    fn update(&mut self, prepared: &Prepared) -> Result<(), Error> {
        let (batch, step) = (&prepared.batch, self.position.step);
        let begun = Instant::now();
        let measured = self.learner.update(&self.config, &self.schema, prepared, step)?;
        let measured = measured.map_err(|number| self.not_finite(prepared, number))?;
        if let Some(log) = &mut self.log {
            log.write(&Record::Step {
                step,
                epoch: self.position.epoch,
                impressions: batch.impressions(),
                loss: measured.loss,
                terms: measured.terms.iter().map(|(name, value)| (name.as_ref(), *value)).collect(),
                kinds: measured.kinds.iter().map(|(name, kind)| (*name, kind.name())).collect(),
                tasks: measured
                    .tasks
                    .iter()
                    .map(|task| (task.task.as_str(), task.into()))
                    .collect(),
                figures: measured.figures.iter().copied().collect(),
                gradient_norm: measured.gradient_norm,
                rows: measured.rows,
                seconds: begun.elapsed().as_secs_f64(),
            })?;
        }
        self.position.step += 1;
        self.position.batches += 1;
        self.position.feeds += batch.feeds() as u64;
        self.reporter.update(&Update {
            step: self.position.step,
            epoch: self.position.epoch,
            epochs: self.config.training.epochs,
            impressions: batch.impressions(),
            done: self.done(),
            loss: measured.loss,
            terms: &measured.terms,
        });
        for line in self.floors.update(&measured.terms, &measured.figures) {
            self.reporter.say(&line);
        }
        Ok(())
    }

    /// Measures the validation split; a best value makes a checkpoint at once.
    fn evaluate(&mut self, stop: &AtomicBool) -> Result<(), Error> {
        let (training, step) = (&self.config.training, self.position.step);
        let (model, device) = self.learner.evaluated(&self.config, &self.schema)?;
        let scoring = Scoring {
            model: &model,
            rows: &self.learner.store,
            config: &self.config,
            schema: &self.schema,
            normalization: &self.normalization,
            device: &device,
        };
        let ranks = &**self.shards.ranks();
        let report = evaluate::measure(&scoring, &self.feeds, Split::Validation, stop, ranks)?;
        let Some(report) = report else { return Ok(()) };
        let value = training.stop_metric.of(&report);
        if value.is_none() && training.patience > 0 {
            let reason = format!(
                "training.stop_metric {} is undefined on the validation split, where no feed (or user) has a watched and an unwatched candidate; choose another, or set training.patience=0",
                training.stop_metric.name()
            );
            let path = self.feeds.path().into();
            return Err(eliverec_run::Error::Run { path, reason }.into());
        }
        let figures = figures::observe(&scoring, &self.feeds)?;
        let best = value.is_some_and(|v| self.position.best_value.is_none_or(|best| v > best));
        let split = Split::Validation.name();
        let epoch = self.position.epoch;
        if let Some(log) = &mut self.log {
            log.write(&Record::Evaluation { step, epoch, split, best, report: &report, figures })?;
        }
        self.reporter.say(&format!(
            "step {step} validation {} {:.4} auc {:.4} logloss {:.4}{}",
            training.stop_metric.name(),
            value.unwrap_or(f64::NAN).abs(),
            report.auc.unwrap_or(f64::NAN),
            report.logloss.unwrap_or(f64::NAN),
            if best { ", best so far" } else { "" },
        ));
        self.position.evaluation_due = false;
        self.position.evaluated_step = Some(step);
        self.position.without_improvement =
            if best { 0 } else { self.position.without_improvement + 1 };
        if best {
            self.position.best_value = value;
            self.save(true)?;
        }
        Ok(())
    }

    /// Whether an evaluation comes before the next update.
    fn evaluation_is_due(&self) -> bool {
        let (training, position) = (&self.config.training, &self.position);
        let scheduled = match training.evaluate_every_steps {
            0 => position.batches == 0,
            every => position.step.is_multiple_of(every),
        };
        let last =
            training.max_steps == Some(position.own_steps()) || position.epoch == training.epochs;
        self.has_validation
            && (scheduled || last)
            && position.step > 0
            && position.evaluated_step != Some(position.step)
    }

    /// Whether training is over, and why.
    fn finish(&self) -> Option<Finish> {
        let (training, position) = (&self.config.training, &self.position);
        if training.patience > 0 && position.without_improvement >= training.patience {
            Some(Finish::Patience)
        } else if training.max_steps.is_some_and(|max| position.own_steps() >= max) {
            Some(Finish::MaxSteps)
        } else if position.epoch >= training.epochs {
            Some(Finish::Epochs)
        } else {
            None
        }
    }

    fn save(&mut self, best: bool) -> Result<(), Error> {
        let saved = Saved {
            model: &self.learner.model,
            optimizer: &self.learner.optimizer,
            weighting: self.learner.weighting.as_ref(),
            store: &self.learner.store,
            position: &self.position,
            training_feeds: self.feeds_per_epoch,
        };
        checkpoint::save(self.run, &saved, self.log.as_mut(), best)
    }

    /// Share of the planned work that is done; patience may end it earlier.
    fn done(&self) -> f64 {
        let (training, position) = (&self.config.training, &self.position);
        let feeds = position.epoch * self.feeds_per_epoch + position.feeds;
        let by_feeds = feeds as f64 / (training.epochs * self.feeds_per_epoch) as f64;
        let by_steps =
            training.max_steps.map_or(0.0, |max| position.own_steps() as f64 / max as f64);
        by_feeds.max(by_steps)
    }

    fn not_finite(&self, prepared: &Prepared, number: NotFinite) -> Error {
        let requests = &prepared.batch.request_ids;
        Error::NotFinite {
            step: self.position.step,
            term: number.term,
            value: number.value,
            batch: format!(
                "epoch {}, batch {}, requests {} to {}",
                self.position.epoch,
                self.position.batches,
                requests[0],
                requests[requests.len() - 1]
            ),
        }
    }
}
