//! What a state must know, from its log and the folds' online driver: it has no snapshots, no shards and never dies.

use std::collections::BTreeMap;
use std::sync::Arc;

use eliverec_core::Event;
use eliverec_features::{OnlineDriver, RequestFeatures};
use eliverec_state::{Error, Record, State};

use crate::log::{CHANNELS, USERS, config, dimensions, wanted};

const DAY_MS: i64 = 86_400_000;

/// All records of the log of a state that is not used any more.
pub(crate) fn records(state: &State) -> Result<Vec<(u64, Record)>, Error> {
    let mut records = Vec::new();
    for day in state.days_over(crate::log::BEGIN_MS + 10 * DAY_MS)? {
        state.read_day(day, |sequence, record| {
            records.push((sequence, record));
            Ok::<_, Error>(())
        })?;
    }
    Ok(records)
}

/// How often each event stands in the log.
pub(crate) fn counts(records: &[(u64, Record)]) -> BTreeMap<u64, usize> {
    let mut counts = BTreeMap::new();
    for (_, record) in records {
        if let Record::Event(event) = record {
            *counts.entry(event.event_id).or_default() += 1;
        }
    }
    counts
}

/// Features of every user and channel at `at_ms`, from the log alone.
pub(crate) fn expected(records: &[(u64, Record)], at_ms: i64) -> Vec<RequestFeatures> {
    let mut tables = dimensions();
    let events: Vec<&Event> = records
        .iter()
        .filter_map(|(_, record)| match record {
            Record::Event(event) => Some(event),
            Record::Upsert(upsert) => {
                let table = tables.table_mut(upsert.table.group()).unwrap();
                table.upsert(upsert.id, upsert.available_at_ms, &upsert.values).unwrap();
                None
            }
            Record::Drawn(_) | Record::Answered(_) => None,
        })
        .collect();
    let mut driver = OnlineDriver::new(config().features, &Arc::new(tables), &wanted()).unwrap();
    for event in events {
        driver.event(event);
    }
    let channels: Vec<u64> = (0..CHANNELS).collect();
    (0..USERS).map(|user| driver.features(user, at_ms, &channels)).collect()
}

/// The same as the state has them, at the moment that it gives.
pub(crate) fn found(state: &State, now_ms: i64) -> (i64, Vec<RequestFeatures>) {
    let channels: Vec<u64> = (0..CHANNELS).collect();
    let of_user = |user| state.features(&wanted(), user, now_ms, &channels);
    let features: Vec<_> = (0..USERS).map(of_user).collect();
    let at_ms = features[0].stand.ts_ms;
    assert!(features.iter().all(|of| of.stand.ts_ms == at_ms));
    (at_ms, features.into_iter().map(|of| of.values).collect())
}

/// The state knows what its log says.
pub(crate) fn check(state: &State, now_ms: i64) -> Vec<(u64, Record)> {
    let (at_ms, features) = found(state, now_ms);
    let records = records(state).unwrap();
    assert_eq!(records.len() as u64, state.position());
    assert_eq!(features, expected(&records, at_ms));
    records
}
