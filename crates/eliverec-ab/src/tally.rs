//! From events to sums per user: one pass, in any order within it.
//!
//! What was done with a channel counts as in the labels of feeds: tied to its request, and begun from the request to the end of the
//! attribution window, a stay when the user entered. Each (request, channel) counts once for each thing that can be
//! done, so a second arrival changes nothing. Stays and orders also count for the user however the user came in; of these
//! an `event_id` counts once.
//!
//! # Memory
//! About 30 bytes per impression, 200 per user and 20 per stay and order.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

use eliverec_core::id::{IdHash, mix};
use eliverec_core::{Event, EventKind};

use crate::assignment::{Assignment, Request};
use crate::channels::Channels;
use crate::error::Error;
use crate::metrics::{HIDDEN_DAYS, Metric, SUMS, SUMS_BEFORE, Sum};
use crate::ratio::Part;

/// What counts.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Rules {
    /// A stay of at least this many seconds is a watch.
    pub stay_threshold_s: f64,
    /// What a user began this long after a request counts for it, milliseconds.
    pub attribution_window_ms: i64,
    /// Days before the first day whose events tell how active users were, and what CUPED takes off; 0 for none.
    pub days_before: u32,
}

impl Rules {
    /// Checks that they can be meant.
    ///
    /// # Errors
    /// The option and what it may be.
    pub fn check(&self) -> Result<(), Error> {
        if self.stay_threshold_s.is_finite() && self.stay_threshold_s >= 0.0 {
            return Ok(());
        }
        let asked = format!("--stay-threshold {}", self.stay_threshold_s);
        Err(Error::Asked { asked, reason: "is no number of seconds of at least 0".into() })
    }
}

/// Milliseconds of a day.
pub(crate) const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Flags of a (request, channel): what was done, and that it was shown.
const SHOWN: u8 = 1;
/// What can be done with a channel, its flag and its sum.
const DEEDS: [(EventKind, u8, Sum); 4] = [
    (EventKind::Leave, 2, Sum::Watched),
    (EventKind::BagClick, 4, Sum::BagClicked),
    (EventKind::ProductClick, 8, Sum::ProductClicked),
    (EventKind::Order, 16, Sum::Ordered),
];
/// The sums of impressions and of watched ones, by days of hiding.
const FOUND: [(Sum, Sum); HIDDEN_DAYS.len()] = [
    (Sum::Found7, Sum::FoundWatched7),
    (Sum::Found14, Sum::FoundWatched14),
    (Sum::Found30, Sum::FoundWatched30),
];

/// Sums of a user.
#[derive(Clone, Debug)]
struct Sums {
    during: [f64; SUMS],
    before: [f64; SUMS_BEFORE],
}

/// Whose sums an event enters, and of which days.
#[derive(Clone, Copy, Debug)]
struct Whose {
    user: u32,
    bucket: usize,
    before: bool,
}

/// Takes in events.
#[derive(Debug)]
pub struct Tally {
    assignment: Assignment,
    rules: Rules,
    during_ms: Range<i64>,
    before_ms: Range<i64>,
    users: Vec<Sums>,
    pub(crate) channels: Channels,
    /// Flags by the hash of request and channel: 64 bits, of which two pairs among ten million share one with a probability of
    /// three in a million.
    pairs: HashMap<u64, u8, IdHash>,
    /// Stays and orders that have been counted.
    counted: HashSet<u64, IdHash>,
    /// Pairs of which something was done and no impression has come yet.
    unshown: u64,
    orders: u64,
    orders_with_value: u64,
    left_out: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// Nothing yet.
    pub fn new(assignment: Assignment, rules: Rules) -> Self {
        let during_ms = assignment.days_ms();
        let before_ms = during_ms.start - i64::from(rules.days_before) * DAY_MS..during_ms.start;
        let none = Sums { during: [0.0; SUMS], before: [0.0; SUMS_BEFORE] };
        let buckets = assignment.shares().buckets.len();
        Self {
            users: vec![none; assignment.users()],
            channels: Channels::new(buckets, during_ms.start),
            assignment,
            rules,
            during_ms,
            before_ms,
            pairs: HashMap::default(),
            counted: HashSet::default(),
            unshown: 0,
            orders: 0,
            orders_with_value: 0,
            left_out: BTreeMap::new(),
        }
    }

    /// Takes in an event.
    pub fn take(&mut self, event: &Event) {
        let during = self.during_ms.contains(&event.ts_ms);
        let channel = event.channel_id.map(|id| self.channels.place(id));
        if let Some(channel) = channel.filter(|_| during) {
            self.channels.is_on_offer(channel);
        }
        match (event.kind, channel) {
            (EventKind::Impression, Some(channel)) => self.impression(event, channel),
            (EventKind::Leave | EventKind::Order, _) => {
                self.visit(event);
                self.deed(event, channel);
            }
            (EventKind::BagClick | EventKind::ProductClick, _) => self.deed(event, channel),
            _ => {}
        }
    }

    fn impression(&mut self, event: &Event, channel: u32) {
        if event.ts_ms < self.during_ms.start {
            self.channels.was_shown(channel, event.ts_ms);
            if event.available_at_ms >= self.during_ms.start {
                self.leave_out("impressions before the first day that arrived later");
            }
        }
        let Some(user) = self.user(event) else {
            if self.during_ms.contains(&event.ts_ms) {
                self.leave_out("impressions of users in no bucket, or in several");
            }
            return;
        };
        match self.request(event) {
            Some(request) if request.user == user.user => self.mark(event, channel, user, SHOWN),
            Some(_) => self.leave_out("impressions whose request is another user's"),
            None if self.before_ms.contains(&event.ts_ms) => {
                self.mark(event, channel, Whose { before: true, ..user }, SHOWN);
            }
            None if self.during_ms.contains(&event.ts_ms) => {
                self.leave_out("impressions whose request no bucket answered");
            }
            None => {}
        }
    }

    /// What was done with a channel that was shown.
    fn deed(&mut self, event: &Event, channel: Option<u32>) {
        let (Some(user), Some(channel)) = (self.user(event), channel) else { return };
        let Some((_, flag, _)) = DEEDS.iter().find(|(kind, ..)| *kind == event.kind) else {
            return;
        };
        let (began_ms, stay_s) = began(event);
        if event.kind == EventKind::Leave && stay_s < self.rules.stay_threshold_s {
            return;
        }
        match self.request(event) {
            Some(request) if request.user == user.user => {
                let last_ms = request.at_ms.saturating_add(self.rules.attribution_window_ms);
                if event.ts_ms < request.at_ms || began_ms > last_ms {
                    self.leave_out("clicks and stays outside of the attribution window");
                } else {
                    self.mark(event, channel, user, *flag);
                }
            }
            Some(_) => self.leave_out("clicks and stays whose request is another user's"),
            None if self.before_ms.contains(&began_ms) && event.request_id.is_some() => {
                self.mark(event, channel, Whose { before: true, ..user }, *flag);
            }
            None => {}
        }
    }

    /// A stay or an order, however the user came in.
    fn visit(&mut self, event: &Event) {
        let Some(user) = self.user(event) else { return };
        let (began_ms, stay_s) = began(event);
        let before = self.before_ms.contains(&began_ms);
        let since_ms = self.assignment.first_ms(user.user);
        if !before && !(since_ms..self.during_ms.end).contains(&began_ms) {
            return;
        }
        if !self.counted.insert(event.event_id) {
            self.leave_out("second arrivals of stays and orders");
            return;
        }
        let user = Whose { before, ..user };
        if event.kind == EventKind::Order {
            self.orders += u64::from(!before);
            self.orders_with_value += u64::from(!before && event.value.is_some());
            self.add(user, Sum::Revenue, event.value.unwrap_or(0.0));
            return;
        }
        self.add(user, Sum::Stay, stay_s);
        if stay_s >= self.rules.stay_threshold_s {
            self.add(user, Sum::Watches, 1.0);
            self.add(user, Sum::WatchStay, stay_s);
        }
    }

    /// Sets a flag of a (request, channel), and counts what is known once it was shown.
    fn mark(&mut self, event: &Event, channel: u32, user: Whose, flag: u8) {
        let ids = [event.request_id, event.channel_id].map(Option::unwrap_or_default);
        let flags = self.pairs.entry(mix(mix(ids[0]) ^ ids[1])).or_insert(0);
        let known = *flags;
        if known & flag != 0 {
            if flag == SHOWN {
                self.leave_out("second arrivals of impressions");
            }
            return;
        }
        *flags |= flag;
        if known == 0 {
            self.unshown += u64::from(flag != SHOWN);
        } else if flag == SHOWN {
            self.unshown -= 1;
        }
        if flag == SHOWN {
            self.add(user, Sum::Impressions, 1.0);
            self.found(channel, user, |(shown, _)| shown);
            if !user.before {
                self.channels.shown(channel, user.bucket);
            }
        }
        for (kind, deed, sum) in DEEDS {
            // What comes with this flag: itself, or all that waited for the impression.
            let is_new =
                (deed == flag && known & SHOWN != 0) || (flag == SHOWN && known & deed != 0);
            if !is_new {
                continue;
            }
            self.add(user, sum, 1.0);
            if kind == EventKind::Leave {
                self.found(channel, user, |(_, watched)| watched);
                if !user.before {
                    self.channels.watched(channel, user.bucket);
                }
            }
        }
    }

    fn found(&mut self, channel: u32, user: Whose, of: fn((Sum, Sum)) -> Sum) {
        if user.before {
            return;
        }
        for (hidden, sums) in self.channels.hidden(channel).into_iter().zip(FOUND) {
            if hidden {
                self.add(user, of(sums), 1.0);
            }
        }
    }

    fn add(&mut self, user: Whose, sum: Sum, value: f64) {
        let sums = &mut self.users[user.user as usize];
        if user.before {
            sums.before[sum as usize] += value;
        } else {
            sums.during[sum as usize] += value;
        }
    }

    fn user(&self, event: &Event) -> Option<Whose> {
        let user = self.assignment.user(event.user_id?)?;
        let bucket = self.assignment.bucket_of(user)?;
        Some(Whose { user, bucket, before: false })
    }

    fn request(&self, event: &Event) -> Option<Request> {
        self.assignment.request(event.request_id?)
    }

    fn leave_out(&mut self, reason: &'static str) {
        *self.left_out.entry(reason).or_default() += 1;
    }

    /// Who is in which bucket.
    pub const fn assignment(&self) -> &Assignment {
        &self.assignment
    }

    /// What counts.
    pub const fn rules(&self) -> Rules {
        self.rules
    }

    /// Events that were not used, by reason.
    pub fn left_out(&self) -> BTreeMap<String, u64> {
        let unshown = "clicked or watched channels of requests without their impression";
        let reasons = self.left_out.iter().map(|(reason, count)| ((*reason).to_owned(), *count));
        reasons.chain((self.unshown > 0).then(|| (unshown.into(), self.unshown))).collect()
    }

    /// Orders of users in buckets, and how many of them have a value.
    pub(crate) const fn orders(&self) -> (u64, u64) {
        (self.orders, self.orders_with_value)
    }

    /// Each user's part in a metric, by bucket; of users whom a bucket first answered before `until_ms` and whom `chosen` takes.
    pub(crate) fn parts(
        &self,
        metric: &Metric,
        until_ms: i64,
        chosen: impl Fn(u32) -> bool,
    ) -> Vec<Vec<Part>> {
        let mut parts = vec![Vec::new(); self.assignment.shares().buckets.len()];
        for (user, sums) in (0_u32..).zip(&self.users) {
            let Some(bucket) = self.assignment.bucket_of(user) else { continue };
            if self.assignment.first_ms(user) < until_ms && chosen(user) {
                parts[bucket].push(sums.part(metric));
            }
        }
        parts
    }

    /// Watches of a user in the days before.
    pub(crate) fn watches_before(&self, user: u32) -> f64 {
        self.users[user as usize].before[Sum::Watches as usize]
    }
}

impl Sums {
    fn part(&self, metric: &Metric) -> Part {
        let during = |sum: Sum| self.during.get(sum as usize).copied().unwrap_or(1.0);
        let before = |sum: Sum| match sum {
            Sum::Users => Some(1.0),
            _ => self.before.get(sum as usize).copied(),
        };
        let both = before(metric.numerator).zip(before(metric.denominator));
        Part {
            numerator: during(metric.numerator),
            denominator: during(metric.denominator),
            before: both.unwrap_or_default(),
        }
    }
}

/// When what an event tells began, milliseconds since 1970 UTC, and the seconds that it lasted: a stay is told when it ends.
fn began(event: &Event) -> (i64, f64) {
    let stay_s = event.value.filter(|_| event.kind == EventKind::Leave).unwrap_or(0.0);
    (event.ts_ms.saturating_sub((stay_s * 1000.0).round() as i64), stay_s)
}

#[cfg(test)]
mod tests;
