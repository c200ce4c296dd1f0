//! Scoring a split and measuring the scores.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use eliverec_core::task::{Task, TaskKind};
use eliverec_core::unique::UniqueIds;
use eliverec_core::{Batch, Schema};
use eliverec_metrics::{Evaluation, Report, TaskEvaluation, TaskReport, UserShares};
use eliverec_run::{Prepared, RunDirectory, Scorer, Scores, Scoring};
use eliverec_tables::scores::ScoreTable;
use eliverec_tables::{FeedDirectory, Split};

use crate::error::Error;
use crate::feeds_read::check_fit;
use crate::ranks::{Communicator, any, bytes, gather};
use crate::read_ahead::ReadAhead;

/// Metrics of a split and what they are made of.
#[derive(Clone, Debug)]
pub struct Detail {
    /// The metrics.
    pub report: Report,
    /// What every user has in AUC and gAUC, in the order of their ids.
    pub users: Vec<UserShares>,
    /// Mean predicted, share watched and impressions by bin of the prediction.
    pub calibration: Vec<(f64, f64, u64)>,
}

/// Metrics of a split of `feeds` by `scorer`, of the run at `path`, the same on every one of `ranks`, each of which scores its share of
/// the batches.
///
/// # Errors
/// A schema that differs from the run's, a split without feeds, feeds that break the contract.
pub fn evaluate(
    scorer: &Scorer,
    path: &Path,
    feeds: &FeedDirectory,
    split: Split,
    ranks: &dyn Communicator,
) -> Result<Detail, Error> {
    check_fit(&RunDirectory::at(path), feeds)?;
    let never = AtomicBool::new(false);
    let seen = accumulate(&scorer.scoring(), feeds, split, &never, ranks)?;
    let (evaluation, tasks) = seen.expect("nobody asks this one to stop");
    let calibration = evaluation.calibration().bins();
    let (report, users) = evaluation.finish_with_users();
    let report = report.with_tasks(tasks.map(|tasks| task_report(&scorer.schema, tasks)));
    Ok(Detail { report, users, calibration })
}

/// Metrics of a split of `feeds` by the scores of a file, which may be another system's.
///
/// # Errors
/// A split without feeds or labels, a candidate that the file does not have or has twice.
pub fn evaluate_scores(
    scores: &mut ScoreTable,
    feeds: &FeedDirectory,
    split: Split,
) -> Result<Detail, Error> {
    feeds.require_labels(split, "evaluation")?;
    let schema = feeds.schema();
    let mut evaluation = Evaluation::new();
    let mut tasks = task_evaluations(schema);
    for feed in feeds.read(split)? {
        let feed = feed?;
        let Some(labels) = &feed.candidates.labels else { continue };
        let rows = (0..feed.impressions()).map(|i| scores.find(&feed, i));
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        let p_watch: Vec<f32> = rows.iter().map(|row| scores.p_watch(*row)).collect();
        evaluation.add_feed(feed.user_id, &p_watch, &labels.watched)?;
        for (task, evaluation) in tasks.iter_mut().enumerate() {
            for (i, row) in rows.iter().enumerate().filter(|(i, _)| labels.watched[*i]) {
                if let (Some(score), Some(label)) = (scores.task(task, *row), labels.tasks[task][i])
                {
                    evaluation.add(score, label)?;
                }
            }
        }
    }
    scores.refuse_doubles()?;
    let calibration = evaluation.calibration().bins();
    let (report, users) = evaluation.finish_with_users();
    let named = schema.task.iter().zip(tasks).enumerate();
    let known = named.filter(|(task, _)| scores.has_task(*task));
    let tasks: TaskReport =
        known.flat_map(|(_, (task, evaluation))| evaluation.finish(&task.name)).collect();
    let report = report.with_tasks((!tasks.is_empty()).then_some(tasks));
    Ok(Detail { report, users, calibration })
}

/// Metrics of one split of a run in training, the same on every rank; `None` if `stop` was set on the way, on any of them.
///
/// # Errors
/// Feeds that break the contract, scores that are no numbers.
pub(crate) fn measure(
    scoring: &Scoring<'_>,
    feeds: &FeedDirectory,
    split: Split,
    stop: &AtomicBool,
    ranks: &dyn Communicator,
) -> Result<Option<Report>, Error> {
    let seen = accumulate(scoring, feeds, split, stop, ranks)?;
    Ok(seen.map(|(evaluation, tasks)| {
        evaluation.finish().with_tasks(tasks.map(|tasks| task_report(scoring.schema, tasks)))
    }))
}

/// The batches of a split, in order.
///
/// # Errors
/// A split without feeds, files that cannot be read.
pub fn batches(
    scoring: &Scoring<'_>,
    feeds: &FeedDirectory,
    split: Split,
) -> Result<ReadAhead, Error> {
    let lengths = scoring.config.settings().lengths();
    let impressions = scoring.config.training.batch_impressions;
    let batches =
        feeds.batches(split, scoring.schema, scoring.normalization, lengths, impressions, None)?;
    Ok(ReadAhead::new(batches, Arc::clone(scoring.schema)))
}

/// What is measured on the way: watching, and each task of a model that predicts them.
type Seen = (Evaluation, Option<Vec<TaskEvaluation>>);

fn accumulate(
    scoring: &Scoring<'_>,
    feeds: &FeedDirectory,
    split: Split,
    stop: &AtomicBool,
    ranks: &dyn Communicator,
) -> Result<Option<Seen>, Error> {
    feeds.require_labels(split, "evaluation")?;
    let (mut evaluation, mut tasks) = (Evaluation::new(), None);
    let mut batches = batches(scoring, feeds, split)?;
    loop {
        // A batch for each rank; all measure the scores of all, in the order of the batches, so that numbers are those of one.
        let round: Vec<Prepared> =
            batches.by_ref().take(ranks.ranks()).collect::<Result<_, _>>()?;
        if round.is_empty() {
            return Ok(Some((evaluation, tasks)));
        }
        for (Prepared { batch, .. }, scores) in round.iter().zip(score(scoring, &round, ranks)) {
            add(&mut evaluation, batch, &scores.p_watch)?;
            if let Some(outputs) = &scores.tasks {
                let tasks = tasks.get_or_insert_with(|| task_evaluations(scoring.schema));
                add_tasks(tasks, batch, outputs)?;
            }
        }
        if any(ranks, stop.load(Ordering::Relaxed)) {
            return Ok(None);
        }
    }
}

/// The scores of a batch for each rank, at most; each computes its own.
fn score(scoring: &Scoring<'_>, round: &[Prepared], ranks: &dyn Communicator) -> Vec<Scores> {
    if let ([prepared], 1) = (round, ranks.ranks()) {
        return vec![scoring.score(prepared)];
    }
    let own = if let Some(prepared) = round.get(ranks.rank()) {
        let Scores { p_watch, tasks } = scoring.score(prepared);
        let lists: Vec<Vec<f32>> = [p_watch].into_iter().chain(tasks.unwrap_or_default()).collect();
        bytes::joined(&lists.iter().map(|list| bytes::of(list)).collect::<Vec<_>>())
    } else {
        // Rows are looked up by all ranks together.
        let vocabularies = scoring.schema.vocabulary.iter();
        let none = vocabularies.map(|_| (Vec::new(), Vec::new())).collect();
        scoring.rows.gather(&UniqueIds::of_counts(none, (Vec::new(), Vec::new())));
        Vec::new()
    };
    let of_rank = |lists: Vec<u8>| {
        let mut lists = bytes::apart(&lists).into_iter().map(|list| bytes::numbers(&list));
        let p_watch = lists.next().unwrap_or_default();
        let tasks: Vec<Vec<f32>> = lists.collect();
        Scores { p_watch, tasks: (!tasks.is_empty()).then_some(tasks) }
    };
    gather(ranks, own).into_iter().take(round.len()).map(of_rank).collect()
}

pub(crate) fn task_evaluations(schema: &Schema) -> Vec<TaskEvaluation> {
    let of = |task: &Task| match task.kind {
        TaskKind::Binary => TaskEvaluation::binary(),
        TaskKind::Duration => TaskEvaluation::duration(),
    };
    schema.task.iter().map(of).collect()
}

pub(crate) fn task_report(schema: &Schema, tasks: Vec<TaskEvaluation>) -> TaskReport {
    let named = schema.task.iter().zip(tasks);
    named.flat_map(|(task, evaluation)| evaluation.finish(&task.name)).collect()
}

pub(crate) fn add(
    evaluation: &mut Evaluation,
    batch: &Batch,
    p_watch: &[f32],
) -> Result<(), Error> {
    let watched: Vec<bool> = batch.known_labels().watched.iter().map(|w| *w > 0.5).collect();
    for (user, range) in batch.user_ids.iter().zip(batch.candidates.ranges()) {
        evaluation.add_feed(*user, &p_watch[range.clone()], &watched[range])?;
    }
    Ok(())
}

/// The inter-channel tasks, where the label is known and the channel was entered.
pub(crate) fn add_tasks(
    evaluations: &mut [TaskEvaluation],
    batch: &Batch,
    scores: &[Vec<f32>],
) -> Result<(), Error> {
    let labels = batch.known_labels();
    let all = evaluations.iter_mut().zip(scores).zip(&labels.tasks);
    for ((evaluation, scores), observed) in all {
        for ((score, observed), watched) in scores.iter().zip(observed).zip(&labels.watched) {
            if *watched > 0.5 && !observed.is_nan() {
                evaluation.add(*score, *observed)?;
            }
        }
    }
    Ok(())
}
