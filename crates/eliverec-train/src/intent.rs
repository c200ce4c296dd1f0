//! What the disentangling of Eq. 5 looks like: how far intent weights are from undecided. Logged at every evaluation as
//! `intent.*`, because a weight that stays at 1/2 or sits at 0 and 1 explains more about a run than its loss.

use std::collections::BTreeMap;

use eliverec_models::trace::Trace;
use eliverec_run::Scoring;
use eliverec_tables::{FeedDirectory, Split};

use crate::error::Error;
use crate::evaluate::batches;

/// Events of a domain that are enough: one batch, or a few where users have next to no history.
const ENOUGH: usize = 1_000;

/// Batches that are looked through for them.
const BATCHES: usize = 64;

/// Per domain, over the events and elements of the validation split's first batches, as many as it takes to see a thousand events of
/// each: `DOMAIN.distance_from_half`, the mean of |p_c - 1/2|, and `DOMAIN.share_above_half`, the share with p_c > 1/2. Empty for models
/// without intent weights; a domain without any event is left out.
///
/// # Errors
/// What reading the feeds gives.
pub fn statistics(
    scoring: &Scoring<'_>,
    feeds: &FeedDirectory,
) -> Result<BTreeMap<String, f64>, Error> {
    let mut sums: BTreeMap<String, Sums> = BTreeMap::new();
    for prepared in batches(scoring, feeds, Split::Validation)?.take(BATCHES) {
        let mut trace = Trace::on();
        scoring.trace(&prepared?, &mut trace);
        for (name, recorded) in trace.into_recorded() {
            if let Some(domain) = name.strip_suffix(".intention") {
                let events = recorded.shape[0];
                sums.entry(domain.into()).or_default().add(events, &recorded.values);
            }
        }
        if sums.values().all(|sums| sums.events >= ENOUGH) {
            break;
        }
    }
    let known = sums.into_iter().filter(|(_, sums)| sums.events > 0);
    Ok(known.flat_map(|(domain, sums)| sums.finish(&domain)).collect())
}

#[derive(Debug, Default)]
struct Sums {
    events: usize,
    elements: usize,
    distance: f64,
    above: usize,
}

impl Sums {
    fn add(&mut self, events: usize, intention: &[f32]) {
        self.events += events;
        self.elements += intention.len();
        self.distance += intention.iter().map(|p| f64::from((p - 0.5).abs())).sum::<f64>();
        self.above += intention.iter().filter(|p| **p > 0.5).count();
    }

    fn finish(self, domain: &str) -> [(String, f64); 2] {
        let elements = self.elements as f64;
        [
            (format!("{domain}.distance_from_half"), self.distance / elements),
            (format!("{domain}.share_above_half"), self.above as f64 / elements),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_of_all_batches_count_alike() {
        let mut sums = Sums::default();
        sums.add(0, &[]);
        sums.add(1, &[0.5, 0.75]);
        sums.add(2, &[0.0, 1.0]);
        assert_eq!(sums.events, 3);
        let [distance, above] = sums.finish("live");
        assert_eq!(distance, ("live.distance_from_half".into(), 0.3125));
        assert_eq!(above, ("live.share_above_half".into(), 0.5));
    }
}
