//! Channels whose vectors are near to one of the user's intents.

use crate::source::{Found, Query, Source, SourceName, best};

/// The score is the cosine to the nearest intent. Every intent gives its nearest channels in turn, so that one that points where
/// many channels are does not take all places from the others.
#[derive(Clone, Copy, Debug)]
pub struct EmbeddingSource;

impl Source for EmbeddingSource {
    fn name(&self) -> SourceName {
        SourceName::Embedding
    }

    fn find(&self, query: &Query<'_>, quota: usize) -> Vec<Found> {
        let Some(vectors) = query.live.vectors() else { return Vec::new() };
        let cosines = vectors.cosines(query.intents).into_iter();
        let places = || vectors.places().iter().copied();
        let lists = cosines.map(|cosines| best(query, places().zip(cosines), quota));
        let lists: Vec<Vec<Found>> = lists.collect();
        let mut found: Vec<Found> = Vec::new();
        let mut taken = vec![NOT_TAKEN; query.live.channels().len()];
        let longest = lists.iter().map(Vec::len).max().unwrap_or(0);
        for rank in 0..longest {
            for next in lists.iter().filter_map(|list| list.get(rank)) {
                let before = &mut taken[next.place as usize];
                if let Some(known) = found.get_mut(*before) {
                    known.score = known.score.max(next.score);
                } else if found.len() < quota {
                    *before = found.len();
                    found.push(*next);
                }
            }
        }
        found
    }
}

/// The index of a channel that is not among the finds.
const NOT_TAKEN: usize = usize::MAX;
