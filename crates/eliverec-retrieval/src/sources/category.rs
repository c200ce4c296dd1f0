//! Channels of the category of the products that the user clicked last: the bridge from the product domain to live channels.

use std::collections::BTreeMap;

use crate::config::Recent;
use crate::source::{Found, Query, Source, best};
use crate::source_name::SourceName;

/// The score is the share of the category among the newest clicks, newer ones counting more, once for what the channel is about
/// and once for what it sells now, times what breaks the many ties of a category: 1 + ln(1 + entries with decay).
#[derive(Clone, Copy, Debug)]
pub struct CategorySource(pub Recent);

impl Source for CategorySource {
    fn name(&self) -> SourceName {
        SourceName::Category
    }

    fn find(&self, query: &Query<'_>, quota: usize) -> Vec<Found> {
        let clicks = query.user.categories.iter().rev().take(self.0.events).enumerate();
        let mut weights: BTreeMap<u64, f64> = BTreeMap::new();
        for (newer, category) in clicks {
            *weights.entry(*category).or_default() += self.0.weight(newer);
        }
        let total: f64 = weights.values().sum();
        let mut shares = vec![0.0_f64; query.live.channels().len()];
        for (category, weight) in weights {
            for place in query.live.of_category(category) {
                shares[place as usize] += weight / total;
            }
        }
        let found = (0_u32..).zip(shares).filter(|(_, share)| *share > 0.0);
        let scored = found.map(|(place, share)| {
            let crowd = 1.0 + f64::from(query.live.trend(place)).ln_1p();
            (place, (share * crowd) as f32)
        });
        best(query, scored, quota)
    }
}
