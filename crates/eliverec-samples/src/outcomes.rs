//! What a user did, joined to what was shown: the rules of the labels, for the plans and for the replay.
//!
//! Joined by request and channel. What a user did counts if it **began** from the request to the end of the attribution
//! window: a click when it happened, a visit when the user entered, that is when the user left less the stay. The time
//! of leaving would call whoever stays longer than the window uninterested. Late events count: lateness is a limit of
//! what serving can wait for, and labels wait. They wait until the end of the day that follows the request's, so a
//! day's feeds are a function of two days of arrivals and of the days before. A second arrival changes no label, and the order
//! of arrivals none either.

use eliverec_core::{Event, EventKind};
use eliverec_features::Outcome;
use eliverec_tables::events::Day;

use crate::scan::arrived_in_time;

/// Whether an event tells what was done with a request at `request_ms`.
pub(crate) fn counts(event: &Event, request_ms: i64, attribution_window_ms: i64) -> bool {
    let began_ms = event.ts_ms.saturating_sub((stay_s(event) * 1000.0).round() as i64);
    let in_time = |day| arrived_in_time(day, event.available_at_ms);
    event.ts_ms >= request_ms
        && began_ms <= request_ms.saturating_add(attribution_window_ms)
        && Day::of(request_ms).is_some_and(in_time)
}

fn stay_s(event: &Event) -> f64 {
    event.value.filter(|_| event.kind == EventKind::Leave).unwrap_or(0.0)
}

/// What was done with one candidate so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Doing {
    pub(crate) outcome: Outcome,
    /// Whether the user is known to have left, and hence for how long the user stayed.
    left: bool,
}

impl Doing {
    /// Nothing has been done.
    pub(crate) const NONE: Self = Self { outcome: Outcome::NONE, left: false };

    /// Whether the user is known to have left before the threshold, and did not come again for longer.
    pub(crate) const fn is_below_threshold(&self) -> bool {
        self.left && !self.outcome.watched
    }

    /// Takes in an event that [`counts`].
    pub(crate) fn take_in(&mut self, event: &Event, stay_threshold_s: f64) {
        let outcome = &mut self.outcome;
        match event.kind {
            // A known stay wins over the entry alone, whichever arrives first.
            EventKind::Watch if !self.left => outcome.stay_s = None,
            EventKind::Leave => {
                let stay_s = stay_s(event);
                self.left = true;
                outcome.watched |= stay_s >= stay_threshold_s;
                let stay_s = (stay_s as f32).min(f32::MAX);
                outcome.stay_s = Some(outcome.stay_s.unwrap_or(0.0).max(stay_s));
            }
            EventKind::BagClick => outcome.bag_click = true,
            EventKind::ProductClick => outcome.product_click = true,
            _ => {}
        }
    }
}
