//! Scoring a split and measuring the scores.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use eliverec_core::Batch;
use eliverec_metrics::{Evaluation, Report, TaskEvaluation, UserAuc};
use eliverec_run::score::TaskScores;
use eliverec_run::{RunDirectory, Scorer, Scores, Scoring};
use eliverec_tables::{FeedDirectory, Split};

use crate::error::Error;
use crate::read_ahead::ReadAhead;

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

/// Metrics of a split of `feeds` by `scorer`, of the run at `path`.
///
/// # Errors
/// A schema that differs from the run's, a split without feeds, feeds that break the contract.
pub fn evaluate(
    scorer: &Scorer,
    path: &Path,
    feeds: &FeedDirectory,
    split: Split,
) -> Result<Detail, Error> {
    RunDirectory::at(path).check_schema(feeds.schema(), feeds.path())?;
    let never = AtomicBool::new(false);
    let seen = accumulate(&scorer.scoring(), feeds, split, &never)?;
    let (evaluation, tasks) = seen.expect("nobody asks this one to stop");
    let calibration = evaluation.calibration().bins();
    let (report, users) = evaluation.finish_with_users();
    let report = report.with_tasks(tasks.map(TaskEvaluation::finish));
    Ok(Detail { report, users, calibration })
}

/// Metrics of one split of a run in training; `None` if `stop` was set on the way.
///
/// # Errors
/// Feeds that break the contract, scores that are no numbers.
pub(crate) fn measure(
    scoring: &Scoring<'_>,
    feeds: &FeedDirectory,
    split: Split,
    stop: &AtomicBool,
) -> Result<Option<Report>, Error> {
    let seen = accumulate(scoring, feeds, split, stop)?;
    Ok(seen.map(|(evaluation, tasks)| {
        evaluation.finish().with_tasks(tasks.map(TaskEvaluation::finish))
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
    let batches = feeds.batches(split, scoring.normalization, lengths, impressions, None)?;
    Ok(ReadAhead::new(batches, Arc::clone(scoring.schema)))
}

fn accumulate(
    scoring: &Scoring<'_>,
    feeds: &FeedDirectory,
    split: Split,
    stop: &AtomicBool,
) -> Result<Option<(Evaluation, Option<TaskEvaluation>)>, Error> {
    let (mut evaluation, mut tasks) = (Evaluation::new(), None);
    for prepared in batches(scoring, feeds, split)? {
        let prepared = prepared?;
        let Scores { p_watch, tasks: outputs } = scoring.score(&prepared);
        add(&mut evaluation, &prepared.batch, &p_watch)?;
        if let Some(outputs) = &outputs {
            add_tasks(tasks.get_or_insert_default(), &prepared.batch, outputs)?;
        }
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
    }
    Ok(Some((evaluation, tasks)))
}

fn add(evaluation: &mut Evaluation, batch: &Batch, p_watch: &[f32]) -> Result<(), Error> {
    let watched: Vec<bool> = batch.labels.watched.iter().map(|w| *w > 0.5).collect();
    for (user, range) in batch.user_ids.iter().zip(batch.candidates.ranges()) {
        evaluation.add_feed(*user, &p_watch[range.clone()], &watched[range])?;
    }
    Ok(())
}

/// The inter-channel tasks, where the label is known and the channel was entered.
fn add_tasks(
    evaluation: &mut TaskEvaluation,
    batch: &Batch,
    scores: &TaskScores,
) -> Result<(), Error> {
    let labels = &batch.labels;
    for i in (0..batch.impressions()).filter(|i| labels.watched[*i] > 0.5) {
        let known = |label: &[f32]| Some(label[i]).filter(|label| !label.is_nan());
        if let Some(seconds) = known(&labels.stay_s) {
            evaluation.add_stay(scores.stay_s[i], seconds)?;
        }
        if let Some(clicked) = known(&labels.bag_click) {
            evaluation.add_bag_click(scores.bag_click[i], clicked > 0.5)?;
        }
        if let Some(clicked) = known(&labels.product_click) {
            evaluation.add_product_click(scores.product_click[i], clicked > 0.5)?;
        }
    }
    Ok(())
}
