//! What is asked.

use eliverec_core::event::Scalar;
use eliverec_features::{Candidate, Request};
use eliverec_models::fast::Wanted;

/// Who asks, when, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// Ties the answer to impressions and what follows.
    pub request_id: u64,
    /// Who.
    pub user_id: u64,
    /// Who, as assignments to buckets hash it ([`crate::wire::Id::subject`]).
    pub subject: String,
    /// When, milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// The schema's `context` fields, in its order.
    pub context: Vec<Scalar>,
    /// All tasks, or p(watch) alone.
    pub wanted: Wanted,
}

impl Asked {
    /// The request that could show these channels.
    pub(crate) fn request(&self, channels: impl IntoIterator<Item = u64>) -> Request {
        let candidate =
            |channel_id| Candidate { event_id: 0, channel_id, position: None, outcome: None };
        Request {
            request_id: self.request_id,
            user_id: self.user_id,
            ts_ms: self.at_ms,
            context: self.context.clone(),
            candidates: channels.into_iter().map(candidate).collect(),
        }
    }
}
