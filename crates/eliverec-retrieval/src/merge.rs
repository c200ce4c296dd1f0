//! From the sources' lists to one: in turn by rank, each channel once, with everything that gave it.

use serde::Serialize;

use crate::live::Live;
use crate::source::Found;
use crate::source_name::SourceName;

/// A channel to rank.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Candidate {
    /// The channel.
    pub channel_id: u64,
    /// What gave it, the one that gave it first in front; at least one.
    pub given_by: Vec<Given>,
}

/// That a source gave a channel.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Given {
    /// Which source.
    pub source: SourceName,
    /// Place in its list, from 0.
    pub rank: u32,
    /// As [`Found::score`].
    pub score: f32,
    /// As [`Found::propensity`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub propensity: Option<f64>,
}

/// Takes the lists in turn, the first of each, then the second of each, and so on, up to `limit` channels; what comes later in
/// another list is added to what gave a channel already. A channel that was drawn is never cut: for it the last one that was
/// not drawn goes, so that its propensity is that of being in the answer, as long as no more than `limit` are drawn.
pub fn merged(live: &Live, lists: &[(SourceName, Vec<Found>)], limit: usize) -> Vec<Candidate> {
    const ABSENT: u32 = u32::MAX;
    let mut known = vec![ABSENT; live.channels().len()];
    let mut candidates: Vec<Candidate> = Vec::new();
    let longest = lists.iter().map(|(_, list)| list.len()).max().unwrap_or(0);
    for rank in 0..longest {
        for (source, list) in lists {
            let Some(found) = list.get(rank) else { continue };
            let Found { place, score, propensity } = *found;
            let given = Given { source: *source, rank: rank as u32, score, propensity };
            let at = &mut known[place as usize];
            if *at == ABSENT {
                *at = candidates.len() as u32;
                let channel_id = live.channels()[place as usize].channel_id;
                candidates.push(Candidate { channel_id, given_by: Vec::with_capacity(2) });
            }
            candidates[*at as usize].given_by.push(given);
        }
    }
    let mut excess = candidates.len().saturating_sub(limit);
    if excess > 0 {
        let drawn =
            |candidate: &Candidate| candidate.given_by.iter().any(|g| g.propensity.is_some());
        let mut kept = Vec::with_capacity(limit);
        for candidate in candidates.into_iter().rev() {
            if excess > 0 && !drawn(&candidate) {
                excess -= 1;
            } else {
                kept.push(candidate);
            }
        }
        kept.reverse();
        candidates = kept;
        candidates.truncate(limit);
    }
    candidates
}
