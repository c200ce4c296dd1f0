//! A request and what its features are, before the schema's fields are filled: what both drivers hand to
//! [`crate::FeedBuilder`].

use eliverec_core::event::Scalar;

/// One request with what the user did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// Its id.
    pub request_id: u64,
    /// Who asked.
    pub user_id: u64,
    /// When: the event time of its impressions, milliseconds since 1970 UTC.
    pub ts_ms: i64,
    /// The schema's `context` fields, in its order.
    pub context: Vec<Scalar>,
    /// The channels shown, by position, each once.
    pub candidates: Vec<Candidate>,
}

/// One channel shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// The impression.
    pub event_id: u64,
    /// The channel.
    pub channel_id: u64,
    /// Its place.
    pub position: Option<u16>,
    /// What the user did; `None` where nobody knows yet.
    pub outcome: Option<Outcome>,
}

/// What a user did with a candidate within the attribution window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// Whether the longest stay reached the threshold.
    pub watched: bool,
    /// The longest stay in seconds, 0 if the user did not enter; `None` if the user entered and nobody knows for how long.
    pub stay_s: Option<f32>,
    /// Opened the goods bag.
    pub bag_click: bool,
    /// Clicked a product in the channel.
    pub product_click: bool,
}

impl Outcome {
    /// Nothing was done.
    pub const NONE: Self =
        Self { watched: false, stay_s: Some(0.0), bag_click: false, product_click: false };
}

/// What was known before a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestFeatures {
    /// Product clicks, oldest first.
    pub products: Vec<Click>,
    /// Watches, oldest first.
    pub channels: Vec<Watch>,
    /// The values of [`crate::Wanted::user`].
    pub user: Vec<f32>,
    /// One per candidate.
    pub candidates: Vec<CandidateFeatures>,
}

/// An entry of the product history.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Click {
    /// The product.
    pub product_id: u64,
    /// Seconds before the request.
    pub age_s: f32,
}

/// An entry of the channel history.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Watch {
    /// The channel.
    pub channel_id: u64,
    /// Seconds of the stay.
    pub stay_s: f32,
    /// Seconds from leaving to the request.
    pub age_s: f32,
}

/// What was known of a candidate.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CandidateFeatures {
    /// The values of [`crate::Wanted::channel`].
    pub channel: Vec<f32>,
    /// The values of [`crate::Wanted::anchor`].
    pub anchor: Vec<f32>,
    /// Clicks of the product that the channel put on sale last; 0 unless [`crate::Wanted::popularity`].
    pub popularity: f32,
    /// Products on sale, the one put on sale last at the end: as much of it as [`crate::Wanted::on_sale`] asks for.
    pub on_sale: Vec<u64>,
}
