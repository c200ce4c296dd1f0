//! The mean of a per-feed metric, with feeds without a watch counted as 0 and, beside it, left out.
//!
//! Which of the two a paper means changes the level by a factor of two (about 45 % of the paper's feeds have a watch), so both are kept.

/// Running means of one metric over feeds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FeedMean {
    sum: f64,
    feeds: u64,
    watched_feeds: u64,
}

impl FeedMean {
    /// Adds one feed; `None` if it has no watch.
    pub fn add(&mut self, value: Option<f64>) {
        self.feeds += 1;
        if let Some(value) = value {
            self.watched_feeds += 1;
            self.sum += value;
        }
    }

    /// The mean over all feeds, those without a watch counting 0; `None` before the first feed.
    pub fn over_all_feeds(&self) -> Option<f64> {
        (self.feeds > 0).then(|| self.sum / self.feeds as f64)
    }

    /// The mean over feeds with a watch; `None` before the first of them.
    pub fn over_watched_feeds(&self) -> Option<f64> {
        (self.watched_feeds > 0).then(|| self.sum / self.watched_feeds as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feeds_without_a_watch_count_zero_or_not_at_all() {
        let mut mean = FeedMean::default();
        assert_eq!((mean.over_all_feeds(), mean.over_watched_feeds()), (None, None));
        mean.add(None);
        assert_eq!((mean.over_all_feeds(), mean.over_watched_feeds()), (Some(0.0), None));
        mean.add(Some(0.5));
        mean.add(Some(1.0));
        mean.add(None);
        assert_eq!((mean.over_all_feeds(), mean.over_watched_feeds()), (Some(0.375), Some(0.75)));
    }
}
