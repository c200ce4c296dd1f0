//! Users' intents before any candidate is known, by a model's own forward: what retrieval asks with, offline and, for models that the
//! fast path does not take, in a service.

use eliverec_core::batch::Offsets;
use eliverec_models::intents::pooled;
use eliverec_models::trace::{Recorded, Trace};

use crate::config::Config;
use crate::score::{Prepared, Scoring};

/// Why the users of a model have no intents before any candidate is known; `None` if they have.
pub fn no_intents(config: &Config) -> Option<String> {
    let model = &config.model;
    (!model.has_intents()).then(|| {
        let name = model.name();
        format!(
            "the model {name}, as it is set, gives no user an intent before a candidate is known"
        )
    })
}

/// The intents of the user of each feed of a batch, each `[d]`: the consistent and the specific one of every domain in which the user
/// did something, live first ([`pooled`]). None of models that have none ([`no_intents`]).
pub fn intents(scoring: &Scoring<'_>, prepared: &Prepared) -> Vec<Vec<Vec<f32>>> {
    let mut all = vec![Vec::new(); prepared.batch.feeds()];
    if no_intents(scoring.config).is_some() {
        return all;
    }
    let mut trace = Trace::on();
    scoring.trace(prepared, &mut trace);
    let recorded = trace.into_recorded();
    let domains = [("live", &prepared.batch.channels), ("product", &prepared.batch.products)];
    for (domain, offsets) in domains {
        let of = |what: &str| recorded.get(&format!("{domain}.{what}"));
        if let (Some(events), Some(intention)) = (of("bare"), of("intention")) {
            for (intents, range) in all.iter_mut().zip(offsets.ranges()) {
                intents.extend(of_feed(events, intention, offsets, range).into_iter().flatten());
            }
        }
    }
    all
}

fn of_feed(
    events: &Recorded,
    intention: &Recorded,
    offsets: &Offsets,
    range: std::ops::Range<usize>,
) -> Option<[Vec<f32>; 2]> {
    let total = offsets.total();
    if total == 0 {
        return None;
    }
    let rows = |recorded: &Recorded| {
        let width = recorded.values.len() / total;
        recorded.values[range.start * width..range.end * width].to_vec()
    };
    pooled(&rows(events), &rows(intention), events.values.len() / total)
}
