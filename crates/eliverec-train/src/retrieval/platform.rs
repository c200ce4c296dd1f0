//! What was live, popular and exposed at a moment. Moments are asked in the order of time.

use eliverec_retrieval::{LiveChannel, State, User};

use super::from_feeds::FeedPlatform;
use super::from_log::LogPlatform;
use super::requests::Request;
use crate::error::Error;

/// Where it is known from.
#[derive(Debug)]
pub(crate) enum Platform<'a> {
    Feeds(FeedPlatform),
    Log(Box<LogPlatform<'a>>),
}

impl Platform<'_> {
    /// Takes in what was known before `at_ms`.
    pub(crate) fn advance(&mut self, at_ms: i64) -> Result<(), Error> {
        match self {
            Self::Feeds(feeds) => {
                feeds.advance(at_ms);
                Ok(())
            }
            Self::Log(log) => log.advance(at_ms),
        }
    }
}

/// A platform as one request meets it: the histories are those of its feed.
#[derive(Debug)]
pub(crate) struct Moment<'a> {
    pub(crate) platform: &'a Platform<'a>,
    pub(crate) request: &'a Request,
}

impl State for Moment<'_> {
    fn live(&self, at_ms: i64) -> Vec<LiveChannel> {
        match self.platform {
            Platform::Feeds(feeds) => feeds.live(at_ms),
            Platform::Log(log) => log.live(at_ms),
        }
    }

    fn user(&self, user_id: u64, _: i64) -> User {
        let followed = match self.platform {
            Platform::Feeds(_) => Vec::new(),
            Platform::Log(log) => log.followed(user_id),
        };
        User { followed, ..self.request.user.clone() }
    }
}
