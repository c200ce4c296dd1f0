//! Normalised discounted cumulative gain of the first ten places: gain 1 for a watched channel, discount 1 / log2(place + 1).
//!
//! Normalised by the best order that the feed allows: min(watched, cut) watched channels first.

use crate::ranking::Ranking;

/// Expected DCG / ideal DCG over the first `cut` places; `None` for a feed without a watch.
pub fn ndcg(ranking: &Ranking) -> Option<f64> {
    let ideal: f64 = (0..ranking.watched().min(ranking.cut())).map(discount).sum();
    let gained =
        || ranking.places().iter().enumerate().map(|(place, expected)| expected * discount(place));
    (ideal > 0.0).then(|| gained().sum::<f64>() / ideal)
}

/// `place` counts from 0.
fn discount(place: usize) -> f64 {
    1.0 / (place as f64 + 2.0).log2()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ranking::tests::{feeds, mean_over_orders, ranked};
    use proptest::prelude::*;

    fn dcg(labels: &[bool], cut: usize) -> f64 {
        let mut sum = 0.0;
        for (i, &watched) in labels.iter().enumerate() {
            if i < cut && watched {
                sum += std::f64::consts::LN_2 / (i as f64 + 2.0).ln();
            }
        }
        sum
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn equals_the_mean_over_all_orders(feed in feeds(), cut in 1_usize..9) {
            let mut best: Vec<bool> = feed.iter().map(|channel| channel.1).collect();
            best.sort_by_key(|&watched| !watched);
            let value = ndcg(&ranked(&feed, cut));
            prop_assert_eq!(value.is_some(), best[0]);
            if let Some(value) = value {
                let oracle = mean_over_orders(&feed, &|labels| dcg(labels, cut) / dcg(&best, cut));
                prop_assert!((value - oracle).abs() < 1e-12, "{} {}", value, oracle);
            }
        }
    }

    #[test]
    fn known_values() {
        assert_eq!(ndcg(&ranked(&[(0.9, true), (0.1, false)], 10)), Some(1.0));
        let second = ndcg(&ranked(&[(0.9, false), (0.1, true)], 10));
        assert_eq!(second, Some(1.0 / 3.0_f64.log2()));
        let tied = ndcg(&ranked(&[(0.5, false), (0.5, true)], 10)).unwrap();
        assert!((tied - 0.5 * (1.0 + 1.0 / 3.0_f64.log2())).abs() < 1e-15);
        assert_eq!(ndcg(&ranked(&[(0.5, false)], 10)), None);
    }
}
