//! Features as folds over the event log: `apply(event)` and `snapshot(at)`, written once. The sample pipeline drives
//! them over files and a service over a stream, so training and serving cannot disagree. No engine, no I/O, no clock.
//!
//! # Rules
//! 1. **Arrival drives the state.** A driver applies events in the order of `(available_at_ms, event_id)`. A snapshot for
//!    a request at `at` is taken when exactly the events with `available_at_ms < at` have been applied: what arrives in
//!    the very millisecond of the request, its own outcome included, is not in it.
//! 2. **Event time orders the state.** Inside a state, order is by [`Moment`] `(ts_ms, event_id)`. A state is a function
//!    of the set of events applied, never of their order, so events of equal arrival may be applied in any order,
//!    and the states of two disjoint sets merge into the state of their union.
//! 3. **Late events are left out**: `available_at_ms - ts_ms > allowed_lateness_ms`, a function of the event alone, so it
//!    is the same offline and online. One that is late within the limit lands in its place.
//! 4. **A second arrival of an `event_id` is dropped.** [`Freshness`] decides rules 3 and 4 for both drivers; the folds
//!    take admitted events and do not check again.
//! 5. **A clock may be ahead**: an admitted event's `ts_ms` can lie up to `CLOCK_TOLERANCE_MS` after its arrival, so a
//!    snapshot can know an event "of the future". Its age is 0; a window counts it once the clock has got there.
//! 6. **Never and unknown** have values, not NaN: a count is 0, an age is [`MAX_AGE_S`], the largest that an age feature takes.
//!
//! # Folds
//! | file | fold, and its key | memory with the default [`FeatureConfig`] |
//! | --- | --- | --- |
//! | [`history`] | last product clicks and watches, per user | 3.6 KB |
//! | [`affinity`] | how often the user watched an anchor, per user | 3 KB |
//! | [`follows`] | the anchors that the user followed last, per user; for the sources of candidates | 0.8 KB |
//! | [`channel`] | [`windows`], goods [`bag`], live or not, last exposure, per channel | 38 KB, if all of it is used |
//! | [`popularity`] | clicks or watches of 24 hours, per product and channel | 512 bytes |
//! | [`freshness`] | ids that may come again, per log | about 40 bytes per event of the last 21 minutes |
//!
//! [`FeatureConfig::user_bytes`] and [`FeatureConfig::channel_bytes`] give the bounds for other settings. [`FeatureState`]
//! holds all folds of a platform; a pipeline that partitions the log by user and by channel drives the folds one by one.
//! [`registry`] names every feature, so that a field of a schema is filled by its name; [`routing`] says whose folds an event
//! concerns.
//!
//! # From events to a feed
//! [`OnlineDriver`] takes events as they arrive and answers what is known for a [`request`]; [`fields`] makes the feed of it.
//! The sample pipeline drives the same folds over files and ends in the same [`FeedBuilder`].

pub mod affinity;
pub mod assemble;
pub mod bag;
pub mod channel;
pub mod config;
mod entities;
pub mod error;
pub mod fields;
pub mod follows;
pub mod freshness;
pub mod history;
mod label;
mod maps;
pub mod minutes;
pub mod moment;
pub mod online;
pub mod popularity;
pub mod recent;
pub mod registry;
pub mod request;
pub mod routing;
pub mod snapshot;
pub mod state;
pub mod user;
pub mod version;
pub mod wanted;
pub mod windows;

pub use channel::ChannelState;
pub use config::FeatureConfig;
pub use error::Error;
pub use fields::FeedBuilder;
pub use follows::Follows;
pub use freshness::{Admission, Freshness, SavedFreshness};
pub use minutes::Minutes;
pub use moment::{MAX_AGE_S, Moment};
pub use online::OnlineDriver;
pub use popularity::Popularity;
pub use registry::{FEATURES, Feature, FeatureId, Fold, lookup};
pub use request::{Candidate, CandidateFeatures, Click, Outcome, Request, RequestFeatures, Watch};
pub use snapshot::Snapshot;
pub use state::FeatureState;
pub use user::UserState;
pub use version::Versioned;
pub use wanted::{OnSale, Wanted};
