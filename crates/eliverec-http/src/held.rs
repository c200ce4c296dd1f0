//! What a process knows: its own state with the log, or that of another process, which it follows.

use std::sync::Arc;
use std::time::Duration;

use eliverec_core::{Dimensions, Feed, Schema};
use eliverec_features::{ChannelState, FeatureConfig, FeedBuilder, Request, UserState};
use eliverec_state::{Error, Known, Replica, Stand, State};

use crate::names::Names;
use crate::problem::{Code, Problem};
use crate::wire::Id;

/// See the module.
#[derive(Debug)]
pub(crate) enum Held {
    /// This process takes events in.
    Own {
        /// With the log.
        state: Box<State>,
        /// Texts of channels.
        names: Names,
    },
    /// Another one does.
    Followed {
        /// What it tells.
        replica: Arc<Replica>,
        /// A request waits at most so long for what it told.
        deadline: Duration,
    },
}

/// What is known for one request of a user.
pub(crate) enum Asker<'a> {
    /// Everything.
    Own(&'a State, u64),
    /// The folds of the user were fetched.
    Followed(&'a Replica, Known),
}

impl Held {
    /// The state, if this process takes events in.
    pub(crate) fn own(&self) -> Result<(&State, &Names), Problem> {
        match self {
            Self::Own { state, names } => Ok((state.as_ref(), names)),
            Self::Followed { .. } => Err(Problem::new(
                Code::Misdirected,
                "this process follows another one and takes nothing in; send events and rows to that one",
            )),
        }
    }

    pub(crate) fn schema(&self) -> &Schema {
        match self {
            Self::Own { state, .. } => state.schema(),
            Self::Followed { replica, .. } => replica.schema(),
        }
    }

    pub(crate) fn features(&self) -> &FeatureConfig {
        match self {
            Self::Own { state, .. } => &state.config().features,
            Self::Followed { replica, .. } => replica.features_config(),
        }
    }

    /// What is known for a request of a user.
    ///
    /// # Errors
    /// Of what another process tells: what did not come in time.
    pub(crate) fn asker(&self, user_id: u64) -> Result<Asker<'_>, Problem> {
        match self {
            Self::Own { state, .. } => Ok(Asker::Own(state, user_id)),
            Self::Followed { replica, deadline } => {
                let known = replica.user(user_id, *deadline);
                known.map(|known| Asker::Followed(replica, known)).map_err(of_state)
            }
        }
    }

    /// A channel as callers write it.
    pub(crate) fn name_of(&self, channel_id: u64) -> Id {
        match self {
            Self::Own { names, .. } => names.of(channel_id),
            Self::Followed { replica, .. } => {
                let name = replica.name_of(channel_id);
                name.map_or(Id::Number(channel_id), |text| Id::of_written(channel_id, &text))
            }
        }
    }

    pub(crate) fn not_ready(&self) -> Option<String> {
        match self {
            Self::Own { state, .. } => state.stopped().map(|stopped| stopped.to_string()),
            Self::Followed { replica, .. } => replica.not_ready(),
        }
    }

    pub(crate) fn newest_event_ms(&self) -> Option<i64> {
        match self {
            Self::Own { state, .. } => state.newest_event_ms(),
            Self::Followed { replica, .. } => replica.newest_event_ms(),
        }
    }

    /// The last record that features know, and what else there is to compare it with.
    pub(crate) fn positions(&self) -> Vec<(&'static str, u64)> {
        match self {
            Self::Own { state, .. } => {
                let shared = state.published().map(|position| ("shared", position));
                std::iter::once(("applied", state.position())).chain(shared).collect()
            }
            Self::Followed { replica, .. } => {
                let (applied, told) = replica.positions();
                vec![("applied", applied), ("told", told)]
            }
        }
    }
}

impl Asker<'_> {
    /// The channels that are live now, in ascending order.
    pub(crate) fn live(&self) -> Arc<[u64]> {
        match self {
            Self::Own(state, _) => state.live(),
            Self::Followed(_, known) => known.live(),
        }
    }

    /// As [`State::read_channels`].
    pub(crate) fn read_channels<T>(
        &self,
        channels: &[u64],
        each: impl FnMut(u64, &ChannelState, &Dimensions) -> T,
    ) -> Vec<T> {
        match self {
            Self::Own(state, _) => state.read_channels(channels, each),
            Self::Followed(_, known) => known.read_channels(channels, each),
        }
    }

    /// As [`State::read_user`], of the user who asks.
    pub(crate) fn read_user<T>(
        &self,
        with: impl FnOnce(&UserState, &Dimensions) -> T,
    ) -> Option<T> {
        match self {
            Self::Own(state, user_id) => state.read_user(*user_id, with),
            Self::Followed(_, known) => known.read_user(with),
        }
    }

    /// The settings of the folds.
    pub(crate) fn features(&self) -> &FeatureConfig {
        match self {
            Self::Own(state, _) => &state.config().features,
            Self::Followed(replica, _) => replica.features_config(),
        }
    }

    /// As [`State::feed`], of the user who asks.
    ///
    /// # Errors
    /// As [`Held::asker`].
    pub(crate) fn feed(
        &mut self,
        builder: &FeedBuilder,
        request: &mut Request,
        now_ms: i64,
    ) -> Result<(Feed, Stand), Problem> {
        match self {
            Self::Own(state, _) => Ok(state.feed(builder, request, now_ms)),
            Self::Followed(replica, known) => {
                replica.feed(known, builder, request, now_ms).map_err(of_state)
            }
        }
    }
}

/// What the state refuses, for callers.
pub(crate) fn of_state(error: Error) -> Problem {
    let is_disk_full = error.is_disk_full();
    let detail = error.to_string();
    match error {
        Error::Answered { .. } => Problem::invalid("request_id", detail),
        Error::Event { index, reason, .. } => Problem::new(Code::Invalid, reason).at_row(index),
        Error::Row { index, source, .. } => Problem::from(source).at_row(index),
        Error::Batch { .. } => Problem::new(Code::TooLarge, detail),
        Error::Busy { .. } => Problem::new(Code::Overloaded, detail).retry_after(1),
        Error::KnownFull { room_in_s, .. } => {
            Problem::new(Code::Overloaded, detail).retry_after(room_in_s)
        }
        Error::Behind { .. } => Problem::new(Code::Unavailable, detail).retry_after(1),
        _ if is_disk_full => Problem::new(Code::StorageFull, detail),
        _ => Problem::new(Code::Unavailable, detail).retry_after(60),
    }
}
