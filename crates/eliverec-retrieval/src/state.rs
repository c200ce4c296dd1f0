//! What retrieval asks of whoever knows users and channels: the feature state of a service, or files.

/// Users and channels as of a moment.
pub trait State {
    /// The channels that are live at `at_ms`, each once, in any order.
    fn live(&self, at_ms: i64) -> Vec<LiveChannel>;

    /// What a user did before `at_ms`; of one that nobody knows, nothing.
    fn user(&self, user_id: u64, at_ms: i64) -> User;
}

/// One live channel.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LiveChannel {
    /// The channel.
    pub channel_id: u64,
    /// Whose it is, if that is known.
    pub anchor_id: Option<u64>,
    /// What it is about, in the ids of the products' categories, if that is known.
    pub category_id: Option<u64>,
    /// The category of the product that it put on sale last, if there is one.
    pub selling_category_id: Option<u64>,
    /// How many entered lately.
    pub popularity: Popularity,
    /// When it was last shown to anybody, milliseconds since 1970 UTC; `None` if never.
    pub exposed_ms: Option<i64>,
}

/// How many entered a channel in windows that end now, each within the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Popularity {
    /// Entries of the last ten minutes.
    pub last_10m: u32,
    /// Entries of the last hour.
    pub last_60m: u32,
    /// Watches, or entries where nothing else is known, of the last day.
    pub last_24h: u32,
}

impl Popularity {
    /// Entries with exponential decay, taken from the windows: each ring between two of them counts as if all of it happened in
    /// its middle. Whole numbers in windows do not depend on the order of arrival, which a decayed sum would.
    pub fn decayed(self, half_life_minutes: f64) -> f64 {
        let weight = |age_minutes: f64| (-age_minutes / half_life_minutes).exp2();
        let rings = [
            (self.last_10m, 5.0),
            (self.last_60m.saturating_sub(self.last_10m), 35.0),
            (self.last_24h.saturating_sub(self.last_60m), 750.0),
        ];
        rings.into_iter().map(|(entries, age)| f64::from(entries) * weight(age)).sum()
    }
}

/// What a user did, as far as sources ask.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct User {
    /// Channels watched, oldest first, repeats kept.
    pub watches: Vec<u64>,
    /// Categories of the products clicked, oldest first; products of no known category are left out.
    pub categories: Vec<u64>,
    /// Anchors watched, with how often among the watches that are kept.
    pub anchors: Vec<(u64, u32)>,
    /// Anchors followed.
    pub followed: Vec<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_entries_count_more_and_windows_overlap() {
        let of = |last_10m, last_60m, last_24h| Popularity { last_10m, last_60m, last_24h };
        let decayed = |popularity: Popularity| popularity.decayed(60.0);
        assert_eq!(decayed(of(0, 0, 0)), 0.0);
        assert!(decayed(of(1, 1, 1)) > decayed(of(0, 1, 1)));
        assert!(decayed(of(0, 1, 1)) > decayed(of(0, 0, 1)));
        assert!((decayed(of(0, 2, 2)) - 2.0 * (-35.0_f64 / 60.0).exp2()).abs() < 1e-12);
        // Fewer watches than entries: a ring is never negative.
        assert_eq!(decayed(of(3, 3, 1)), decayed(of(3, 3, 3)));
    }
}
