//! Item-to-item collaborative filtering: what those watch who watched what the user watched.

use std::sync::Arc;

use crate::config::Recent;
use crate::neighbours::Neighbours;
use crate::source::{Found, Query, Source, best};
use crate::source_name::SourceName;

/// The score is the sum over the user's newest watches of the similarity to the channel, newer ones counting more. A channel is its
/// own nearest neighbour, with similarity 1, for live viewing repeats.
#[derive(Clone, Debug)]
pub struct CollaborativeSource {
    /// How many watches, and their weights.
    pub settings: Recent,
    /// The similarities.
    pub neighbours: Arc<Neighbours>,
}

impl Source for CollaborativeSource {
    fn name(&self) -> SourceName {
        SourceName::Collaborative
    }

    fn find(&self, query: &Query<'_>, quota: usize) -> Vec<Found> {
        let live = query.live;
        let mut scores = vec![0.0_f32; live.channels().len()];
        let watches = query.user.watches.iter().rev().take(self.settings.events).enumerate();
        for (newer, watched) in watches {
            let weight = self.settings.weight(newer) as f32;
            if let Some(place) = live.place(*watched) {
                scores[place as usize] += weight;
            }
            for (neighbour, similarity) in self.neighbours.of(*watched) {
                if let Some(place) = live.of_neighbour(neighbour) {
                    scores[place as usize] += weight * similarity;
                }
            }
        }
        let scored = (0_u32..).zip(scores).filter(|(_, score)| *score > 0.0);
        best(query, scored, quota)
    }
}
