//! How a user reacts to a channel: look, enter, stay, open the bag, click a product, order; each step needs the one before.
//!
//! Reasons to enter compete: each has a hazard, the first to fire wins and is the cause. Stays are hazards of leaving that
//! change with every product explained. There are no scores and no sums of features.

use eliverec_core::EventKind;
use eliverec_core::seed::Random;

use crate::anchor::Anchor;
use crate::catalog::{Catalog, choose, price_distance};
use crate::channel::{Slot, Stream};
use crate::config::parameter::{
    BAG_PRODUCT, BAG_RATE, BOUNCE, BURST, COMMENT, ENTER_SCALE, FOLLOW, INTEREST, LIKE, LIVE_ORDER,
    LONGEST_STAY_MS, LOYAL_STAY_MS, LOYALTY, NOISE, OPENNESS, PHASE, POPULARITY, POSITION_SLOPE,
    PRICE_DISTANCE, SATED, SATED_S, SCENE_ATTENTION, STAY_INTEREST, STAY_LOYAL, STAY_S, STYLE,
    WATCH_THRESHOLD_MS,
};
use crate::draft::Draft;
use crate::taste::{InterestKind, meets};
use crate::truth::Cause;
use crate::user::User;

/// Reasons to enter a channel.
const REASONS: [Cause; 5] =
    [Cause::Shared, Cause::LiveOnly, Cause::Loyalty, Cause::Popularity, Cause::Noise];

/// One channel in front of one user.
#[derive(Clone, Copy)]
pub(crate) struct Encounter<'a> {
    pub(crate) user: &'a User,
    pub(crate) anchor: &'a Anchor,
    pub(crate) stream: &'a Stream,
    pub(crate) catalog: &'a Catalog,
    pub(crate) at_ms: i64,
    pub(crate) scene: usize,
    pub(crate) position: usize,
}

/// How likely the user enters, for which reasons, and how likely the stay then counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chance {
    pub(crate) enters: f64,
    hazards: [f64; 5],
}

impl Chance {
    /// Probability of a watch that counts.
    pub(crate) fn watch(&self) -> f64 {
        let all: f64 = self.hazards.iter().sum();
        let reasons = self.hazards.iter().zip(REASONS);
        let stays: f64 = reasons.map(|(hazard, reason)| hazard * (1.0 - bounce(reason))).sum();
        if all > 0.0 { self.enters * stays / all } else { 0.0 }
    }

    /// Enters, or not, and why.
    pub(crate) fn draw(&self, random: &mut Random) -> Option<Cause> {
        let enters = random.uniform() < self.enters;
        let reason = choose(&self.hazards, random)?;
        enters.then_some(REASONS[reason])
    }
}

/// When the user, going down the feed, comes to tap a place, milliseconds after the request.
pub(crate) fn taps_after_ms(position: usize) -> i64 {
    1_200 + 900 * position as i64
}

/// Nobody enters a stream that ends sooner.
pub(crate) const SHORTEST_REST_MS: i64 = 5_000;

fn bounce(reason: Cause) -> f64 {
    BOUNCE[usize::from(matches!(reason, Cause::Popularity | Cause::Noise))]
}

impl Encounter<'_> {
    /// What happens if the user sees the channel at this moment and place.
    pub(crate) fn chance(&self) -> Chance {
        let (user, anchor) = (self.user, self.anchor);
        let fit = self.fit();
        let (mut shared, mut live_only) = (0.0, 0.0);
        for interest in user.taste.interests.iter().filter(|i| i.kind.acts_live()) {
            let level = INTEREST[usize::from(interest.level)] * PHASE[usize::from(interest.active)];
            let hazard = level * meets(*interest, self.stream.offer) * fit;
            match interest.kind {
                InterestKind::Shared => shared += hazard,
                _ => live_only += hazard,
            }
        }
        let loyalty =
            user.loyalty(self.stream.anchor).map_or(0.0, |level| LOYALTY[usize::from(level)]);
        let burst = if self.stream.bursts(self.at_ms) { BURST } else { 1.0 };
        let popularity = POPULARITY[usize::from(anchor.tier)] * burst * fit;
        let sated = user.left_anchor == self.stream.anchor
            && self.at_ms < user.left_ms.saturating_add(SATED_S * 1000);
        let scale = ENTER_SCALE
            * OPENNESS[usize::from(user.taste.openness)]
            * if sated { SATED } else { 1.0 };
        let hazards = [shared, live_only, loyalty, popularity, NOISE].map(|hazard| hazard * scale);
        let looks = SCENE_ATTENTION[self.scene] / (1.0 + POSITION_SLOPE * self.position as f64);
        let all: f64 = hazards.iter().sum();
        let lasts =
            self.at_ms + taps_after_ms(self.position) + SHORTEST_REST_MS <= self.stream.end_ms;
        let looks = if lasts { looks.min(1.0) } else { 0.0 };
        Chance { enters: looks * -(-all).exp_m1(), hazards }
    }

    /// Milliseconds inside after entering at `enter_ms` for `cause`, at most until the stream ends.
    pub(crate) fn stay_ms(&self, enter_ms: i64, cause: Cause, random: &mut Random) -> i64 {
        let most = self.stream.end_ms - enter_ms;
        if random.uniform() < bounce(cause) {
            return most.min(300 + random.below(WATCH_THRESHOLD_MS as usize - 400) as i64);
        }
        let loyal = self.user.loyalty(self.stream.anchor).is_some();
        let usual = STAY_S * self.fit().sqrt() * if loyal { STAY_LOYAL } else { 1.0 };
        let last = most.min(LONGEST_STAY_MS);
        let leave_ms = self.first(enter_ms, enter_ms + last, random, |slot| {
            1.0 / (usual * STAY_INTEREST.powi(self.interest(slot)))
        });
        let drawn = leave_ms.map_or(last, |leave_ms| leave_ms - enter_ms);
        most.min(drawn + WATCH_THRESHOLD_MS)
    }

    /// How the anchor's style fits the user.
    fn fit(&self) -> f64 {
        STYLE[usize::from(self.user.taste.styles[usize::from(self.anchor.style)])]
    }

    /// The first moment from `from_ms` to `until_ms` at which something with that rate per second happens.
    fn first(
        &self,
        from_ms: i64,
        until_ms: i64,
        random: &mut Random,
        rate: impl Fn(&Slot) -> f64,
    ) -> Option<i64> {
        let mut at_ms = from_ms;
        let mut left = -(1.0 - random.uniform()).ln();
        for slot in self.stream.explained(from_ms).. {
            let slot_end = self.stream.explained_until(slot).min(until_ms);
            let rate = rate(&self.stream.slots[slot]);
            let passes = rate * (slot_end - at_ms) as f64 / 1000.0;
            if left < passes {
                return Some(at_ms + (left / rate * 1000.0) as i64);
            }
            left -= passes;
            at_ms = slot_end;
            if at_ms >= until_ms {
                return None;
            }
        }
        None
    }

    /// 0 for no interest in what is explained, else its level from 1, dormant ones counting as the weakest.
    fn interest(&self, slot: &Slot) -> i32 {
        let interest = self.user.taste.interest(slot.category, InterestKind::acts_live);
        interest.map_or(0, |i| 1 + if i.active { i32::from(i.level) } else { 0 })
    }

    /// What the user does between entering and leaving, each with its time; nothing without a watch that counts. The drafts
    /// come in the order of time per chain (bag, click, order), all of them inside the stay. Returns whether the user
    /// follows from now on.
    pub(crate) fn inside(
        &self,
        watch: Draft,
        stay_ms: i64,
        random: &mut Random,
        mut happens: impl FnMut(Draft),
    ) -> bool {
        if stay_ms < WATCH_THRESHOLD_MS {
            return false;
        }
        let (enter_ms, leave_ms) = (watch.ts_ms, watch.ts_ms + stay_ms);
        let does = |ts_ms, kind| Draft { ts_ms, kind, cause: None, ..watch };
        let opens = self.first(enter_ms, leave_ms, random, |slot| {
            BAG_RATE[usize::from(self.interest(slot) > 0)]
        });
        if let Some(opens_ms) = opens {
            happens(does(opens_ms, EventKind::BagClick));
            self.shop(watch, opens_ms, leave_ms, random, &mut happens);
        }
        let fit = self.fit();
        let moment = |random: &mut Random| {
            enter_ms + ((leave_ms - enter_ms) as f64 * random.uniform()) as i64
        };
        if random.uniform() < LIKE * fit {
            happens(does(moment(random), EventKind::Like));
        }
        if random.uniform() < COMMENT * fit {
            happens(does(moment(random), EventKind::Comment));
        }
        let follows = stay_ms >= LOYAL_STAY_MS && random.uniform() < FOLLOW * fit;
        if follows {
            happens(does(moment(random), EventKind::Follow));
        }
        follows
    }

    /// Looks through the open bag: up to three products, the one being explained first.
    fn shop(
        &self,
        watch: Draft,
        opens_ms: i64,
        leave_ms: i64,
        random: &mut Random,
        happens: &mut impl FnMut(Draft),
    ) {
        let mut at_ms = opens_ms;
        for look in 0..3 {
            at_ms += 2_000 + random.below(12_000) as i64;
            if at_ms > leave_ms {
                return;
            }
            let explained = self.stream.slots[self.stream.explained(at_ms)];
            let slot = if look == 0 {
                explained
            } else {
                let bag: Vec<&Slot> = self.stream.bag(at_ms).collect();
                // Half of the looks go to goods of interest, if the bag has any.
                let wanted = bag.iter().find(|slot| self.interest(slot) > 0);
                match wanted {
                    Some(slot) if random.uniform() < 0.5 => **slot,
                    _ => bag.get(random.below(bag.len().max(1))).map_or(explained, |s| **s),
                }
            };
            let product = self.catalog.product(slot.product);
            let wants = usize::from(self.interest(&slot) > 0);
            let fits = PRICE_DISTANCE[price_distance(product.tier, self.user.taste.tier)];
            if random.uniform() < BAG_PRODUCT[wants] * fits.sqrt() {
                let cause = Some(self.cause_of_click(&slot, watch.cause));
                let click = Draft { ts_ms: at_ms, product: slot.product, cause, ..watch };
                happens(Draft { kind: EventKind::ProductClick, ..click });
                let ordered_ms = at_ms + 10_000 + random.below(50_000) as i64;
                if random.uniform() < LIVE_ORDER[wants] * fits && ordered_ms <= leave_ms {
                    happens(Draft {
                        ts_ms: ordered_ms,
                        kind: EventKind::Order,
                        value: f64::from(product.price),
                        cause: None,
                        ..click
                    });
                }
            }
        }
    }

    /// An interest in the goods; else what led into the channel, if it is not an interest in other goods; else nothing.
    fn cause_of_click(&self, slot: &Slot, led_in: Option<Cause>) -> Cause {
        let interest = self.user.taste.interest(slot.category, InterestKind::acts_live);
        match (interest, led_in) {
            (Some(interest), _) => interest.kind.into(),
            (None, Some(cause @ (Cause::Loyalty | Cause::Popularity))) => cause,
            _ => Cause::Noise,
        }
    }
}
