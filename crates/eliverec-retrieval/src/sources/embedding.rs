//! Channels whose vectors are near to one of the user's intents.

use crate::source::{Found, Query, Source, best};
use crate::source_name::SourceName;

/// The score is the cosine to the nearest intent. (Intents that give their nearest channels in turn find less: the places are
/// shared with intents that are near to nothing.)
#[derive(Clone, Copy, Debug)]
pub struct EmbeddingSource;

impl Source for EmbeddingSource {
    fn name(&self) -> SourceName {
        SourceName::Embedding
    }

    fn find(&self, query: &Query<'_>, quota: usize) -> Vec<Found> {
        let Some(vectors) = query.live.vectors() else { return Vec::new() };
        let cosines = vectors.cosines(query.intents).into_iter().filter(|of| !of.is_empty());
        let nearest = cosines.reduce(|mut nearest, cosines| {
            nearest.iter_mut().zip(cosines).for_each(|(nearest, x)| *nearest = nearest.max(x));
            nearest
        });
        best(query, vectors.places().iter().copied().zip(nearest.into_iter().flatten()), quota)
    }
}
