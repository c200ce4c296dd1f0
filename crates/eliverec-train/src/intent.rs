//! What the disentangling of Eq. 5 looks like: how far intent weights are from undecided. Logged at every evaluation as
//! `intent.*`, because a weight that stays at 1/2 or sits at 0 and 1 explains more about a run than its loss.

use std::collections::BTreeMap;

use eliverec_models::Model;
use eliverec_models::trace::Trace;
use eliverec_store::Store;
use eliverec_tables::{FeedDirectory, Split};

use crate::error::Error;
use crate::evaluate::Scoring;
use crate::read_ahead::Prepared;

/// Per domain, over the events and elements of the validation split's first batch: `DOMAIN.distance_from_half`, the mean of
/// |p_c - 1/2|, and `DOMAIN.share_above_half`, the share with p_c > 1/2. Empty for models without intent weights.
///
/// # Errors
/// What reading the feeds gives.
pub fn statistics(
    scoring: &Scoring<'_>,
    model: &Model,
    store: &Store,
    feeds: &FeedDirectory,
) -> Result<BTreeMap<String, f64>, Error> {
    let mut statistics = BTreeMap::new();
    let Some(prepared) = scoring.batches(feeds, Split::Validation)?.next() else {
        return Ok(statistics);
    };
    let Prepared { batch, unique } = prepared?;
    let rows = scoring.rows(store, &unique);
    let mut trace = Trace::on();
    model.explain(scoring.schema, &batch, &unique, &rows, &mut trace);
    for (name, recorded) in trace.into_recorded() {
        let Some(domain) = name.strip_suffix(".intention") else { continue };
        let count = recorded.values.len().max(1) as f64;
        let distance: f64 = recorded.values.iter().map(|p| f64::from((p - 0.5).abs())).sum();
        let above = recorded.values.iter().filter(|p| **p > 0.5).count() as f64;
        statistics.insert(format!("{domain}.distance_from_half"), distance / count);
        statistics.insert(format!("{domain}.share_above_half"), above / count);
    }
    Ok(statistics)
}
