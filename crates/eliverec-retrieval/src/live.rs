//! The channels that are live at a moment, with everything that the requests of that moment share: ids in order, places by
//! anchor and category, the order of trending, what is long without exposure, and where the indexes have each channel.

use std::collections::HashMap;
use std::sync::Arc;

use eliverec_core::id::IdHash;

use crate::config::RetrievalConfig;
use crate::neighbours::Neighbours;
use crate::state::LiveChannel;
use crate::vectors::{ChannelVectors, LiveVectors};

/// The place of a channel that is not live.
pub(crate) const NOWHERE: u32 = u32::MAX;

/// Live channels in ascending order of ids. Costs a sort of them to make, so a service makes one every second or so.
#[derive(Debug)]
pub struct Live {
    at_ms: i64,
    channels: Vec<LiveChannel>,
    places: Places,
    /// By place: entries with decay.
    trends: Vec<f32>,
    trending: Vec<u32>,
    by_anchor: Vec<(u64, u32)>,
    /// By the channel's own category and by that of what it sells; a channel of which both are one stands there twice.
    by_category: Vec<(u64, u32)>,
    unexposed: Vec<u32>,
}

/// What depends on which channels are live alone, and is kept while they stay the same.
#[derive(Clone, Debug)]
struct Places {
    by_id: Arc<HashMap<u64, u32, IdHash>>,
    /// By index of a channel in the neighbours: its place, or [`NOWHERE`].
    of_neighbours: Arc<Vec<u32>>,
    vectors: Option<Arc<LiveVectors>>,
}

impl Live {
    /// Arranges the live channels of a moment; of two with one id the first stays. `previous` saves what has not changed since.
    pub(crate) fn new(
        mut channels: Vec<LiveChannel>,
        at_ms: i64,
        config: &RetrievalConfig,
        neighbours: Option<&Neighbours>,
        vectors: Option<&ChannelVectors>,
        previous: Option<&Self>,
    ) -> Self {
        channels.sort_by_key(|channel| channel.channel_id);
        channels.dedup_by_key(|channel| channel.channel_id);
        let ids = || channels.iter().map(|channel| channel.channel_id);
        let same = previous.filter(|previous| {
            previous.channels.iter().map(|channel| channel.channel_id).eq(ids())
        });
        let places = same.map_or_else(
            || {
                let ids: Vec<u64> = ids().collect();
                Places::new(&ids, neighbours, vectors)
            },
            |same| same.places.clone(),
        );

        let half_life = config.trending.half_life_minutes;
        let decayed = channels.iter().map(|channel| channel.popularity.decayed(half_life) as f32);
        let trends: Vec<f32> = decayed.collect();
        let all = 0..channels.len() as u32;
        let mut trending: Vec<u32> = all.clone().collect();
        trending.sort_by(|a, b| trends[*b as usize].total_cmp(&trends[*a as usize]));

        let channel = |place: u32| &channels[place as usize];
        let anchors = all.clone().filter_map(|place| Some((channel(place).anchor_id?, place)));
        let mut by_anchor: Vec<(u64, u32)> = anchors.collect();
        by_anchor.sort_unstable();
        let categories = all.clone().flat_map(|place| {
            let LiveChannel { category_id, selling_category_id, .. } = *channel(place);
            [category_id, selling_category_id].into_iter().flatten().map(move |id| (id, place))
        });
        let mut by_category: Vec<(u64, u32)> = categories.collect();
        by_category.sort_unstable();

        let longest_ms = config.exploration.after_minutes * 60_000.0;
        let unexposed = all.filter(|place| {
            let exposed_ms = channel(*place).exposed_ms;
            exposed_ms.is_none_or(|ms| at_ms.saturating_sub(ms) as f64 >= longest_ms)
        });
        let unexposed = unexposed.collect();
        Self { at_ms, channels, places, trends, trending, by_anchor, by_category, unexposed }
    }

    /// The moment, milliseconds since 1970 UTC.
    pub const fn at_ms(&self) -> i64 {
        self.at_ms
    }

    /// The channels, in ascending order of ids.
    pub fn channels(&self) -> &[LiveChannel] {
        &self.channels
    }

    /// Where a channel stands in [`Live::channels`], if it is live.
    pub fn place(&self, channel_id: u64) -> Option<u32> {
        self.places.by_id.get(&channel_id).copied()
    }

    /// How many live channels the index of vectors does not know; all, if there is none.
    pub fn without_vector(&self) -> usize {
        let known = self.vectors().map_or(0, LiveVectors::len);
        self.channels.len() - known
    }

    /// Entries with decay of the channel at a place.
    pub(crate) fn trend(&self, place: u32) -> f32 {
        self.trends[place as usize]
    }

    /// Places, the most entered first.
    pub(crate) fn trending(&self) -> &[u32] {
        &self.trending
    }

    /// Places of the channels that nobody was shown for long, which exploration draws from.
    pub fn unexposed(&self) -> &[u32] {
        &self.unexposed
    }

    pub(crate) fn of_anchor(&self, anchor: u64) -> impl Iterator<Item = u32> + '_ {
        of_key(&self.by_anchor, anchor)
    }

    /// A channel whose own category and whose product's are this one comes twice.
    pub(crate) fn of_category(&self, category: u64) -> impl Iterator<Item = u32> + '_ {
        of_key(&self.by_category, category)
    }

    pub(crate) fn of_neighbour(&self, index: u32) -> Option<u32> {
        let place = self.places.of_neighbours.get(index as usize).copied();
        place.filter(|place| *place != NOWHERE)
    }

    pub(crate) fn vectors(&self) -> Option<&LiveVectors> {
        self.places.vectors.as_deref()
    }
}

fn of_key(sorted: &[(u64, u32)], key: u64) -> impl Iterator<Item = u32> + '_ {
    let first = sorted.partition_point(|(other, _)| *other < key);
    sorted[first..].iter().take_while(move |(other, _)| *other == key).map(|(_, place)| *place)
}

impl Places {
    fn new(ids: &[u64], neighbours: Option<&Neighbours>, vectors: Option<&ChannelVectors>) -> Self {
        let by_id: HashMap<u64, u32, IdHash> =
            ids.iter().enumerate().map(|(place, id)| (*id, place as u32)).collect();
        let known = neighbours.map(Neighbours::channels).unwrap_or_default();
        let place = |id: &u64| by_id.get(id).copied().unwrap_or(NOWHERE);
        let of_neighbours = Arc::new(known.iter().map(place).collect());
        let vectors = vectors.map(|vectors| Arc::new(vectors.of_live(ids)));
        Self { by_id: Arc::new(by_id), of_neighbours, vectors }
    }
}
