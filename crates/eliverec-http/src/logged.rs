//! What the log has of an answer.

use std::sync::Arc;

use eliverec_core::{Event, EventKind};
use eliverec_retrieval::merge::Given;
use eliverec_state::Answered;

use crate::answer::{Answer, Scored};
use crate::asked::Asked;

/// Impressions of the channels of an answer at its moment, in their order.
pub(crate) fn shown(asked: &Asked, answer: &Answer) -> Vec<Event> {
    let impression = |(place, scored): (usize, &Scored)| Event {
        user_id: Some(asked.user_id),
        channel_id: Some(scored.channel_id),
        request_id: Some(asked.request_id),
        position: u16::try_from(place).ok(),
        context: asked.context.clone(),
        // The log gives it its id.
        ..Event::new(0, answer.at_ms, EventKind::Impression)
    };
    answer.channels.iter().enumerate().map(impression).collect()
}

/// How an answer came to be.
pub(crate) fn answered(asked: &Asked, answer: &Answer) -> Answered {
    let propensity = |given: &Given| given.propensity;
    let drawn =
        |scored: &Scored| Some((scored.channel_id, scored.sources.iter().find_map(propensity)?));
    let bucket = |(layer, bucket): &(Arc<str>, Arc<str>)| (layer.to_string(), bucket.to_string());
    Answered {
        request_id: asked.request_id,
        user_id: asked.user_id,
        at_ms: answer.at_ms,
        bundle: answer.model.to_string(),
        buckets: answer.buckets.iter().map(bucket).collect(),
        drawn: answer.channels.iter().filter_map(drawn).collect(),
        // The log gives it its stamp.
        available_at_ms: 0,
    }
}
