//! Two versions of one model on the same feeds: how far their scores are apart, and what that does to the metrics.

use std::collections::BTreeMap;

use eliverec_core::task::P_WATCH;
use eliverec_metrics::{Change, Evaluation, Report, ScoreChange, TaskEvaluation};
use eliverec_run::{Scores, Scoring};
use eliverec_tables::{FeedDirectory, Split};

use crate::error::Error;
use crate::evaluate::{add, add_tasks, batches, task_evaluations, task_report};

/// What was found.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// Requests.
    pub feeds: u64,
    /// Their candidates.
    pub impressions: u64,
    /// By the name of the scores' column, over all candidates.
    pub changes: BTreeMap<String, Change>,
    /// The metrics of the first and of the second; `None` where the feeds have no labels.
    pub reports: Option<[Report; 2]>,
}

/// Scores a split of `feeds` with both, which must be of one schema and config. `progress` hears the number of feeds so far.
///
/// # Errors
/// A split without feeds, feeds that break the contract, scores that are no numbers.
pub fn compare(
    both: [&Scoring<'_>; 2],
    feeds: &FeedDirectory,
    split: Split,
    mut progress: impl FnMut(u64),
) -> Result<Comparison, Error> {
    let schema = both[0].schema;
    let names: Vec<String> = std::iter::once(P_WATCH.to_owned())
        .chain(schema.task.iter().map(eliverec_core::Task::score_column))
        .collect();
    let mut changes = vec![ScoreChange::default(); names.len()];
    let mut measures = [Measure::default(), Measure::default()];
    let (mut count, mut impressions, mut labelled) = (0, 0, true);
    for prepared in batches(both[0], feeds, split)? {
        let prepared = prepared?;
        let [before, after] = both.map(|scoring| scoring.score(&prepared));
        for (change, (before, after)) in changes.iter_mut().zip(lists(&before).zip(lists(&after))) {
            change.add(before, after);
        }
        let batch = &prepared.batch;
        labelled &= batch.labels.is_some();
        if labelled {
            for (measure, scores) in measures.iter_mut().zip([&before, &after]) {
                add(&mut measure.watching, batch, &scores.p_watch)?;
                if let Some(outputs) = &scores.tasks {
                    let tasks = measure.tasks.get_or_insert_with(|| task_evaluations(schema));
                    add_tasks(tasks, batch, outputs)?;
                }
            }
        }
        count += batch.feeds() as u64;
        impressions += batch.impressions() as u64;
        progress(count);
    }
    let heads = both[0].config.settings().heads.is_some();
    let known = if heads { names.len() } else { 1 };
    let changes = names.into_iter().zip(&changes).take(known);
    Ok(Comparison {
        feeds: count,
        impressions,
        changes: changes.map(|(name, change)| (name, change.finish())).collect(),
        reports: labelled.then(|| {
            measures.map(|measure| {
                let tasks = measure.tasks.map(|tasks| task_report(schema, tasks));
                measure.watching.finish().with_tasks(tasks)
            })
        }),
    })
}

#[derive(Default)]
struct Measure {
    watching: Evaluation,
    tasks: Option<Vec<TaskEvaluation>>,
}

/// p(watch), then the tasks in the order of the schema.
fn lists(scores: &Scores) -> impl Iterator<Item = &Vec<f32>> {
    std::iter::once(&scores.p_watch).chain(scores.tasks.iter().flatten())
}
