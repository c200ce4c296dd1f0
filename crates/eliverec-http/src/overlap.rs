//! Which sources of retrieval gave the candidates of the last hour, and which gave the same ones.

use std::collections::BTreeMap;
use std::time::Duration;

use eliverec_retrieval::{Candidate, SourceName};
use serde::Serialize;
use utoipa::ToSchema;

use crate::ring::Ring;

const SOURCES: usize = SourceName::ALL.len();

/// See the module.
#[derive(Debug)]
pub(crate) struct Overlap(Ring<Counts>);

/// Of one minute.
#[derive(Debug, Default)]
struct Counts {
    requests: u64,
    candidates: u64,
    first: [u64; SOURCES],
    alone: [u64; SOURCES],
    /// By source and source: candidates that both gave; of one with itself all that it gave.
    both: [[u64; SOURCES]; SOURCES],
}

impl Default for Overlap {
    fn default() -> Self {
        Self(Ring::new(Duration::from_mins(1), 60))
    }
}

/// The candidates of the last hour by source.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct SourcesReport {
    /// Recommendations that candidates were found for.
    pub requests: u64,
    /// Their candidates, each counted once a request.
    pub candidates: u64,
    /// In the order in which they are merged.
    pub sources: Vec<SourceReport>,
}

/// One source.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct SourceReport {
    /// Its name.
    pub source: &'static str,
    /// The most channels that it gives a request.
    pub quota: usize,
    /// Why it gives nothing; `null` of one that can.
    pub left_out: Option<String>,
    /// Candidates that it gave.
    pub gave: u64,
    /// Candidates that it gave first.
    pub first: u64,
    /// Candidates that no other gave.
    pub alone: u64,
    /// By other source: candidates that both gave.
    #[schema(value_type = Object)]
    pub shared: BTreeMap<&'static str, u64>,
}

impl Overlap {
    /// Channels that retrieval found for a request.
    pub(crate) fn add(&self, found: &[Candidate]) {
        let place = |source: SourceName| SourceName::ALL.iter().position(|of| *of == source);
        self.0.change(self.0.elapsed(), |counts| {
            counts.requests += 1;
            counts.candidates += found.len() as u64;
            for candidate in found {
                let mut gave = [false; SOURCES];
                for place in candidate.given_by.iter().filter_map(|given| place(given.source)) {
                    gave[place] = true;
                }
                let first = candidate.given_by.first().and_then(|given| place(given.source));
                let is_alone = gave.iter().filter(|gave| **gave).count() == 1;
                if let Some(first) = first {
                    counts.first[first] += 1;
                    counts.alone[first] += u64::from(is_alone);
                }
                for (row, of_row) in counts.both.iter_mut().zip(gave) {
                    row.iter_mut().zip(gave).for_each(|(n, of)| *n += u64::from(of && of_row));
                }
            }
        });
    }

    /// What was counted, with the quota of each source and why some are left out.
    pub(crate) fn report(
        &self,
        quota: impl Fn(SourceName) -> usize,
        left_out: &BTreeMap<&'static str, String>,
    ) -> SourcesReport {
        let mut sum = Counts::default();
        self.0.read(self.0.elapsed(), |minutes| {
            for (_, minute) in minutes {
                sum.requests += minute.requests;
                sum.candidates += minute.candidates;
                for i in 0..SOURCES {
                    sum.first[i] += minute.first[i];
                    sum.alone[i] += minute.alone[i];
                    (0..SOURCES).for_each(|j| sum.both[i][j] += minute.both[i][j]);
                }
            }
        });
        let sources = SourceName::ALL.into_iter().enumerate().map(|(i, source)| SourceReport {
            source: source.name(),
            quota: quota(source),
            left_out: left_out.get(source.name()).cloned(),
            gave: sum.both[i][i],
            first: sum.first[i],
            alone: sum.alone[i],
            shared: SourceName::ALL
                .into_iter()
                .enumerate()
                .filter(|(j, _)| *j != i)
                .map(|(j, other)| (other.name(), sum.both[i][j]))
                .collect(),
        });
        SourcesReport {
            requests: sum.requests,
            candidates: sum.candidates,
            sources: sources.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use eliverec_retrieval::merge::Given;

    use super::*;

    #[test]
    fn what_two_sources_gave_is_shared() {
        let candidate = |channel_id, sources: &[SourceName]| {
            let given = |(rank, source): (usize, &SourceName)| Given {
                source: *source,
                rank: rank as u32,
                score: 1.0,
                propensity: None,
            };
            Candidate { channel_id, given_by: sources.iter().enumerate().map(given).collect() }
        };
        let overlap = Overlap::default();
        let [trending, anchors] = [SourceName::Trending, SourceName::Anchors];
        overlap.add(&[candidate(1, &[trending]), candidate(2, &[trending, anchors])]);
        overlap.add(&[candidate(1, &[anchors])]);
        let left_out = BTreeMap::from([("embedding", "no vectors".to_owned())]);
        let report = overlap.report(|_| 40, &left_out);
        assert_eq!((report.requests, report.candidates), (2, 3));
        let of = |name| report.sources.iter().find(|of| of.source == name).unwrap();
        let counts = |name| {
            let of = of(name);
            (of.gave, of.first, of.alone)
        };
        assert_eq!(counts("trending"), (2, 2, 1));
        assert_eq!(counts("anchors"), (2, 1, 1));
        assert_eq!(of("trending").shared["anchors"], 1);
        assert_eq!(of("embedding").left_out.as_deref(), Some("no vectors"));
        assert_eq!(of("category").gave, 0);
    }
}
