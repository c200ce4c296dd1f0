//! The scores of feeds, batch by batch, into a file or wherever they are wanted: what a trained run is for. Feeds need no labels.

use std::path::Path;
use std::sync::Arc;

use eliverec_core::Batch;
use eliverec_core::offsets::Offsets;
use eliverec_core::task::P_WATCH;
use eliverec_models::trace::{Recorded, Trace};
use eliverec_run::{Prepared, RunDirectory, Scorer, Scoring};
use eliverec_tables::scores::{NamedLists, OriginalIds, ScoreWriter, ScoredFeeds, intent_column};
use eliverec_tables::{FeedDirectory, FeedTable, Split};
use serde::Serialize;

use crate::error::Error;
use crate::evaluate::batches;
use crate::feeds_read::check_fit;
use crate::read_ahead::ReadAhead;

/// What was scored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Scored {
    /// Requests.
    pub feeds: u64,
    /// Their candidates, a row each.
    pub impressions: u64,
}

/// Scores a split of `feeds` with `scorer`, of the run at `path`, into the file `out`, which appears whole or not at all; with
/// `intents`, the consistent intent's share of each event too (Eq. 5). `progress` hears of every batch.
///
/// # Errors
/// A schema that differs from the run's, a split without feeds, feeds that break the contract, a model without intents, what
/// the file system refuses.
pub fn score(
    scorer: &Scorer,
    path: &Path,
    feeds: &FeedDirectory,
    split: Split,
    out: &Path,
    intents: bool,
    mut progress: impl FnMut(Scored),
) -> Result<Scored, Error> {
    check_fit(&RunDirectory::at(path), feeds)?;
    let scoring = scorer.scoring();
    let ids = OriginalIds::open(feeds, split)?;
    let mut writer = ScoreWriter::create(out, feeds)?;
    let batches = batches(&scoring, feeds, split)?;
    let scored = score_batches((&scoring, path), batches, ids, intents, |rows, so_far| {
        writer.write(rows)?;
        progress(so_far);
        Ok(())
    })?;
    writer.finish()?;
    Ok(scored)
}

/// Scores feeds in memory by the model at `path`, as [`score`] scores those of a directory; `each` gets the scores of some requests
/// at a time, in the order of the rows.
///
/// # Errors
/// Feeds that break the contract, a model whose scores are no numbers, what `each` gives.
pub fn score_table(
    scoring: &Scoring<'_>,
    path: &Path,
    feeds: &FeedTable,
    mut each: impl FnMut(ScoredFeeds<'_>) -> Result<(), Error>,
) -> Result<Scored, Error> {
    let lengths = scoring.config.settings().lengths();
    let impressions = scoring.config.training.batch_impressions;
    let batches = feeds.batches(scoring.schema, scoring.normalization, lengths, impressions);
    let batches = ReadAhead::new(batches, Arc::clone(scoring.schema));
    score_batches((scoring, path), batches, OriginalIds::of_table(feeds), false, |rows, _| {
        each(rows)
    })
}

/// Scores batches, whose requests have these ids, by the model at a path.
fn score_batches(
    (scoring, path): (&Scoring<'_>, &Path),
    batches: ReadAhead,
    mut ids: OriginalIds,
    intents: bool,
    mut each: impl FnMut(ScoredFeeds<'_>, Scored) -> Result<(), Error>,
) -> Result<Scored, Error> {
    let mut scored = Scored::default();
    for prepared in batches {
        let prepared = prepared?;
        let batch = &prepared.batch;
        let numbers = numbers(scoring, &prepared);
        refuse_no_numbers(&numbers, batch, path)?;
        scored.feeds += batch.feeds() as u64;
        scored.impressions += batch.impressions() as u64;
        let rows = ScoredFeeds {
            ids: ids.take(batch.feeds())?,
            candidates: &batch.candidates,
            numbers,
            lists: if intents { intents_of(scoring, &prepared, path)? } else { Vec::new() },
        };
        each(rows, scored)?;
    }
    Ok(scored)
}

/// NaN and infinities come of damaged weights; a file of them would look like scores.
fn refuse_no_numbers(
    numbers: &[(String, Vec<f32>)],
    batch: &Batch,
    run: &Path,
) -> Result<(), Error> {
    for (name, values) in numbers {
        if let Some(i) = values.iter().position(|value| !value.is_finite()) {
            let feed = batch.candidates.locate(i).0;
            let (value, request) = (values[i], batch.request_ids[feed]);
            let reason = format!("gives {name} = {value} for request {request}");
            return Err(eliverec_run::Error::Damaged { path: run.into(), reason }.into());
        }
    }
    Ok(())
}

/// Every output of the model by the name of its column `[n]`.
fn numbers(scoring: &Scoring<'_>, prepared: &Prepared) -> Vec<(String, Vec<f32>)> {
    let scores = scoring.score(prepared);
    let mut numbers = Vec::new();
    for (task, values) in scoring.schema.task.iter().zip(scores.tasks.into_iter().flatten()) {
        let joint = task.joint_column().map(|name| {
            let both = scores.p_watch.iter().zip(&values).map(|(watch, given)| watch * given);
            (name, both.collect())
        });
        numbers.push((task.score_column(), values));
        numbers.extend(joint);
    }
    numbers.insert(0, (P_WATCH.into(), scores.p_watch));
    numbers
}

/// p_c (Eq. 5) of every event, its mean over elements, by request and domain.
fn intents_of(scoring: &Scoring<'_>, prepared: &Prepared, run: &Path) -> Result<NamedLists, Error> {
    let mut trace = Trace::on();
    scoring.trace(prepared, &mut trace);
    let recorded = trace.into_recorded();
    let batch = &prepared.batch;
    let mut lists = Vec::new();
    for (domain, offsets) in [("live", &batch.channels), ("product", &batch.products)] {
        if let Some(intention) = recorded.get(&format!("{domain}.intention")) {
            lists.push((intent_column(domain), by_request(intention, offsets)));
        }
    }
    if lists.is_empty() {
        let name = scoring.config.model.name();
        let reason = format!("is of the model {name}, which has no intents; leave --intents out");
        return Err(eliverec_run::Error::Run { path: run.into(), reason }.into());
    }
    Ok(lists)
}

fn by_request(intention: &Recorded, offsets: &Offsets) -> Vec<Vec<f32>> {
    let width = intention.values.len() / offsets.total().max(1);
    let mean = |event: usize| {
        intention.values[event * width..(event + 1) * width].iter().sum::<f32>() / width as f32
    };
    offsets.ranges().map(|range| range.map(mean).collect()).collect()
}
