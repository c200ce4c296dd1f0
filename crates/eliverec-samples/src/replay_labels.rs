//! The labels of a replay: what users did is joined to the requests as its arrivals come by, and compared with the labels of the
//! feeds when nothing more can come. The rules are those of the plans ([`crate::outcomes`]), the join is not.
//!
//! Memory: the labels of the requests of two days.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};

use eliverec_core::event::{CLOCK_TOLERANCE_MS, Event};
use eliverec_core::feed::{Feed, Labels};
use eliverec_core::id::IdHash;
use eliverec_features::{FeedBuilder, Outcome, Request};
use eliverec_tables::events::Day;

use crate::config::Recipe;
use crate::outcomes::{Doing, counts};
use crate::scan::is_outcome;

/// A feed whose labels may still come.
#[derive(Debug)]
struct Waiting {
    user_id: u64,
    ts_ms: i64,
    channels: Vec<u64>,
    doing: Vec<Doing>,
    /// Those of the feed.
    made: Labels,
}

/// Labels that were made and those that the log gives.
#[derive(Debug)]
pub(crate) struct Compared {
    pub(crate) request_id: u64,
    pub(crate) made: Labels,
    pub(crate) known: Labels,
}

/// The feeds that wait for what users did.
#[derive(Debug)]
pub(crate) struct LabelJoin {
    recipe: Recipe,
    by_id: HashMap<u64, Waiting, IdHash>,
    /// Ids by moment, the oldest first.
    order: VecDeque<(i64, u64)>,
    /// What arrived before it happened, by when it happened: its request may not have come yet.
    ahead: BTreeMap<(i64, u64), Event>,
    /// Events that have been put there.
    count: u64,
}

impl LabelJoin {
    pub(crate) fn new(recipe: Recipe) -> Self {
        let (by_id, order, ahead) = (HashMap::default(), VecDeque::new(), BTreeMap::new());
        Self { recipe, by_id, order, ahead, count: 0 }
    }

    /// The next arrival of the log.
    pub(crate) fn event(&mut self, event: &Event) {
        if !is_outcome(event) {
            return;
        }
        if event.available_at_ms < event.ts_ms {
            self.ahead.insert((event.ts_ms, self.count), event.clone());
            self.count += 1;
        } else {
            self.join(event);
        }
    }

    /// The next feed, with its request; feeds come in the order of their moments.
    pub(crate) fn open(&mut self, feed: &Feed, request: &Request) {
        // Whatever happened before it is of requests that have come.
        self.catch_up(feed.ts_ms);
        let Some(made) = feed.candidates.labels.clone() else { return };
        let channels: Vec<u64> = request.candidates.iter().map(|of| of.channel_id).collect();
        let doing = vec![Doing::NONE; channels.len()];
        let (user_id, ts_ms) = (feed.user_id, feed.ts_ms);
        // One that stands there twice, which is told, is compared once.
        if let Entry::Vacant(place) = self.by_id.entry(feed.request_id) {
            place.insert(Waiting { user_id, ts_ms, channels, doing, made });
            self.order.push_back((ts_ms, feed.request_id));
        }
    }

    /// Joins what happened before a moment and has waited for it.
    fn catch_up(&mut self, ts_ms: i64) {
        while let Some(first) = self.ahead.first_entry()
            && first.key().0 < ts_ms
        {
            let event = first.remove();
            self.join(&event);
        }
    }

    fn join(&mut self, event: &Event) {
        let Some(of) = event.request_id.and_then(|id| self.by_id.get_mut(&id)) else { return };
        if event.user_id != Some(of.user_id)
            || !counts(event, of.ts_ms, self.recipe.attribution_window_ms)
        {
            return;
        }
        let place = of.channels.iter().position(|channel| Some(*channel) == event.channel_id);
        if let Some(doing) = place.and_then(|place| of.doing.get_mut(place)) {
            doing.take_in(event, self.recipe.features.stay_threshold_s);
        }
    }

    /// A feed of which nothing more can arrive at `at_ms`; `None` if there is none. The builder makes labels.
    pub(crate) fn close(&mut self, at_ms: i64, builder: &FeedBuilder) -> Option<Compared> {
        let closed = |ts_ms| {
            let end = Day::of(ts_ms).and_then(|day| day.plus(2));
            end.is_none_or(|end| end.start_ms().saturating_add(CLOCK_TOLERANCE_MS) < at_ms)
        };
        let (_, request_id) = self.order.pop_front_if(|(ts_ms, _)| closed(*ts_ms))?;
        self.catch_up(at_ms);
        let of = self.by_id.remove(&request_id)?;
        let outcomes: Vec<Outcome> = of.doing.iter().map(|doing| doing.outcome).collect();
        Some(Compared { request_id, made: of.made, known: builder.labels(&outcomes)? })
    }
}
