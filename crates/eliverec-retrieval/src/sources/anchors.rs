//! Channels of anchors that the user follows or often watches.

use std::collections::BTreeMap;

use crate::config::Anchors;
use crate::source::{Found, Query, Source, best};
use crate::source_name::SourceName;

/// The score is the number of the user's watches of the anchor, a follow counting as several.
#[derive(Clone, Copy, Debug)]
pub struct AnchorSource(pub Anchors);

impl Source for AnchorSource {
    fn name(&self) -> SourceName {
        SourceName::Anchors
    }

    fn find(&self, query: &Query<'_>, quota: usize) -> Vec<Found> {
        let mut interest: BTreeMap<u64, f64> = BTreeMap::new();
        for (anchor, watches) in &query.user.anchors {
            *interest.entry(*anchor).or_default() += f64::from(*watches);
        }
        for anchor in &query.user.followed {
            *interest.entry(*anchor).or_default() += self.0.follow_watches;
        }
        let places = interest.into_iter().filter(|(_, interest)| *interest > 0.0);
        let places = places.flat_map(|(anchor, interest)| {
            query.live.of_anchor(anchor).map(move |place| (place, interest as f32))
        });
        best(query, places, quota)
    }
}
