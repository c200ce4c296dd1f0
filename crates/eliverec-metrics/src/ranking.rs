//! What the first places of one feed hold, in expectation over the orders of tied scores.
//!
//! Tied channels could be shown in any order, and an arbitrary one (input order, say) would flatter or punish a model that
//! predicts the same for many. If a tie of g channels with m watched covers some places, each of these places holds a watched
//! channel with probability m / g; precision, recall and NDCG are linear in these probabilities, so their expectation over
//! all orders has this closed form.

/// Expected relevance per place of one feed; one value reused for all feeds.
#[derive(Clone, Debug)]
pub struct Ranking {
    /// (score, watched) by falling score.
    order: Vec<(f32, bool)>,
    places: Vec<f64>,
    cut: usize,
    watched: usize,
}

impl Ranking {
    /// For metrics at `cut` places, 10 in the paper.
    pub fn new(cut: usize) -> Self {
        Self { order: Vec::new(), places: Vec::new(), cut, watched: 0 }
    }

    /// Ranks a feed: `scores: [n]`, without NaN; `labels: [n]`.
    pub fn rank(&mut self, scores: &[f32], labels: &[bool]) {
        self.order.clear();
        self.order.extend(scores.iter().copied().zip(labels.iter().copied()));
        self.order.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        self.watched = labels.iter().filter(|&&watched| watched).count();
        self.places.clear();
        for tie in self.order.chunk_by(|a, b| a.0 == b.0) {
            let watched = tie.iter().filter(|channel| channel.1).count();
            let open = self.cut - self.places.len();
            let expected = watched as f64 / tie.len() as f64;
            self.places.extend(std::iter::repeat_n(expected, tie.len().min(open)));
            if self.places.len() == self.cut {
                break;
            }
        }
    }

    /// The probability that each of the first min(n, cut) places holds a watched channel.
    pub fn places(&self) -> &[f64] {
        &self.places
    }

    /// The expected number of watched channels in the first `cut` places.
    pub fn hits(&self) -> f64 {
        self.places.iter().sum()
    }

    /// Watched channels of the feed, at any place.
    pub fn watched(&self) -> usize {
        self.watched
    }

    /// The number of places that count.
    pub fn cut(&self) -> usize {
        self.cut
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Small feeds, mostly ties.
    pub(crate) fn feeds() -> impl Strategy<Value = Vec<(f32, bool)>> {
        let score = prop_oneof![(0_u8..3).prop_map(|i| f32::from(i) / 2.0), 0.0_f32..1.0];
        prop::collection::vec((score, any::<bool>()), 1..7)
    }

    /// The mean of `metric` over all orders of `feed` that its scores allow; `metric` sees labels by place.
    pub(crate) fn mean_over_orders(feed: &[(f32, bool)], metric: &dyn Fn(&[bool]) -> f64) -> f64 {
        fn visit(
            left: &mut Vec<(f32, bool)>,
            placed: &mut Vec<bool>,
            metric: &dyn Fn(&[bool]) -> f64,
            values: &mut Vec<f64>,
        ) {
            if left.is_empty() {
                values.push(metric(placed));
                return;
            }
            let best = left.iter().map(|channel| channel.0).fold(f32::MIN, f32::max);
            for i in 0..left.len() {
                if left[i].0 == best {
                    let channel = left.remove(i);
                    placed.push(channel.1);
                    visit(left, placed, metric, values);
                    placed.pop();
                    left.insert(i, channel);
                }
            }
        }
        let mut values = Vec::new();
        visit(&mut feed.to_vec(), &mut Vec::new(), metric, &mut values);
        values.iter().sum::<f64>() / values.len() as f64
    }

    pub(crate) fn ranked(feed: &[(f32, bool)], cut: usize) -> Ranking {
        let (scores, labels): (Vec<_>, Vec<_>) = feed.iter().copied().unzip();
        let mut ranking = Ranking::new(cut);
        ranking.rank(&scores, &labels);
        ranking
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn places_equal_the_mean_over_all_orders(feed in feeds(), cut in 1_usize..5) {
            let ranking = ranked(&feed, cut);
            prop_assert_eq!(ranking.places().len(), cut.min(feed.len()));
            for (place, &expected) in ranking.places().iter().enumerate() {
                let mean = mean_over_orders(&feed, &|labels| f64::from(u8::from(labels[place])));
                prop_assert!((expected - mean).abs() < 1e-12, "place {}: {} {}", place, expected, mean);
            }
        }
    }

    #[test]
    fn a_tie_over_the_cut_is_shared() {
        let ranking = ranked(&[(0.5, true), (0.9, false), (0.5, false), (0.5, false)], 2);
        assert_eq!(ranking.places(), [0.0, 1.0 / 3.0]);
        assert_eq!((ranking.hits(), ranking.watched(), ranking.cut()), (1.0 / 3.0, 1, 2));
    }

    #[test]
    fn zeros_tie() {
        assert_eq!(ranked(&[(-0.0, true), (0.0, false)], 1).places(), [0.5]);
    }
}
