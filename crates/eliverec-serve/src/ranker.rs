//! One user's request, answered: what is known at that moment, as a feed, scored by the model of a bundle.

use std::path::Path;
use std::sync::Arc;

use eliverec_core::event::Scalar;
use eliverec_core::{BatchBuilder, Dimensions, Event};
use eliverec_features::{Admission, Candidate, FeedBuilder, OnlineDriver, Request};
use eliverec_models::fast::Wanted;

use crate::bundle::Bundle;
use crate::candidate_scorer::CandidateScorer;
use crate::error::Error;

/// What encoded sides of users may take: ten thousand full histories at d = 128.
const CACHE_BYTES: usize = 512 << 20;

/// Who asks, when, and which channels could be shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// Who.
    pub user_id: u64,
    /// When, milliseconds since 1970 UTC; what arrived before that millisecond is known.
    pub ts_ms: i64,
    /// The schema's `context` fields, in its order.
    pub context: Vec<Scalar>,
    /// The channels to score; at least one.
    pub channels: Vec<u64>,
}

/// One channel with its scores.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranked {
    /// The channel.
    pub channel_id: u64,
    /// Probability of a watch.
    pub p_watch: f32,
    /// By task of the schema, as [`eliverec_run::Scores::tasks`]; empty for a model without heads.
    pub tasks: Vec<f32>,
}

/// A bundle and the state of all users and channels.
#[derive(Debug)]
pub struct Ranker {
    bundle: Bundle,
    candidates: CandidateScorer,
    builder: FeedBuilder,
    driver: OnlineDriver,
}

impl Ranker {
    /// The bundle at `path`, when nothing has happened yet. Of users, products and channels it knows what the bundle's tables say;
    /// without tables, nothing.
    ///
    /// # Errors
    /// A bundle that is refused or was made of feeds that no log was behind, a schema whose fields a log cannot fill.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let bundle = Bundle::open(path)?;
        let config = bundle.features.ok_or_else(|| Error::Bundle {
            path: path.into(),
            reason: "has no settings of features, since its feeds were not made of a log: it scores feeds, and answers no requests"
                .into(),
        })?;
        let schema = &bundle.model.schema;
        let dimensions = match &bundle.dimensions {
            Some(dimensions) => Arc::clone(dimensions),
            None => Arc::new(Dimensions::empty(schema)?),
        };
        let builder = FeedBuilder::new(schema, &dimensions)?;
        let driver = OnlineDriver::new(config, &dimensions, builder.wanted())?;
        let candidates = CandidateScorer::new(&bundle.model.scoring(), CACHE_BYTES);
        Ok(Self { bundle, candidates, builder, driver })
    }

    /// An event has arrived; events come in the order of their arrival.
    pub fn event(&mut self, event: &Event) -> Admission {
        self.driver.event(event)
    }

    /// Scores the channels, the likeliest watch first; of equal scores, in the order asked.
    ///
    /// # Errors
    /// No channel, or a context that does not fit the schema.
    pub fn rank(&self, asked: &Asked) -> Result<Vec<Ranked>, Error> {
        let model = &self.bundle.model;
        let declared = model.schema.context.len();
        if asked.context.len() != declared {
            let reason = format!("{} values, the schema declares {declared}", asked.context.len());
            let field = "context".into();
            return Err(eliverec_core::Error::Feed { field, reason }.into());
        }
        let candidates = asked.channels.iter().map(|channel_id| Candidate {
            event_id: 0,
            channel_id: *channel_id,
            position: None,
            outcome: None,
        });
        let request = Request {
            request_id: 0,
            user_id: asked.user_id,
            ts_ms: asked.ts_ms,
            context: asked.context.clone(),
            candidates: candidates.collect(),
        };
        let features = self.driver.features(asked.user_id, asked.ts_ms, &asked.channels);
        let feed = self.builder.feed(&request, &features);
        let (schema, lengths) = (&model.schema, model.config.settings().lengths());
        let mut builder = BatchBuilder::new(schema, &model.normalization, lengths);
        builder.push(&feed)?;
        let batch = builder.finish().expect("a feed was added");
        let scores = self.candidates.score(&model.scoring(), batch, Wanted::All, |_| ());
        let tasks = scores.tasks.unwrap_or_default();
        let scored = asked.channels.iter().zip(scores.p_watch).enumerate();
        let mut ranked: Vec<Ranked> = scored
            .map(|(i, (channel_id, p_watch))| Ranked {
                channel_id: *channel_id,
                p_watch,
                tasks: tasks.iter().map(|task| task[i]).collect(),
            })
            .collect();
        ranked.sort_by(|a, b| b.p_watch.total_cmp(&a.p_watch));
        Ok(ranked)
    }
}
