//! All sources together: what a service asks for every request.

use std::sync::Arc;

use crate::config::RetrievalConfig;
use crate::error::Error;
use crate::live::Live;
use crate::merge::{Candidate, merged};
use crate::neighbours::Neighbours;
use crate::source::{Found, Query, Source};
use crate::source_name::SourceName;
use crate::sources::{
    AnchorSource, CategorySource, CollaborativeSource, EmbeddingSource, ExplorationSource,
    TrendingSource,
};
use crate::state::{State, User};
use crate::vectors::ChannelVectors;

/// What was made offline; a source whose index is missing gives nothing.
#[derive(Clone, Debug, Default)]
pub struct Indexes {
    /// For collaborative filtering.
    pub neighbours: Option<Arc<Neighbours>>,
    /// For the embedding source.
    pub vectors: Option<Arc<ChannelVectors>>,
}

/// The sources with their quotas.
#[derive(Debug)]
pub struct Retrieval {
    config: RetrievalConfig,
    indexes: Indexes,
    sources: Vec<Box<dyn Source>>,
}

/// One user's request, before what is live has been looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked<'a> {
    /// Who.
    pub user_id: u64,
    /// As [`Query::intents`].
    pub intents: &'a [Vec<f32>],
    /// As [`Query::seed`].
    pub seed: u64,
}

impl Retrieval {
    /// With the sources that have what they need.
    ///
    /// # Errors
    /// What [`RetrievalConfig::check`] refuses.
    pub fn new(config: RetrievalConfig, indexes: Indexes) -> Result<Self, Error> {
        config.check()?;
        let mut sources: Vec<Box<dyn Source>> = Vec::new();
        if let Some(neighbours) = &indexes.neighbours {
            let (settings, neighbours) = (config.collaborative, Arc::clone(neighbours));
            sources.push(Box::new(CollaborativeSource { settings, neighbours }));
        }
        if indexes.vectors.is_some() {
            sources.push(Box::new(EmbeddingSource));
        }
        sources.push(Box::new(AnchorSource(config.anchors)));
        sources.push(Box::new(TrendingSource));
        sources.push(Box::new(CategorySource(config.category)));
        sources.push(Box::new(ExplorationSource));
        Ok(Self { config, indexes, sources })
    }

    /// Its settings.
    pub const fn config(&self) -> &RetrievalConfig {
        &self.config
    }

    /// The sources that it has, in the order in which they are merged.
    pub fn sources(&self) -> impl Iterator<Item = &dyn Source> {
        self.sources.iter().map(AsRef::as_ref)
    }

    /// The live channels of a moment, arranged for its requests; `previous` saves what has not changed since.
    pub fn live(&self, state: &impl State, at_ms: i64, previous: Option<&Live>) -> Live {
        let Indexes { neighbours, vectors } = &self.indexes;
        let channels = state.live(at_ms);
        let (neighbours, vectors) = (neighbours.as_deref(), vectors.as_deref());
        Live::new(channels, at_ms, &self.config, neighbours, vectors, previous)
    }

    /// The candidates of a request among `live`, at its moment. Nothing live gives none.
    pub fn retrieve(&self, state: &impl State, live: &Live, asked: &Asked<'_>) -> Vec<Candidate> {
        let user = state.user(asked.user_id, live.at_ms());
        let barred = self.barred(live, &user);
        let Asked { intents, seed, .. } = *asked;
        let query = Query { live, user: &user, intents, seed, barred: &barred };
        self.merged(&query, self.config.candidates)
    }

    /// The candidates of a query, at most `limit`.
    pub fn merged(&self, query: &Query<'_>, limit: usize) -> Vec<Candidate> {
        let asked = self.sources.iter().map(|source| (source, self.config.quota(source.name())));
        let mut lists: Vec<(SourceName, Vec<Found>)> = asked
            .map(|(source, quota)| (source.name(), source.find(query, quota.min(limit))))
            .collect();
        let mut candidates = merged(query.live, &lists, limit);
        if self.config.fill && candidates.len() < limit {
            let trending = lists.iter().find(|(name, _)| *name == SourceName::Trending);
            let quota = trending.map_or(0, |(_, list)| list.len());
            // Of those beyond the list fewer than are candidates already can be known.
            let all: Vec<Found> = TrendingSource::ordered(query).take(quota + limit).collect();
            // What the quota gave stays where it is; of the rest as many as are lacking are new.
            let mut known = vec![false; query.live.channels().len()];
            lists.iter().flat_map(|(_, list)| list).for_each(|f| known[f.place as usize] = true);
            let lacking = limit - candidates.len();
            let beyond = all.iter().enumerate().skip(quota);
            let new = beyond.filter(|(_, found)| !known[found.place as usize]).take(lacking);
            let last = new.last().map_or(quota, |(rank, _)| rank + 1);
            if let Some((_, list)) = lists.iter_mut().find(|(n, _)| *n == SourceName::Trending) {
                *list = all.into_iter().take(last.max(list.len())).collect();
            }
            candidates = merged(query.live, &lists, limit);
        }
        candidates
    }

    /// Which live channels the query of `user` must not find, by place; empty if it may find all.
    pub fn barred(&self, live: &Live, user: &User) -> Vec<bool> {
        if !self.config.drop_watched {
            return Vec::new();
        }
        let mut barred = vec![false; live.channels().len()];
        for place in user.watches.iter().filter_map(|channel| live.place(*channel)) {
            barred[place as usize] = true;
        }
        barred
    }
}
