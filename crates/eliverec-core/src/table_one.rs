//! The paper's Table I: how many channels a request shows, how many are watched, and how long both histories are. One
//! definition for feeds and for event logs, with the paper's own figures beside it.

use serde::{Deserialize, Serialize};

/// Table I of some requests. Averages are over all of them, those with empty histories included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TableOne {
    /// Requests.
    pub feeds: u64,
    /// Channels shown.
    pub impressions: u64,
    /// Impressions that were watched.
    pub watched: u64,
    /// Average channels shown.
    pub impressions_per_feed: f64,
    /// Average channels watched.
    pub watched_per_feed: f64,
    /// Average number of product clicks in the history; the paper keeps 50 (Sec. V-A).
    pub product_sequence_length: f64,
    /// Average number of watches in the history, repeats included; the paper keeps 50.
    pub channel_sequence_length: f64,
    /// Average number of different channels in it (Sec. VI-B.5).
    pub distinct_channels: f64,
}

impl TableOne {
    /// The paper's training set. Its test set is within 2 % on every row.
    pub const PAPER: Self = Self {
        feeds: 140_000_000,
        impressions: 1_080_000_000,
        watched: 127_000_000,
        impressions_per_feed: 7.71,
        watched_per_feed: 0.91,
        product_sequence_length: 47.47,
        channel_sequence_length: 41.29,
        distinct_channels: 27.78,
    };

    /// The rows that do not depend on the size of the set: name, value here, value in the paper.
    pub const fn rows(&self) -> [(&'static str, f64, f64); 5] {
        let paper = Self::PAPER;
        [
            ("impressions per feed", self.impressions_per_feed, paper.impressions_per_feed),
            ("watched per feed", self.watched_per_feed, paper.watched_per_feed),
            (
                "product sequence length",
                self.product_sequence_length,
                paper.product_sequence_length,
            ),
            (
                "channel sequence length",
                self.channel_sequence_length,
                paper.channel_sequence_length,
            ),
            ("distinct channels", self.distinct_channels, paper.distinct_channels),
        ]
    }

    /// The largest relative distance from the paper over [`TableOne::rows`].
    pub fn worst_deviation(&self) -> f64 {
        self.rows().iter().map(|(_, here, paper)| (here / paper - 1.0).abs()).fold(0.0, f64::max)
    }
}

/// Sums over requests, from which a [`TableOne`] is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Requests.
    pub feeds: u64,
    /// Channels shown.
    pub impressions: u64,
    /// Of them watched.
    pub watched: u64,
    /// Product clicks in the histories.
    pub products: u64,
    /// Watches in the histories.
    pub channels: u64,
    /// Different channels in each history.
    pub distinct_channels: u64,
}

impl Sums {
    /// The table; averages of no requests are 0.
    pub fn table(&self) -> TableOne {
        let per_feed = |sum: u64| sum as f64 / self.feeds.max(1) as f64;
        TableOne {
            feeds: self.feeds,
            impressions: self.impressions,
            watched: self.watched,
            impressions_per_feed: per_feed(self.impressions),
            watched_per_feed: per_feed(self.watched),
            product_sequence_length: per_feed(self.products),
            channel_sequence_length: per_feed(self.channels),
            distinct_channels: per_feed(self.distinct_channels),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paper_agrees_with_itself() {
        let paper = TableOne::PAPER;
        let sums = Sums {
            feeds: paper.feeds,
            impressions: paper.impressions,
            watched: paper.watched,
            ..Sums::default()
        };
        let table = sums.table();
        assert!((table.impressions_per_feed - paper.impressions_per_feed).abs() < 0.005);
        assert!((table.watched_per_feed - paper.watched_per_feed).abs() < 0.005);
        assert_eq!(paper.worst_deviation(), 0.0);
        assert_eq!(TableOne { watched_per_feed: 0.455, ..paper }.worst_deviation(), 0.5);
        assert_eq!(Sums::default().table().impressions_per_feed, 0.0);
    }
}
