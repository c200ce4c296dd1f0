//! What ties events to requests and to people: request ids, positions, ids of users.

use eliverec_core::{Event, EventKind};

use super::family::Family;
use crate::check::finding::{Check, Findings, Level, level_of, percent, share};
use crate::check::sample::SampledIds;

/// A request that is several.
pub(super) const REQUEST_OF_SEVERAL: Check = Check {
    name: "request_of_several",
    finds: "a request_id whose impressions name several users or several moments: such requests are left out of the feeds, or cut",
    advice: "give each request an id of its own, and its impressions one user and one ts",
};

/// Impressions without a position.
pub(super) const POSITION_MISSING: Check = Check {
    name: "position_missing",
    finds: "impressions without a position (a warning if only some are): their order is that of their event ids",
    advice: "write the place in the list, from 0, of every impression",
};

/// Leaves that belong to no request.
pub(super) const LEAVES_UNTIED: Check = Check {
    name: "leaves_untied",
    finds: "leaves without a request_id that an impression has: they count for histories, but not as labels (a note from half of them, severe if all)",
    advice: "copy the request_id of the impression to the watch, leave, bag_click and product_click that follow from it",
};

/// Users of one half of the log.
pub(super) const USERS_NEVER_MEET: Check = Check {
    name: "users_never_meet",
    finds: "users with product clicks, or with leaves, of whom none is ever shown an impression, such as text ids in one source and integers in another",
    advice: "write user_id in one type from one source",
};

/// Requests remembered.
const MOST_REQUESTS: usize = 1 << 19;
/// Users remembered.
const MOST_USERS: usize = 1 << 19;
/// Fewer users may be others by chance.
const FEWEST: u64 = 20;

/// What is known of requests and users.
#[derive(Debug)]
pub(super) struct Requests {
    tied: SampledIds<Tied>,
    users: SampledIds<Did>,
    impressions: u64,
    without_position: u64,
    leaves: u64,
    leaves_without_request: u64,
}

#[derive(Debug, Default)]
struct Tied {
    /// User and moment of the first impression.
    shown: Option<(Option<u64>, i64)>,
    differs: bool,
    leaves: u64,
}

#[derive(Debug, Default)]
struct Did {
    shown: bool,
    clicked: bool,
    left: bool,
}

/// What some users do, and whether one did.
type Deed = (&'static str, fn(&Did) -> bool);

impl Default for Requests {
    fn default() -> Self {
        Self {
            tied: SampledIds::new(MOST_REQUESTS),
            users: SampledIds::new(MOST_USERS),
            impressions: 0,
            without_position: 0,
            leaves: 0,
            leaves_without_request: 0,
        }
    }
}

impl Family for Requests {
    fn event(&mut self, event: &Event) {
        let kind = event.kind;
        if let Some(did) = event.user_id.and_then(|user| self.users.entry(user)) {
            did.shown |= kind == EventKind::Impression;
            did.clicked |= kind == EventKind::ProductClick && event.channel_id.is_none();
            did.left |= kind == EventKind::Leave;
        }
        match kind {
            EventKind::Impression => {
                self.impressions += 1;
                self.without_position += u64::from(event.position.is_none());
                if let Some(tied) = event.request_id.and_then(|id| self.tied.entry(id)) {
                    let shown = (event.user_id, event.ts_ms);
                    tied.differs |= *tied.shown.get_or_insert(shown) != shown;
                }
            }
            EventKind::Leave => {
                self.leaves += 1;
                match event.request_id {
                    None => self.leaves_without_request += 1,
                    Some(id) => {
                        if let Some(tied) = self.tied.entry(id) {
                            tied.leaves += 1;
                        }
                    }
                }
            }
            _ => {}
        }
    }

    fn tell(&self, findings: &mut Findings) {
        let one_in = self.tied.one_in();
        let shown = || self.tied.values().filter(|tied| tied.shown.is_some());
        let requests = shown().count() as u64 * one_in;
        let differ = shown().filter(|tied| tied.differs).count() as u64 * one_in;
        if differ > 0 {
            let says = format!("{differ} of {requests} requests have several users or moments");
            let (place, counts) = ("events: request_id", (differ, requests));
            findings.add(&REQUEST_OF_SEVERAL, Level::Warning, place, counts, says);
        }
        if self.without_position > 0 {
            let (without, all) = (self.without_position, self.impressions);
            let level = if without == all { Level::Note } else { Level::Warning };
            let part = percent(without, all);
            let says = format!("{without} of {all} impressions ({part}) have no position");
            findings.add(&POSITION_MISSING, level, "events: position", (without, all), says);
        }
        let elsewhere = self.tied.values().filter(|tied| tied.shown.is_none());
        let elsewhere = elsewhere.map(|tied| tied.leaves).sum::<u64>() * one_in;
        let untied = (self.leaves_without_request + elsewhere).min(self.leaves);
        // Visits from elsewhere, and those of days before the first request, belong to no request; not all do.
        let level = match untied {
            untied if untied == self.leaves => (untied > 0).then_some(Level::Severe),
            untied => level_of(share(untied, self.leaves), 0.5, 0.98, f64::INFINITY),
        };
        if let Some(level) = level {
            let says = format!("{untied} of {} leaves follow from no impression", self.leaves);
            let counts = (untied, self.leaves);
            findings.add(&LEAVES_UNTIED, level, "events: request_id", counts, says);
        }
        self.tell_of_users(findings);
    }

    fn covers(&self) -> Option<String> {
        let (requests, users) = (self.tied.part("requests"), self.users.part("users"));
        Some(format!("what ties events: {requests}, {users}"))
    }
}

impl Requests {
    fn tell_of_users(&self, findings: &mut Findings) {
        let users = || self.users.values();
        let shown = users().filter(|did| did.shown).count() as u64;
        let both: [Deed; 2] = [("product clicks", |did| did.clicked), ("leaves", |did| did.left)];
        for (what, did_so) in both {
            let did = users().filter(|did| did_so(did)).count() as u64;
            let meet = users().any(|did| did.shown && did_so(did));
            if did >= FEWEST && shown >= FEWEST && !meet {
                let says =
                    format!("none of {did} users with {what} is among {shown} with impressions");
                let (place, counts) = ("events: user_id", (did, did));
                findings.add(&USERS_NEVER_MEET, Level::Severe, place, counts, says);
            }
        }
    }
}
