//! What a model says of itself at an evaluation ([`eliverec_models::Model::observe`]), over the split's first batches. Logged beside the metrics,
//! because it may explain more about a run than its loss; for elive how far the weights of Eq. 5 are from undecided.

use std::collections::BTreeMap;

use eliverec_models::trace::Trace;
use eliverec_models::trunk::Observed;
use eliverec_run::Scoring;
use eliverec_tables::{FeedDirectory, Split};

use crate::error::Error;
use crate::evaluate::batches;

/// Rows behind a figure that are enough: one batch, or a few where users have next to no history.
const ENOUGH: usize = 1_000;

/// Batches that are looked through for them.
const BATCHES: usize = 64;

/// Mean of each figure over the validation split's first batches, as many as it takes to see a thousand rows of each. Empty for models
/// that say nothing; a figure without any row is left out.
///
/// # Errors
/// What reading the feeds gives.
pub fn observe(
    scoring: &Scoring<'_>,
    feeds: &FeedDirectory,
) -> Result<BTreeMap<String, f64>, Error> {
    let mut means: BTreeMap<String, Mean> = BTreeMap::new();
    for prepared in batches(scoring, feeds, Split::Validation)?.take(BATCHES) {
        let mut trace = Trace::on();
        scoring.trace(&prepared?, &mut trace);
        for observed in scoring.model.observe(&trace.into_recorded()) {
            means.entry(observed.name.clone()).or_default().add(&observed);
        }
        if means.values().all(|mean| mean.rows >= ENOUGH) {
            break;
        }
    }
    let known = means.into_iter().filter(|(_, mean)| mean.rows > 0);
    Ok(known.map(|(name, mean)| (name, mean.sum / mean.count as f64)).collect())
}

#[derive(Debug, Default)]
struct Mean {
    rows: usize,
    count: usize,
    sum: f64,
}

impl Mean {
    fn add(&mut self, observed: &Observed) {
        self.rows += observed.rows;
        self.count += observed.count;
        self.sum += observed.sum;
    }
}
