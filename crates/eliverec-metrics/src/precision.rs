//! Precision of the first ten places of a feed, in the standard sense and in the paper's.
//!
//! The standard `precision@10` is hits / 10, also where fewer than ten channels were shown. The paper's Table II has `Prec@10`
//! near 0.43 with 0.91 watched of 7.71 shown, which hits / 10 cannot reach (at most 0.09). It fits the share of a feed's
//! watched channels that are found in its top ten, feeds without a watch counting 0: what is elsewhere called recall, and
//! what [`paper_precision`] returns.

use crate::{ranking::Ranking, recall::recall};

/// Expected hits in the first `cut` places / `cut`; `None` for a feed without a watch.
pub fn precision(ranking: &Ranking) -> Option<f64> {
    (ranking.watched() > 0).then(|| ranking.hits() / ranking.cut() as f64)
}

/// `Prec@10` as we read Table II of the paper: [`recall`] of the feed; `None` for a feed without a watch, which counts 0.
pub fn paper_precision(ranking: &Ranking) -> Option<f64> {
    recall(ranking)
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
            let oracle = mean_over_orders(&feed, &|labels| {
                labels.iter().take(cut).filter(|&&watched| watched).count() as f64 / cut as f64
            });
            let value = precision(&ranked(&feed, cut));
            prop_assert_eq!(value.is_some(), feed.iter().any(|channel| channel.1));
            prop_assert!((value.unwrap_or(0.0) - oracle).abs() < 1e-12);
        }
    }

    #[test]
    fn a_short_feed_still_divides_by_ten() {
        let ranking = ranked(&[(0.9, true), (0.5, false), (0.1, true)], 10);
        assert_eq!(precision(&ranking), Some(0.2));
        assert_eq!(paper_precision(&ranking), Some(1.0));
        assert_eq!(precision(&ranked(&[(0.9, false)], 10)), None);
        assert_eq!(paper_precision(&ranked(&[(0.9, false)], 10)), None);
    }
}
