//! All metrics of watch predictions at once, one feed at a time.
//!
//! Only AUC and gAUC per user keep anything: 4 bytes per impression and 32 per feed, 1.6 GB for 200 M impressions in feeds of
//! 7.7 (while the lists grow, their vectors can reserve up to twice that). AUC, gAUC per user and the counts do not depend on
//! the order of feeds; the others do by the rounding of a sum.

use crate::{
    Error, Report,
    calibration::Calibration,
    feed_mean::FeedMean,
    gauc::{FeedAuc, UserGrouped, UserGroupedAuc},
    logloss::LogLoss,
    ndcg::ndcg,
    precision::{paper_precision, precision},
    ranking::Ranking,
    recall::recall,
    shares::UserShares,
};

/// The places that count in NDCG@10, Prec@10 and Recall@10.
pub const TOP: usize = 10;

/// Takes feeds, ends in a [`Report`].
#[derive(Clone, Debug)]
pub struct Evaluation {
    by_user: UserGroupedAuc,
    by_feed: FeedAuc,
    ranking: Ranking,
    ndcg: FeedMean,
    recall: FeedMean,
    precision: FeedMean,
    paper_precision: FeedMean,
    logloss: LogLoss,
    calibration: Calibration,
    impressions: u64,
    feeds: u64,
    watched_feeds: u64,
    watched: u64,
}

impl Default for Evaluation {
    fn default() -> Self {
        Self::new()
    }
}

impl Evaluation {
    /// Nothing seen.
    pub fn new() -> Self {
        Self {
            by_user: UserGroupedAuc::new(),
            by_feed: FeedAuc::new(),
            ranking: Ranking::new(TOP),
            ndcg: FeedMean::default(),
            recall: FeedMean::default(),
            precision: FeedMean::default(),
            paper_precision: FeedMean::default(),
            logloss: LogLoss::new(),
            calibration: Calibration::new(),
            impressions: 0,
            feeds: 0,
            watched_feeds: 0,
            watched: 0,
        }
    }

    /// Adds one feed of `user`: `probabilities: [n]` of watching, `watched: [n]`, n at least 1.
    ///
    /// # Errors
    /// [`Error::LengthMismatch`], [`Error::NoImpressions`], or [`Error::NotAProbability`] (NaN, infinite, outside `[0, 1]`),
    /// each with the user; the evaluation is then as it was before the call.
    pub fn add_feed(
        &mut self,
        user: u64,
        probabilities: &[f32],
        watched: &[bool],
    ) -> Result<(), Error> {
        let (scores, labels) = (probabilities.len(), watched.len());
        if scores != labels {
            return Err(Error::LengthMismatch { user, scores, labels });
        }
        if scores == 0 {
            return Err(Error::NoImpressions { user });
        }
        // NaN is in no range.
        if let Some(position) = probabilities.iter().position(|p| !(0.0..=1.0).contains(p)) {
            let value = probabilities[position];
            return Err(Error::NotAProbability { user, position, value });
        }
        self.by_user.add_feed(user, probabilities, watched)?;
        self.by_feed.add_feed(probabilities, watched)?;
        self.ranking.rank(probabilities, watched);
        self.ndcg.add(ndcg(&self.ranking));
        self.recall.add(recall(&self.ranking));
        self.precision.add(precision(&self.ranking));
        self.paper_precision.add(paper_precision(&self.ranking));
        for (&probability, &label) in probabilities.iter().zip(watched) {
            self.logloss.add_probability(probability, label);
            self.calibration.add(probability, label);
        }
        self.impressions += scores as u64;
        self.feeds += 1;
        self.watched_feeds += u64::from(self.ranking.watched() > 0);
        self.watched += self.ranking.watched() as u64;
        Ok(())
    }

    /// Predicted against observed, bin by bin.
    pub fn calibration(&self) -> &Calibration {
        &self.calibration
    }

    /// The metrics of all feeds added.
    pub fn finish(mut self) -> Report {
        let grouped = std::mem::take(&mut self.by_user).finish();
        self.report(&grouped)
    }

    /// The metrics, and every user's [shares](crate::shares) in some of them, in the order of user ids, for an
    /// [interval](crate::significance) against another run: 56 bytes more per user.
    pub fn finish_with_users(mut self) -> (Report, Vec<UserShares>) {
        let (grouped, users) = std::mem::take(&mut self.by_user).finish_with_shares();
        (self.report(&grouped), users)
    }

    fn report(self, grouped: &UserGrouped) -> Report {
        Report {
            auc: grouped.auc,
            gauc_user: grouped.gauc,
            gauc_feed: self.by_feed.finish(),
            ndcg_at_10: self.ndcg.over_all_feeds(),
            ndcg_at_10_watched_feeds: self.ndcg.over_watched_feeds(),
            recall_at_10: self.recall.over_all_feeds(),
            recall_at_10_watched_feeds: self.recall.over_watched_feeds(),
            precision_at_10: self.precision.over_all_feeds(),
            precision_at_10_watched_feeds: self.precision.over_watched_feeds(),
            paper_prec_at_10: self.paper_precision.over_all_feeds(),
            logloss: self.logloss.finish(),
            ece: self.calibration.expected_error(),
            pcoc: self.calibration.predicted_over_observed(),
            impressions: self.impressions,
            feeds: self.feeds,
            watched_feeds: self.watched_feeds,
            watched: self.watched,
            tasks: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        METRICS,
        auc::tests::pairwise_auc,
        gauc::tests::{FeedOf, by_user, grouped_auc},
    };
    use proptest::prelude::*;

    fn evaluate(feeds: &[FeedOf<f32>]) -> Evaluation {
        let mut evaluation = Evaluation::new();
        for (user, feed) in feeds {
            let (scores, labels): (Vec<_>, Vec<_>) = feed.iter().copied().unzip();
            evaluation.add_feed(*user, &scores, &labels).unwrap();
        }
        evaluation
    }

    /// Feeds longer than ten places, scores a multiple of 1/16 with many ties.
    fn feeds() -> impl Strategy<Value = Vec<FeedOf<f32>>> {
        let score = (0_u8..=16).prop_map(|i| f32::from(i) / 16.0);
        let feed = prop::collection::vec((score, prop::bool::weighted(0.15)), 1..25);
        prop::collection::vec((0_u64..6, feed), 0..25)
    }

    /// Expected hits in the top ten: a channel's chance to be there is its tie's share of the places that better scores leave.
    fn hits(feed: &[(f32, bool)]) -> f64 {
        let chance = |score: f32| {
            let better = feed.iter().filter(|other| other.0 > score).count();
            let tied = feed.iter().filter(|other| other.0 == score).count();
            (10.0 - better as f64).clamp(0.0, tied as f64) / tied as f64
        };
        feed.iter().filter(|channel| channel.1).map(|channel| chance(channel.0)).sum()
    }

    fn assert_close(name: &str, value: Option<f64>, oracle: Option<f64>) {
        assert_eq!(value.is_some(), oracle.is_some(), "{name}");
        let difference = value.unwrap_or(0.0) - oracle.unwrap_or(0.0);
        assert!(difference.abs() < 1e-12, "{name}: {value:?} {oracle:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_field_holds_its_metric(feeds in feeds()) {
            let (report, users) = evaluate(&feeds).finish_with_users();
            let all: Vec<_> = feeds.iter().flat_map(|feed| feed.1.clone()).collect();
            let watched = |feed: &[(f32, bool)]| feed.iter().filter(|channel| channel.1).count();
            let with_watch: Vec<_> = feeds.iter().filter(|feed| watched(&feed.1) > 0).collect();
            let mean = |sum: f64, count: usize| (count > 0).then(|| sum / count as f64);

            prop_assert_eq!(report.impressions, all.len() as u64);
            prop_assert_eq!(report.feeds, feeds.len() as u64);
            prop_assert_eq!(report.watched, watched(&all) as u64);
            prop_assert_eq!(report.watched_feeds, with_watch.len() as u64);
            assert_close("auc", report.auc, pairwise_auc(&all));
            assert_close("gauc_user", report.gauc_user, grouped_auc(by_user(&feeds).values()));
            assert_close("gauc_feed", report.gauc_feed, grouped_auc(feeds.iter().map(|f| &f.1)));

            let precision: f64 = with_watch.iter().map(|f| hits(&f.1) / 10.0).sum();
            let recall: f64 = with_watch.iter().map(|f| hits(&f.1) / watched(&f.1) as f64).sum();
            assert_close("precision", report.precision_at_10, mean(precision, feeds.len()));
            let of_watched = mean(precision, with_watch.len());
            assert_close("precision, watched", report.precision_at_10_watched_feeds, of_watched);
            assert_close("recall", report.recall_at_10, mean(recall, feeds.len()));
            let of_watched = mean(recall, with_watch.len());
            assert_close("recall, watched", report.recall_at_10_watched_feeds, of_watched);
            prop_assert_eq!(report.paper_prec_at_10, report.recall_at_10);

            prop_assert_eq!(report.logloss.is_some(), !all.is_empty());
            prop_assert_eq!(report.ece.is_some(), !all.is_empty());
            prop_assert_eq!(report.pcoc.is_some(), watched(&all) > 0);
            for metric in METRICS.iter().filter(|metric| !["logloss", "pcoc"].contains(&metric.name.as_ref())) {
                prop_assert!(metric.of(&report).is_none_or(|v| (0.0..=1.0 + 1e-12).contains(&v)));
            }
            let of_gauc = || users.iter().map(|user| user.shares[1]);
            let weight: u64 = of_gauc().map(|share| share.weight).sum();
            let sum: f64 = of_gauc().map(|share| share.value * share.weight as f64).sum();
            assert_close("users", report.gauc_user, mean(sum, weight as usize));
        }
    }

    #[test]
    fn one_feed_by_hand() {
        let report = evaluate(&[(7, vec![(0.75, false), (0.5, true), (0.25, false)])]).finish();
        let third = 1.0 / 3.0_f64.log2();
        assert_eq!(report.auc, Some(0.5));
        assert_eq!((report.gauc_user, report.gauc_feed), (Some(0.5), Some(0.5)));
        assert_eq!(
            (report.ndcg_at_10, report.ndcg_at_10_watched_feeds),
            (Some(third), Some(third))
        );
        assert_eq!((report.precision_at_10, report.paper_prec_at_10), (Some(0.1), Some(1.0)));
        assert_close("ece", report.ece, Some(1.5 / 3.0));
        assert_eq!(report.pcoc, Some(1.5));
        let likelihood = 0.25_f64.ln() + 0.5_f64.ln() + 0.75_f64.ln();
        assert_close("logloss", report.logloss, Some(-likelihood / 3.0));
    }

    #[test]
    fn nothing_seen_is_undefined() {
        let report = Evaluation::default().finish();
        assert!(METRICS.iter().all(|metric| metric.of(&report).is_none()));
        assert_eq!((report.impressions, report.feeds), (0, 0));
    }

    #[test]
    fn refused_feeds_leave_no_trace_and_are_named() {
        let good = [(1, vec![(0.75, true), (0.5, false)])];
        let mut evaluation = evaluate(&good);
        let error = evaluation.add_feed(42, &[0.5, f32::NAN], &[true, false]).unwrap_err();
        assert!(error.to_string().contains("user 42: prediction NaN at position 1"), "{error}");
        for value in [f32::INFINITY, -0.1, 1.1] {
            let error = evaluation.add_feed(42, &[value], &[true]).unwrap_err();
            assert_eq!(error, Error::NotAProbability { user: 42, position: 0, value });
        }
        let error = evaluation.add_feed(42, &[0.5], &[]).unwrap_err();
        assert_eq!(error, Error::LengthMismatch { user: 42, scores: 1, labels: 0 });
        assert_eq!(evaluation.add_feed(42, &[], &[]), Err(Error::NoImpressions { user: 42 }));
        assert_eq!(evaluation.finish(), evaluate(&good).finish());
    }
}
