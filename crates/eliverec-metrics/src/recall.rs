//! Recall of the first ten places of a feed: the share of its watched channels that are among them.
//!
//! A feed of ten channels or fewer has recall 1, whatever the order: the metric tells models apart on longer feeds only.

use crate::ranking::Ranking;

/// Expected hits in the first `cut` places / watched channels of the feed; `None` for a feed without a watch.
pub fn recall(ranking: &Ranking) -> Option<f64> {
    (ranking.watched() > 0).then(|| ranking.hits() / ranking.watched() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ranking::tests::{feeds, mean_over_orders, ranked};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn equals_the_mean_over_all_orders(feed in feeds(), cut in 1_usize..9) {
            let watched = feed.iter().filter(|channel| channel.1).count();
            let oracle = mean_over_orders(&feed, &|labels| {
                let hits = labels.iter().take(cut).filter(|&&watched| watched).count();
                hits as f64 / watched.max(1) as f64
            });
            let value = recall(&ranked(&feed, cut));
            prop_assert_eq!(value.is_some(), watched > 0);
            prop_assert!((value.unwrap_or(0.0) - oracle).abs() < 1e-12);
        }
    }

    #[test]
    fn counts_watched_channels_beyond_the_cut() {
        let feed: Vec<_> = (0..12).map(|i| (-(i as f32), i == 0 || i == 11)).collect();
        assert_eq!(recall(&ranked(&feed, 10)), Some(0.5));
        assert_eq!(recall(&ranked(&feed[1..11], 10)), None);
    }
}
