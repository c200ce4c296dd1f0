//! The event log: everything the system knows about behaviour, one shape offline and online.
//!
//! An event happened at its event time and became known at its arrival. Features of a request see what had arrived
//! before it; inside a feature, order is by event time.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::schema::{Kind, Schema};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A channel was shown in a feed: user, channel, request, position.
    Impression,
    /// The user entered a channel.
    Watch,
    /// The user left it; the value is the stay in seconds.
    Leave,
    /// The user opened the goods bag of a channel.
    BagClick,
    /// The user clicked a product: in a channel, or in the product domain if there is no channel.
    ProductClick,
    /// The user bought a product; the value is the revenue.
    Order,
    /// The user follows the anchor.
    Follow,
    /// A like in a channel.
    Like,
    /// A comment in a channel.
    Comment,
    /// The channel went live.
    StreamStart,
    /// The channel ended.
    StreamEnd,
    /// A product is on sale in a channel from now on.
    ProductOn,
    /// The product is no longer on sale there.
    ProductOff,
}

impl EventKind {
    /// All kinds, in the order of the contract.
    pub const ALL: [Self; 13] = [
        Self::Impression,
        Self::Watch,
        Self::Leave,
        Self::BagClick,
        Self::ProductClick,
        Self::Order,
        Self::Follow,
        Self::Like,
        Self::Comment,
        Self::StreamStart,
        Self::StreamEnd,
        Self::ProductOn,
        Self::ProductOff,
    ];

    /// Its name in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Impression => "impression",
            Self::Watch => "watch",
            Self::Leave => "leave",
            Self::BagClick => "bag_click",
            Self::ProductClick => "product_click",
            Self::Order => "order",
            Self::Follow => "follow",
            Self::Like => "like",
            Self::Comment => "comment",
            Self::StreamStart => "stream_start",
            Self::StreamEnd => "stream_end",
            Self::ProductOn => "product_on",
            Self::ProductOff => "product_off",
        }
    }

    /// The kind of that name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Which of user, channel, product and request an event of this kind cannot do without.
    pub const fn requires(self) -> Required {
        let (user, channel, product, request) = match self {
            Self::Impression => (true, true, false, true),
            Self::Watch
            | Self::Leave
            | Self::BagClick
            | Self::Follow
            | Self::Like
            | Self::Comment => (true, true, false, false),
            Self::ProductClick | Self::Order => (true, false, true, false),
            Self::StreamStart | Self::StreamEnd => (false, true, false, false),
            Self::ProductOn | Self::ProductOff => (false, true, true, false),
        };
        Required { user, channel, product, request }
    }
}

/// Which ids an event needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "one answer per id")]
pub struct Required {
    /// `user_id`
    pub user: bool,
    /// `channel_id`
    pub channel: bool,
    /// `product_id`
    pub product: bool,
    /// `request_id`
    pub request: bool,
}

/// A value of a context field, as its schema field declares it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Scalar {
    /// Of a categorical field.
    Id(u64),
    /// Of a bucketised or dense field.
    Number(f32),
}

/// One row of the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Unique; a second arrival of the same id is dropped.
    pub event_id: u64,
    /// Event time, milliseconds since 1970 UTC.
    pub ts_ms: i64,
    /// Arrival: when the system could first know it, milliseconds since 1970 UTC; the event time if the log has none.
    pub available_at_ms: i64,
    /// What happened.
    pub kind: EventKind,
    /// Who.
    pub user_id: Option<u64>,
    /// In which channel.
    pub channel_id: Option<u64>,
    /// With which product.
    pub product_id: Option<u64>,
    /// Ties an impression and what follows from it to one request.
    pub request_id: Option<u64>,
    /// Place in the feed, from 0.
    pub position: Option<u16>,
    /// Seconds of a leave, revenue of an order.
    pub value: Option<f64>,
    /// The schema's `context` fields, in its order, of an impression; empty elsewhere.
    pub context: Vec<Scalar>,
}

/// An event may claim to have happened this much after its arrival; beyond it a clock is wrong.
pub const CLOCK_TOLERANCE_MS: i64 = 5 * 60 * 1000;

impl Event {
    /// An event without ids that is known at once.
    pub fn new(event_id: u64, ts_ms: i64, kind: EventKind) -> Self {
        Self {
            event_id,
            ts_ms,
            available_at_ms: ts_ms,
            kind,
            user_id: None,
            channel_id: None,
            product_id: None,
            request_id: None,
            position: None,
            value: None,
            context: Vec::new(),
        }
    }

    /// Checks what a kind needs, that values are finite and not negative, and that the clocks agree.
    ///
    /// # Errors
    /// [`Error::Event`] names the column.
    pub fn check(&self) -> Result<(), Error> {
        let wrong = |field, reason: String| Err(Error::Event { field, reason });
        let required = self.kind.requires();
        for (field, required, given) in [
            ("user_id", required.user, self.user_id.is_some()),
            ("channel_id", required.channel, self.channel_id.is_some()),
            ("product_id", required.product, self.product_id.is_some()),
            ("request_id", required.request, self.request_id.is_some()),
        ] {
            if required && !given {
                return wrong(field, format!("null, but {} needs it", self.kind.name()));
            }
        }
        match self.value {
            None if self.kind == EventKind::Leave => {
                return wrong("value", "null, but leave needs the stay in seconds".into());
            }
            Some(value) if !value.is_finite() || value < 0.0 => {
                return wrong("value", format!("{value:?} is not a number of at least 0"));
            }
            // Features are of single precision.
            Some(value) if value > f64::from(f32::MAX) => {
                return wrong("value", format!("{value:?} is larger than {:?}", f32::MAX));
            }
            _ => {}
        }
        if self.ts_ms > self.available_at_ms.saturating_add(CLOCK_TOLERANCE_MS) {
            let ahead_s = self.ts_ms.saturating_sub(self.available_at_ms) / 1000;
            let reason = format!("{ahead_s} s after available_at; one of the clocks is wrong");
            return wrong("ts", reason);
        }
        Ok(())
    }
}

/// Checks that an impression has the schema's context, and no other event has one.
///
/// # Errors
/// The column and what is wrong.
pub fn check_context(schema: &Schema, event: &Event) -> Result<(), (String, String)> {
    if event.kind != EventKind::Impression {
        if event.context.is_empty() {
            return Ok(());
        }
        let reason = format!("only impressions have one, not a {}", event.kind.name());
        return Err(("context".into(), reason));
    }
    if event.context.len() != schema.context.len() {
        let (given, declared) = (event.context.len(), schema.context.len());
        let reason = format!("{given} values, the schema declares {declared}");
        return Err(("context".into(), reason));
    }
    for (field, value) in schema.context.iter().zip(&event.context) {
        let reason = match (&field.kind, value) {
            (Kind::Categorical { .. }, Scalar::Id(_)) => continue,
            (Kind::Bucket { .. } | Kind::Dense { .. }, Scalar::Number(x)) if x.is_finite() => {
                continue;
            }
            (_, Scalar::Number(x)) if !x.is_finite() => format!("{x} is not a finite number"),
            _ => format!("its value does not fit its kind {:?}", field.kind),
        };
        return Err((field.name.clone(), reason));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_come_back() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::of(kind.name()), Some(kind));
        }
        assert_eq!(EventKind::of("purchase"), None);
    }

    fn leave() -> Event {
        Event {
            user_id: Some(1),
            channel_id: Some(2),
            value: Some(31.5),
            ..Event::new(9, 1_000, EventKind::Leave)
        }
    }

    #[test]
    fn wrong_events_name_their_column() {
        assert!(leave().check().is_ok());
        let cases = [
            (Event { user_id: None, ..leave() }, "user_id: null, but leave needs it"),
            (Event { value: None, ..leave() }, "value: null, but leave needs the stay in seconds"),
            (Event { value: Some(-1.0), ..leave() }, "value: -1 is not a number of at least 0"),
            (
                Event { value: Some(f64::NAN), ..leave() },
                "value: NaN is not a number of at least 0",
            ),
            (
                Event { ts_ms: 86_401_000, ..leave() },
                "ts: 86400 s after available_at; one of the clocks is wrong",
            ),
        ];
        for (event, message) in cases {
            assert_eq!(event.check().unwrap_err().to_string(), message);
        }
        assert!(Event { ts_ms: i64::MAX, ..leave() }.check().is_err());
    }
}
