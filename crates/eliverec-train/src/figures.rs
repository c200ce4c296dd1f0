//! What a model says of itself at an evaluation ([`Model::observe`]), over the split's first batches. Logged beside the metrics,
//! because it may explain more about a run than its loss; for elive how far the weights of Eq. 5 are from undecided.

use std::collections::BTreeMap;

use eliverec_models::Model;
use eliverec_models::trace::Trace;
use eliverec_models::trunk::Observed;
use eliverec_store::Store;
use eliverec_tables::{FeedDirectory, Split};

use crate::error::Error;
use crate::evaluate::Scoring;
use crate::read_ahead::Prepared;

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
    model: &Model,
    store: &Store,
    feeds: &FeedDirectory,
) -> Result<BTreeMap<String, f64>, Error> {
    let mut means: BTreeMap<String, Mean> = BTreeMap::new();
    for prepared in scoring.batches(feeds, Split::Validation)?.take(BATCHES) {
        let Prepared { batch, unique } = prepared?;
        let rows = scoring.rows(store, &unique);
        let mut trace = Trace::on();
        model.explain(scoring.schema, &batch, &unique, &rows, &mut trace);
        for observed in model.observe(&trace.into_recorded()) {
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
