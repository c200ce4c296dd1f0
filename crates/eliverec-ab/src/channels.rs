//! What is known of channels: when they were last shown before the experiment, whether they were on offer during it, and how often each
//! bucket showed them.

use std::collections::HashMap;

use eliverec_core::id::IdHash;
use serde::Serialize;

use crate::exposure::{Spread, rarefied};
use crate::metrics::HIDDEN_DAYS;

/// Milliseconds of a day.
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Channels under dense numbers.
#[derive(Debug)]
pub(crate) struct Channels {
    places: HashMap<u64, u32, IdHash>,
    all: Vec<Channel>,
    buckets: usize,
    /// The first moment of the experiment's first day.
    begin_ms: i64,
    /// The first impression before: what was shown earlier the log does not say.
    first_shown_ms: Option<i64>,
}

#[derive(Debug)]
struct Channel {
    last_shown_ms: Option<i64>,
    on_offer: bool,
    /// Impressions, and watched ones, of each bucket.
    counts: Vec<(u64, u64)>,
}

/// How a bucket's exposure is spread over the channels on offer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Exposure {
    /// The bucket.
    pub bucket: String,
    /// Channels that it showed.
    pub shown: u64,
    /// Over all channels on offer.
    #[serde(flatten)]
    pub spread: Spread,
}

/// Channels that nobody was shown for some days before the experiment, and what became of them (the paper's Sec. VI-C.3).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hidden {
    /// Days without exposure.
    pub days: u32,
    /// Such channels among those on offer.
    pub channels: u64,
    /// In the order of the buckets.
    pub buckets: Vec<Found>,
}

/// What a bucket did with hidden channels.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Found {
    /// The bucket.
    pub bucket: String,
    /// Hidden channels that it showed.
    pub shown: u64,
    /// Their share of all hidden channels; `None` if there is none.
    pub share: Option<f64>,
    /// The share that would be expected of as many impressions as the bucket with the fewest has.
    pub share_at_equal_size: Option<f64>,
    /// Impressions of them.
    pub impressions: u64,
    /// Watched ones.
    pub watched: u64,
}

impl Channels {
    pub(crate) fn new(buckets: usize, begin_ms: i64) -> Self {
        let (places, all, first_shown_ms) = (HashMap::default(), Vec::new(), None);
        Self { places, all, buckets, begin_ms, first_shown_ms }
    }

    /// The number of a channel, which is new if it was not seen before.
    pub(crate) fn place(&mut self, channel_id: u64) -> u32 {
        let next = self.all.len() as u32;
        let place = *self.places.entry(channel_id).or_insert(next);
        if place == next {
            let counts = vec![(0, 0); self.buckets];
            self.all.push(Channel { last_shown_ms: None, on_offer: false, counts });
        }
        place
    }

    /// Something happened in it during the experiment.
    pub(crate) fn is_on_offer(&mut self, channel: u32) {
        self.all[channel as usize].on_offer = true;
    }

    /// It was shown before the experiment.
    pub(crate) fn was_shown(&mut self, channel: u32, at_ms: i64) {
        let last = &mut self.all[channel as usize].last_shown_ms;
        *last = (*last).max(Some(at_ms));
        self.first_shown_ms = Some(self.first_shown_ms.map_or(at_ms, |first| first.min(at_ms)));
    }

    /// A bucket showed it.
    pub(crate) fn shown(&mut self, channel: u32, bucket: usize) {
        self.all[channel as usize].counts[bucket].0 += 1;
    }

    /// What a bucket showed was watched.
    pub(crate) fn watched(&mut self, channel: u32, bucket: usize) {
        self.all[channel as usize].counts[bucket].1 += 1;
    }

    /// For which of [`HIDDEN_DAYS`] it had been hidden.
    pub(crate) fn hidden(&self, channel: u32) -> [bool; HIDDEN_DAYS.len()] {
        self.hidden_of(&self.all[channel as usize])
    }

    fn hidden_of(&self, channel: &Channel) -> [bool; HIDDEN_DAYS.len()] {
        let known = self.known();
        std::array::from_fn(|i| {
            let since_ms = self.begin_ms - i64::from(HIDDEN_DAYS[i]) * DAY_MS;
            known[i] && channel.last_shown_ms.is_none_or(|last| last < since_ms)
        })
    }

    /// For which of [`HIDDEN_DAYS`] the log says which channels were hidden: something was shown on the first of these days, or earlier.
    pub(crate) fn known(&self) -> [bool; HIDDEN_DAYS.len()] {
        HIDDEN_DAYS.map(|days| {
            let end_of_first_ms = self.begin_ms - (i64::from(days) - 1) * DAY_MS;
            self.first_shown_ms.is_some_and(|first| first < end_of_first_ms)
        })
    }

    fn on_offer(&self) -> impl Iterator<Item = &Channel> + Clone {
        self.all.iter().filter(|channel| channel.on_offer)
    }

    /// Channels in which something happened during the experiment.
    pub(crate) fn count(&self) -> u64 {
        self.on_offer().count() as u64
    }

    pub(crate) fn exposure(&self, buckets: &[String]) -> Vec<Exposure> {
        let of_bucket = |(i, bucket): (usize, &String)| {
            let counts: Vec<u64> = self.on_offer().map(|channel| channel.counts[i].0).collect();
            Exposure {
                bucket: bucket.clone(),
                shown: counts.iter().filter(|count| **count > 0).count() as u64,
                spread: Spread::of(counts),
            }
        };
        buckets.iter().enumerate().map(of_bucket).collect()
    }

    pub(crate) fn hidden_channels(&self, buckets: &[String]) -> Vec<Hidden> {
        let sizes: Vec<u64> = (0..buckets.len())
            .map(|bucket| self.on_offer().map(|channel| channel.counts[bucket].0).sum())
            .collect();
        let fewest = sizes.iter().copied().filter(|size| *size > 0).min().unwrap_or(0);
        let of_days = |(i, days): (usize, &u32)| {
            let channels = self.on_offer().filter(move |channel| self.hidden_of(channel)[i]);
            let all = channels.clone().count() as u64;
            let found = |(place, bucket): (usize, &String)| {
                let counts = || channels.clone().map(move |channel| channel.counts[place]);
                let share = |shown: f64| (all > 0).then(|| shown / all as f64);
                let shown = counts().filter(|(shown, _)| *shown > 0).count() as u64;
                let equal = rarefied(counts().map(|(shown, _)| shown), sizes[place], fewest);
                Found {
                    bucket: bucket.clone(),
                    shown,
                    share: share(shown as f64),
                    share_at_equal_size: share(equal),
                    impressions: counts().map(|(shown, _)| shown).sum(),
                    watched: counts().map(|(_, watched)| watched).sum(),
                }
            };
            Hidden {
                days: *days,
                channels: all,
                buckets: buckets.iter().enumerate().map(found).collect(),
            }
        };
        let is_known = self.known();
        let known = HIDDEN_DAYS.iter().enumerate().filter(|(i, _)| is_known[*i]);
        known.map(of_days).collect()
    }
}
