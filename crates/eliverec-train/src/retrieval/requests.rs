//! The requests of a split in the order of time, with what was watched and what was known.

use std::collections::BTreeMap;

use eliverec_core::Feed;
use eliverec_core::schema::Group;
use eliverec_retrieval::User;
use eliverec_run::Scoring;
use eliverec_tables::{FeedDirectory, Split};

use super::vectors::intents;
use crate::error::Error;
use eliverec_retrieval::fields::{Fields, ids};

/// One request in which something was watched.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) id: u64,
    pub(crate) user_id: u64,
    pub(crate) ts_ms: i64,
    /// What its feed tells of the user.
    pub(crate) user: User,
    pub(crate) intents: Vec<Vec<f32>>,
    /// Channels watched, each once.
    pub(crate) watched: Vec<u64>,
}

/// The requests of a split in which something was watched.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    /// In the order of time.
    pub(crate) all: Vec<Request>,
    /// Those in which nothing was.
    pub(crate) without_watch: u64,
}

/// Feeds scored at a time.
const FEEDS: usize = 64;

impl Requests {
    /// With intents by a model, if there is one.
    pub(crate) fn read(
        feeds: &FeedDirectory,
        split: Split,
        fields: &Fields,
        scoring: Option<&Scoring<'_>>,
        mut progress: impl FnMut(u64),
    ) -> Result<Self, Error> {
        let mut requests = Self::default();
        let mut waiting = Vec::with_capacity(FEEDS);
        for feed in feeds.read(split)? {
            let feed = feed?;
            let request = request(&feed, fields);
            if request.watched.is_empty() {
                requests.without_watch += 1;
                continue;
            }
            requests.all.push(request);
            waiting.push(feed);
            if waiting.len() == FEEDS {
                requests.add_intents(scoring, &mut waiting)?;
                progress(requests.all.len() as u64);
            }
        }
        requests.add_intents(scoring, &mut waiting)?;
        requests.all.sort_by_key(|request| (request.ts_ms, request.id));
        Ok(requests)
    }

    /// Of the newest requests, whose feeds are `waiting`.
    fn add_intents(
        &mut self,
        scoring: Option<&Scoring<'_>>,
        waiting: &mut Vec<Feed>,
    ) -> Result<(), Error> {
        if let Some(scoring) = scoring {
            let first = self.all.len() - waiting.len();
            for (request, intents) in self.all[first..].iter_mut().zip(intents(scoring, waiting)?) {
                request.intents = intents;
            }
        }
        waiting.clear();
        Ok(())
    }
}

fn request(feed: &Feed, fields: &Fields) -> Request {
    let of = |group, field: usize| ids(&feed.columns(group)[field]);
    let labels = feed.candidates.labels.iter().flat_map(|labels| &labels.watched);
    let shown = of(Group::Candidate, fields.channel).iter().zip(labels);
    let mut watched: Vec<u64> = shown.filter(|(_, watched)| **watched).map(|(id, _)| *id).collect();
    watched.sort_unstable();
    watched.dedup();
    let mut anchors: BTreeMap<u64, u32> = BTreeMap::new();
    if let Some(field) = fields.anchor {
        of(Group::Channel, field).iter().for_each(|id| *anchors.entry(*id).or_default() += 1);
    }
    let category = fields.category.as_ref();
    let user = User {
        watches: of(Group::Channel, fields.channel).to_vec(),
        categories: category.map_or_else(Vec::new, |c| of(Group::Product, c.product).to_vec()),
        anchors: anchors.into_iter().collect(),
        followed: Vec::new(),
    };
    Request {
        id: feed.request_id,
        user_id: feed.user_id,
        ts_ms: feed.ts_ms,
        user,
        intents: Vec::new(),
        watched,
    }
}
