//! What a caller chooses about a world ([`WorldConfig`]) and what every world has in common ([`parameter`]).
//!
//! A parameter comes from the paper's statistics (Table I and Sec. VI-B.5: 7.71 impressions and 0.91 watches per feed, 47.47
//! clicked products and 41.29 watched channels of at most 50, 27.78 of them distinct) or from common sense, and says which.
//! None was chosen by looking at a model's result.

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Milliseconds of a day.
pub const DAY_MS: i64 = 86_400_000;

/// What a caller chooses. Two worlds of one config are alike to the last bit under the same policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorldConfig {
    /// Accounts at the end of the last day; some of them are opened on the way.
    pub users: u32,
    /// Days whose every event is logged.
    pub days: u32,
    /// Days before them, of which the log keeps clicks in the product domain and watches, as a platform keeps profiles for
    /// longer than raw logs. They fill the users' histories.
    pub history_days: u32,
    /// Every random decision follows from it.
    pub seed: u64,
    /// Midnight UTC of the first logged day, milliseconds since 1970. The platform lives in UTC.
    pub start_ms: i64,
    /// Anchors, each with a channel; 300 and one more for every 60 users if omitted. Paper-scale platforms have more viewers
    /// per anchor, but a small world needs some choice at any hour of the day.
    pub anchors: Option<u32>,
    /// Products in the catalogue; 40 per category and more for many users if omitted.
    pub products: Option<u32>,
    /// Share of events that arrive seconds to 8 minutes after they happened (a phone in a tunnel).
    pub late_share: f64,
    /// Share of events that arrive 11 to 60 minutes late, beyond the usual allowed lateness.
    pub very_late_share: f64,
    /// Share of events that arrive a second time under the same id (a retry whose acknowledgement was lost).
    pub duplicate_share: f64,
    /// Share of events that stand in the log some rows after their place in time (another writer's buffer).
    pub displaced_share: f64,
}

impl Default for WorldConfig {
    fn default() -> Self {
        Self {
            users: 20_000,
            days: 14,
            history_days: 35,
            seed: 1,
            // 1 September 2022: the paper's logs are of that month.
            start_ms: 1_661_990_400_000,
            anchors: None,
            products: None,
            late_share: 0.01,
            very_late_share: 0.000_5,
            duplicate_share: 0.001,
            displaced_share: 0.002,
        }
    }
}

impl WorldConfig {
    /// Number of anchors, given or derived.
    pub fn anchor_count(&self) -> u32 {
        self.anchors.unwrap_or(300 + self.users / 60)
    }

    /// Products of each category, at least one.
    pub(crate) fn products_per_category(&self) -> u32 {
        let categories = parameter::CATEGORIES as u32;
        match self.products {
            Some(products) => (products / categories).max(1),
            None => (self.users / 200).clamp(40, 5_000),
        }
    }

    /// The first moment of the first history day.
    pub fn history_start_ms(&self) -> i64 {
        self.start_ms - i64::from(self.history_days) * DAY_MS
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// An [`Error`] that names the setting.
    pub fn check(&self) -> Result<(), Error> {
        let categories = parameter::CATEGORIES as u64;
        for (setting, value, least, most) in [
            ("users", u64::from(self.users), 1, 1 << 28),
            ("days", u64::from(self.days), 1, 3_650),
            ("history_days", u64::from(self.history_days), 0, 3_650),
            ("anchors", u64::from(self.anchor_count()), 20, 1 << 24),
            ("products", u64::from(self.products.unwrap_or(1_920)), categories, 1 << 28),
        ] {
            if !(least..=most).contains(&value) {
                return Err(Error::Count { setting, value, least, most });
            }
        }
        let shares = [
            ("late_share", self.late_share),
            ("very_late_share", self.very_late_share),
            ("duplicate_share", self.duplicate_share),
            ("displaced_share", self.displaced_share),
        ];
        // NaN is in no range.
        if let Some((setting, value)) = shares.into_iter().find(|s| !(0.0..=1.0).contains(&s.1)) {
            return Err(Error::Share { setting, value });
        }
        let sum: f64 = shares.iter().map(|share| share.1).sum();
        if sum > 1.0 {
            return Err(Error::Shares { sum });
        }
        if self.start_ms % DAY_MS != 0 || self.start_ms < 3_650 * DAY_MS {
            return Err(Error::Start { start_ms: self.start_ms });
        }
        Ok(())
    }
}

/// What every world has in common, each with its reason.
pub mod parameter {
    /// Departments of goods (clothes, food, ...): a category's relatives, worth a weak pull to its fans. Common sense.
    pub const DEPARTMENTS: usize = 8;
    /// Categories per department; 48 in all, so that a set of categories is one 64-bit word.
    pub const CATEGORIES_PER_DEPARTMENT: usize = 6;
    /// Goods categories.
    pub const CATEGORIES: usize = DEPARTMENTS * CATEGORIES_PER_DEPARTMENT;
    /// Brands sell within a department; enough that a brand says less than a category. Common sense.
    pub const BRANDS_PER_DEPARTMENT: usize = 20;
    /// Cities of the context field. Common sense.
    pub const CITIES: usize = 40;
    /// Anchors' styles: explains, entertains, bargains, tries on, chats, demonstrates (the paper's "performance style", VI-D).
    pub const STYLES: usize = 6;

    /// Share of accounts opened per day: 9 % a month. More than the market's growth of 19.5 % a year (Sec. I), because
    /// accounts also turn over.
    pub const NEW_USERS_PER_DAY: f64 = 0.003;
    /// Share of anchors that start on a given day: anchors come and go faster than users. Common sense.
    pub const NEW_ANCHORS_PER_DAY: f64 = 0.006;

    /// A class of users: low, middle and high activity (the paper's Sec. VI-C.3 splits low from high).
    #[derive(Clone, Copy, Debug)]
    pub struct Activity {
        /// Share of the accounts.
        pub share: f64,
        /// Visits to the live domain per day.
        pub live_visits: f64,
        /// Visits to the product domain per day, each of a few clicks.
        pub product_visits: f64,
    }
    /// Most accounts visit rarely and most requests come from few. Visits set how full the histories are: with the history
    /// days, Table I's 41.29 channels and 47.47 products.
    pub const ACTIVITY: [Activity; 3] = [
        Activity { share: 0.50, live_visits: 0.20, product_visits: 0.55 },
        Activity { share: 0.36, live_visits: 0.95, product_visits: 1.2 },
        Activity { share: 0.14, live_visits: 2.8, product_visits: 2.0 },
    ];
    /// Spread (sd of the logarithm) of visits within a class. Common sense.
    pub const ACTIVITY_SPREAD: f64 = 0.35;
    /// Saturday and Sunday against other days. Common sense.
    pub const WEEKEND: f64 = 1.25;
    /// Relative activity by hour: asleep at night, a lunch break, the evening peak of live shopping. Common sense.
    pub const HOURS: [f64; 24] = [
        1.6, 0.9, 0.5, 0.3, 0.25, 0.3, 0.6, 1.2, 2.0, 2.6, 3.0, 3.2, 3.8, 3.4, 2.8, 2.8, 2.9, 3.1,
        3.8, 5.0, 6.0, 6.2, 5.0, 3.0,
    ];
    /// Probability that a product click is followed by another in the same visit: 2.5 clicks per visit. Common sense.
    pub const CLICK_AGAIN: f64 = 0.6;
    /// Probability that the next click of a visit stays in the category: shoppers compare. Common sense.
    pub const CLICK_SAME_CATEGORY: f64 = 0.55;
    /// Orders per click of the product domain: a usual conversion rate.
    pub const ORDER_AFTER_CLICK: f64 = 0.03;

    /// Impressions of the first screen of a feed (two columns of two).
    pub const FIRST_SCREEN: usize = 4;
    /// The user scrolls on by rows of two.
    pub const ROW: usize = 2;
    /// A feed is at most this long.
    pub const LONGEST_FEED: usize = 20;
    /// Probability of scrolling one more row: with the two numbers above, 7.71 impressions per feed (Table I).
    pub const SCROLL_ON: f64 = 0.658;
    /// Probability of asking for a further feed in the same visit, without and with a watch in the last one. Common sense.
    pub const NEXT_FEED: [f64; 2] = [0.30, 0.45];
    /// Share of requests from the live tab; the others come from the home page, where users look less closely.
    pub const LIVE_TAB: f64 = 0.3;
    /// How closely users of the home page and the live tab look. Common sense.
    pub const SCENE_ATTENTION: [f64; 2] = [0.9, 1.2];
    /// Position bias: a place is looked at with probability 1 / (1 + slope * place), a usual shape of eye-tracking studies.
    pub const POSITION_SLOPE: f64 = 0.13;

    /// Multiplies every hazard of entering: set for Table I's 0.91 watches per feed.
    pub const ENTER_SCALE: f64 = 0.98;
    /// Hazard of entering for an interest of level 1, 2, 3 if what is on sale right now is of its category. Strong enough
    /// that the AUC of the true probabilities lies above what models reached on real users (Table II: 0.84): users know what
    /// they want.
    pub const INTEREST: [f64; 3] = [0.35, 0.9, 1.8];
    /// Share of it if the category is only in the goods bag, and if the product on sale is only of the same department: what
    /// is being shown counts most (Sec. III, the real-time atmosphere).
    pub const MATCH_IN_BAG: f64 = 0.25;
    /// See [`MATCH_IN_BAG`].
    pub const MATCH_DEPARTMENT: f64 = 0.03;
    /// Hazards of a dormant and an active interest: people buy in phases. Common sense.
    pub const PHASE: [f64; 2] = [0.45, 2.2];
    /// Hazard of entering for loyalty of level 1, 2, 3, whatever is on sale; repeats are a third of the last 50 watches
    /// (41.29 watched, 27.78 distinct), most of them of what also meets an interest.
    pub const LOYALTY: [f64; 3] = [0.5, 1.2, 2.4];
    /// Hazard of entering because the channel is popular, by the anchor's tier: small, middle, star. Common sense.
    pub const POPULARITY: [f64; 3] = [0.004, 0.02, 0.08];
    /// A burst (a celebrity guest, a lottery) multiplies popularity by this. Common sense.
    pub const BURST: f64 = 6.0;
    /// Share of streams with a burst. Common sense.
    pub const BURST_SHARE: f64 = 0.15;
    /// Hazard of entering for no reason. Common sense: a slip of the finger, curiosity.
    pub const NOISE: f64 = 0.006;
    /// A liked, an indifferent and a disliked style multiply interest and popularity (Sec. VI-D: "influenced by the
    /// performance style").
    pub const STYLE: [f64; 3] = [0.5, 1.0, 1.6];
    /// Users differ in how readily they enter at all: the gap between AUC and gAUC of the same models (Table II, 0.84 and
    /// 0.76) says that the watch rate differs a lot between users.
    pub const OPENNESS: [f64; 3] = [0.3, 1.0, 2.2];
    /// Whoever left a channel less than this many seconds ago has seen enough for now.
    pub const SATED_S: i64 = 1_800;
    /// What is left of all hazards then. Common sense.
    pub const SATED: f64 = 0.25;
    /// Probability of leaving within the threshold, if an interest or loyalty led in, and else: thumbnails disappoint.
    pub const BOUNCE: [f64; 2] = [0.08, 0.25];

    /// A watch counts from this stay on; the paper filters by staying time without giving its threshold (Sec. V-A).
    pub const WATCH_THRESHOLD_MS: i64 = 3_000;
    /// Mean seconds until leaving while nothing of interest is on sale. Common sense.
    pub const STAY_S: f64 = 45.0;
    /// It grows by this factor per level of the interest in what is on sale, and by the next for loyalty.
    pub const STAY_INTEREST: f64 = 1.7;
    /// See [`STAY_INTEREST`].
    pub const STAY_LOYAL: f64 = 1.5;
    /// Nobody stays longer.
    pub const LONGEST_STAY_MS: i64 = 7_200_000;
    /// Bag openings per second without and with an interest in what is on sale. Common sense: every fifth watch.
    pub const BAG_RATE: [f64; 2] = [0.001, 0.006];
    /// Probability of clicking a product of the open bag, without and with interest.
    pub const BAG_PRODUCT: [f64; 2] = [0.15, 0.6];
    /// Probability of ordering a clicked product, without and with interest: live conversion is above the product domain's.
    pub const LIVE_ORDER: [f64; 2] = [0.02, 0.1];
    /// Orders of products one and two price tiers from the user's own. Common sense.
    pub const PRICE_DISTANCE: [f64; 3] = [1.0, 0.5, 0.15];
    /// Likes, comments and follows per counted watch; likes and comments by style fit like entering. Common sense.
    pub const LIKE: f64 = 0.06;
    /// See [`LIKE`].
    pub const COMMENT: f64 = 0.025;
    /// See [`LIKE`]; only after [`LOYAL_STAY_MS`].
    pub const FOLLOW: f64 = 0.04;

    /// A stay of this length can make a viewer loyal.
    pub const LOYAL_STAY_MS: i64 = 60_000;
    /// Probability that it does, or raises the level. Sets the share of repeats with [`LOYALTY`].
    pub const LOYAL_GROW: f64 = 0.15;
    /// Probability per day that a loyalty loses a level. Common sense: a month or two.
    pub const LOYAL_FADE: f64 = 0.03;
    /// Anchors a user can be loyal to.
    pub const LOYAL_MOST: usize = 8;

    /// Probability per day that an interest gives way to another of its kind: it lives for about two months. Common sense.
    pub const INTEREST_REPLACED: f64 = 0.015;
    /// Probabilities per day that a dormant interest wakes and an active one falls asleep: phases of three days, one in four
    /// interests active. Common sense.
    pub const INTEREST_WAKES: f64 = 0.11;
    /// See [`INTEREST_WAKES`].
    pub const INTEREST_SLEEPS: f64 = 0.33;
    /// Fewest and most interests of a user shared by both domains, product-only, live-only (Fig. 2 and Sec. I: consistent
    /// intentions beside specific ones in each domain).
    pub const INTERESTS: [(usize, usize); 3] = [(2, 4), (1, 3), (1, 3)];
    /// Weight of an interest of level 1, 2, 3 when the user browses products.
    pub const BROWSE_INTEREST: [f64; 3] = [1.0, 2.0, 4.0];
    /// Weight of what is trending, and of anything at all.
    pub const BROWSE_POPULARITY: f64 = 0.8;
    /// See [`BROWSE_POPULARITY`].
    pub const BROWSE_NOISE: f64 = 0.5;
}

const _: () = assert!(parameter::CATEGORIES <= 64, "a set of categories is one word");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_settings_are_named() {
        assert!(WorldConfig::default().check().is_ok());
        let wrong = [
            (WorldConfig { users: 0, ..Default::default() }, "users is 0"),
            (WorldConfig { days: 0, ..Default::default() }, "days is 0"),
            (WorldConfig { anchors: Some(3), ..Default::default() }, "anchors is 3"),
            (WorldConfig { late_share: f64::NAN, ..Default::default() }, "late_share is NaN"),
            (
                WorldConfig { late_share: 0.9, duplicate_share: 0.9, ..Default::default() },
                "add up to 1.8",
            ),
            (WorldConfig { start_ms: 1_661_990_400_001, ..Default::default() }, "midnight"),
        ];
        for (config, part) in wrong {
            let message = config.check().unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn classes_are_shares_of_the_whole() {
        let sum: f64 = parameter::ACTIVITY.iter().map(|class| class.share).sum();
        assert!((sum - 1.0).abs() < 1e-9);
    }
}
