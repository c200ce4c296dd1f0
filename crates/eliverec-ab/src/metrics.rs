//! What is compared, as data: each metric is a ratio of two sums over users.

/// A sum that is kept per user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Sum {
    /// Channels shown.
    Impressions,
    /// Those among them that were watched.
    Watched,
    /// Those in which the goods bag was opened.
    BagClicked,
    /// Those in which a product was clicked.
    ProductClicked,
    /// Those in which a product was bought.
    Ordered,
    /// Seconds of all stays, however the user came in.
    Stay,
    /// Stays of at least the threshold, however the user came in.
    Watches,
    /// Seconds of these.
    WatchStay,
    /// Value of all orders, in the log's currency.
    Revenue,
    /// Impressions of channels without exposure for 7 days.
    Found7,
    /// The same for 14 days.
    Found14,
    /// The same for 30 days.
    Found30,
    /// Watched ones among [`Sum::Found7`].
    FoundWatched7,
    /// Watched ones among [`Sum::Found14`].
    FoundWatched14,
    /// Watched ones among [`Sum::Found30`].
    FoundWatched30,
    /// The user.
    Users,
}

/// Sums that are counted; the last, users, is 1 of each.
pub const SUMS: usize = Sum::Users as usize;
/// Sums that are known of the days before, too: the first ones.
pub const SUMS_BEFORE: usize = Sum::Found7 as usize;
/// After so many days without exposure a channel counts as hidden (the paper's Sec. VI-C.3).
pub const HIDDEN_DAYS: [u32; 3] = [7, 14, 30];

/// A metric of the table.
#[derive(Debug)]
pub struct Metric {
    /// Its name for programs.
    pub name: &'static str,
    /// Its name in tables.
    pub title: &'static str,
    /// What it is.
    pub definition: &'static str,
    /// What is counted.
    pub numerator: Sum,
    /// Of what.
    pub denominator: Sum,
}

/// All metrics, in the order of the table.
pub const METRICS: &[Metric] = &[
    Metric {
        name: "impressions_per_user",
        title: "impressions per user",
        definition: "channels shown / users",
        numerator: Sum::Impressions,
        denominator: Sum::Users,
    },
    Metric {
        name: "ctr",
        title: "CTR",
        definition: "impressions with a stay of at least the threshold / impressions",
        numerator: Sum::Watched,
        denominator: Sum::Impressions,
    },
    Metric {
        name: "bag_ctr",
        title: "bag CTR",
        definition: "impressions in whose channel the goods bag was opened / impressions",
        numerator: Sum::BagClicked,
        denominator: Sum::Impressions,
    },
    Metric {
        name: "product_ctr",
        title: "product CTR",
        definition: "impressions in whose channel a product was clicked / impressions",
        numerator: Sum::ProductClicked,
        denominator: Sum::Impressions,
    },
    Metric {
        name: "stay_per_user",
        title: "stay per user, s",
        definition: "seconds of all stays, however the user came in / users",
        numerator: Sum::Stay,
        denominator: Sum::Users,
    },
    Metric {
        name: "stay_per_watch",
        title: "stay per watch, s",
        definition: "seconds of stays of at least the threshold / such stays",
        numerator: Sum::WatchStay,
        denominator: Sum::Watches,
    },
    Metric {
        name: "conversion",
        title: "conversion",
        definition: "watched impressions in whose channel a product was bought / watched impressions",
        numerator: Sum::Ordered,
        denominator: Sum::Watched,
    },
    Metric {
        name: "revenue_per_user",
        title: "revenue per user",
        definition: "value of all orders / users",
        numerator: Sum::Revenue,
        denominator: Sum::Users,
    },
    Metric {
        name: "found_7",
        title: "found after 7 days",
        definition: "impressions of channels that nobody was shown in the 7 days before the first day / impressions",
        numerator: Sum::Found7,
        denominator: Sum::Impressions,
    },
    Metric {
        name: "found_14",
        title: "found after 14 days",
        definition: "the same for 14 days",
        numerator: Sum::Found14,
        denominator: Sum::Impressions,
    },
    Metric {
        name: "found_30",
        title: "found after 30 days",
        definition: "the same for 30 days",
        numerator: Sum::Found30,
        denominator: Sum::Impressions,
    },
    Metric {
        name: "found_watched_7",
        title: "watched after 7 days",
        definition: "watched impressions of such channels / watched impressions",
        numerator: Sum::FoundWatched7,
        denominator: Sum::Watched,
    },
    Metric {
        name: "found_watched_14",
        title: "watched after 14 days",
        definition: "the same for 14 days",
        numerator: Sum::FoundWatched14,
        denominator: Sum::Watched,
    },
    Metric {
        name: "found_watched_30",
        title: "watched after 30 days",
        definition: "the same for 30 days",
        numerator: Sum::FoundWatched30,
        denominator: Sum::Watched,
    },
];

/// The metric of that name.
pub fn metric(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.name == name)
}

/// How a table calls the metric of that name; the name itself if there is no such metric.
pub fn title(name: &str) -> &str {
    metric(name).map_or(name, |metric| metric.title)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique() {
        let names: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), METRICS.len());
        // What is known before comes first.
        assert!(Sum::Revenue as usize + 1 == SUMS_BEFORE && SUMS_BEFORE < SUMS);
    }
}
