//! What is known of a user or a channel now, by the code that makes the features of requests.

use std::collections::BTreeMap;

use eliverec_core::schema::Group;
use eliverec_core::{Feed, Schema};
use eliverec_features::Snapshot;
use eliverec_features::registry::{FEATURES, Fold};
use eliverec_models::fast::Wanted;
use eliverec_run::explained::{self, plain_ids};
use serde::Serialize;
use utoipa::ToSchema;

use crate::asked::Asked;
use crate::engine::Engine;
use crate::id::Id;
use crate::problem::Problem;

/// What a request of a user would find now, its context apart.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct UserNow {
    /// Who, as explanations have it.
    pub user_id: u64,
    /// Whether an event of this user is in the features.
    pub is_known: bool,
    /// The moment, milliseconds since 1970 UTC.
    pub at: i64,
    /// The record of the log after which it stands.
    pub log_position: u64,
    /// The user's fields of the schema.
    #[schema(value_type = Object)]
    pub fields: BTreeMap<String, String>,
    /// By domain, `live` and `product`: all events that are kept, oldest first.
    #[schema(value_type = Object)]
    pub histories: BTreeMap<&'static str, Vec<explained::Event>>,
    /// Anchors followed.
    pub followed: Vec<u64>,
}

/// What is known of a channel now.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ChannelNow {
    /// As callers write it.
    pub channel_id: Id,
    /// Whether an event of this channel is in the features.
    pub is_known: bool,
    /// The moment, milliseconds since 1970 UTC.
    pub at: i64,
    /// The record of the log after which it stands.
    pub log_position: u64,
    /// When its stream began, milliseconds since 1970 UTC; `null` while none is on.
    pub live_since: Option<i64>,
    /// Products on sale, the one put on sale last at the end.
    pub on_sale: Vec<u64>,
    /// The channel's fields of the schema, and those of a candidate as a user of whom nothing is known would be offered it.
    #[schema(value_type = Object)]
    pub fields: BTreeMap<String, String>,
    /// Every feature that is counted by channel, whether the schema has it or not.
    #[schema(value_type = Object)]
    pub features: BTreeMap<&'static str, f32>,
}

impl Engine {
    /// What a request of a user would find at `now_ms`.
    ///
    /// # Errors
    /// What the process that is followed did not tell in time.
    pub fn user_now(&self, user_id: u64, now_ms: i64) -> Result<UserNow, Problem> {
        let served = self.in_service.active();
        let mut asker = self.held.asker(user_id)?;
        let followed = asker.read_user(|state, _| state.follows().anchors().collect::<Vec<_>>());
        let mut request = of_nobody(user_id, now_ms).request([]);
        let (feed, stand) = asker.feed(&served.builder, &mut request, now_ms)?;
        let schema = self.schema();
        let events = |group| events(schema, &feed, group);
        Ok(UserNow {
            user_id,
            is_known: followed.is_some(),
            at: stand.ts_ms,
            log_position: stand.position,
            fields: explained::fields(schema, (&feed, &plain_ids(schema, &feed)), Group::User, 0),
            histories: [("live", Group::Channel), ("product", Group::Product)]
                .map(|(name, group)| (name, events(group)))
                .into(),
            followed: followed.unwrap_or_default(),
        })
    }

    /// What is known of a channel at `now_ms`.
    ///
    /// # Errors
    /// As [`Engine::user_now`].
    pub fn channel_now(&self, channel_id: u64, now_ms: i64) -> Result<ChannelNow, Problem> {
        let served = self.in_service.active();
        let mut asker = self.held.asker(0)?;
        let mut request = of_nobody(0, now_ms).request([channel_id]);
        let (feed, stand) = asker.feed(&served.builder, &mut request, now_ms)?;
        let known = asker.read_channels(&[channel_id], |_, state, _| {
            let mut snapshot = Snapshot::unknown();
            state.snapshot(stand.ts_ms, &mut snapshot);
            (state.live_since_ms(), state.bag().on_sale().collect::<Vec<_>>(), snapshot)
        });
        let (is_known, known) = (!known.is_empty(), known.into_iter().next());
        let (live_since, on_sale, snapshot) = known.unwrap_or_default();
        let schema = self.schema();
        let ids = plain_ids(schema, &feed);
        let of_group = |group| explained::fields(schema, (&feed, &ids), group, 0);
        let by_channel = FEATURES.iter().filter(|feature| feature.fold == Fold::Channel);
        Ok(ChannelNow {
            channel_id: self.name_of(channel_id),
            is_known,
            at: stand.ts_ms,
            log_position: stand.position,
            live_since,
            on_sale,
            fields: [Group::Candidate, Group::Target, Group::Dynamic]
                .into_iter()
                .flat_map(of_group)
                .collect(),
            features: by_channel
                .filter_map(|feature| Some((feature.name, snapshot.get(feature.id)?)))
                .collect(),
        })
    }
}

/// A request without a context: what is asked for has none in it.
const fn of_nobody(user_id: u64, at_ms: i64) -> Asked {
    let subject = String::new();
    Asked { request_id: 0, user_id, subject, at_ms, context: Vec::new(), wanted: Wanted::Watch }
}

/// All events of a history.
fn events(schema: &Schema, feed: &Feed, group: Group) -> Vec<explained::Event> {
    let ages = if group == Group::Channel { &feed.channels.age_s } else { &feed.products.age_s };
    explained::events(schema, (feed, &plain_ids(schema, feed)), group, ages.len(), None)
}
