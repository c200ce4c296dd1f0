//! What counts, by small logs.

use super::*;
use crate::assignment::Answered;
use crate::metrics::METRICS;
use crate::shares::{Period, Shares};

const BEGIN: i64 = 40 * DAY_MS;

/// Two users in two buckets, of a log that shows something 20 days before.
fn tally(days_before: u32) -> Tally {
    let shares = Shares {
        layer: "l".into(),
        buckets: vec!["a".into(), "b".into()],
        periods: vec![Period { from_ms: 0, shares: vec![0.5, 0.5] }],
    };
    let mut assignment = Assignment::new(shares, BEGIN..BEGIN + 2 * DAY_MS);
    for (request_id, user_id, bucket) in [(1, 1, "a"), (2, 2, "b"), (3, 1, "a")] {
        let at_ms = BEGIN + request_id as i64 * 3_600_000;
        let row = Answered { request_id, user_id, at_ms, bucket: Some(("l", bucket)) };
        assignment.take(row).unwrap();
    }
    let rules = Rules { stay_threshold_s: 3.0, attribution_window_ms: 1_800_000, days_before };
    let mut tally = Tally::new(assignment, rules);
    let ts_ms = BEGIN - 20 * DAY_MS;
    let shown = event(1_000, 0, EventKind::Impression);
    let other =
        Event { user_id: Some(9), channel_id: Some(8), ts_ms, available_at_ms: ts_ms, ..shown };
    tally.take(&Event { request_id: Some(88), ..other });
    tally
}

/// An event `minutes` after the first request, of user 1 in channel 7.
fn event(id: u64, minutes: i64, kind: EventKind) -> Event {
    let ts_ms = BEGIN + 3_600_000 + minutes * 60_000;
    Event { user_id: Some(1), channel_id: Some(7), ..Event::new(id, ts_ms, kind) }
}

fn of(tally: &Tally, name: &str, user: usize) -> (f64, f64) {
    let metric = METRICS.iter().find(|metric| metric.name == name).unwrap();
    let part = tally.users[user].part(metric);
    (part.numerator, part.denominator)
}

#[test]
fn each_thing_counts_once_whatever_comes_first() {
    let request = |event: Event| Event { request_id: Some(1), ..event };
    let stay = |event: Event| Event { value: Some(60.0), ..event };
    let events = [
        request(event(1, 0, EventKind::Impression)),
        request(stay(event(2, 2, EventKind::Leave))),
        request(event(3, 1, EventKind::BagClick)),
        // Began 29 minutes after the request, and ended later than the window.
        request(Event { value: Some(600.0), ..event(4, 39, EventKind::Leave) }),
        // Tied to nothing.
        stay(event(5, 50, EventKind::Leave)),
        Event { product_id: Some(3), value: Some(9.5), ..event(6, 50, EventKind::Order) },
    ];
    for backwards in [false, true] {
        let mut found = tally(0);
        let mut order: Vec<&Event> = events.iter().chain(&events).collect();
        if backwards {
            order.reverse();
        }
        order.into_iter().for_each(|event| found.take(event));
        assert_eq!(of(&found, "ctr", 0), (1.0, 1.0));
        assert_eq!(of(&found, "bag_ctr", 0), (1.0, 1.0));
        assert_eq!(of(&found, "product_ctr", 0), (0.0, 1.0));
        assert_eq!(of(&found, "stay_per_user", 0), (720.0, 1.0));
        assert_eq!(of(&found, "stay_per_watch", 0), (720.0, 3.0));
        assert_eq!(of(&found, "revenue_per_user", 0), (9.5, 1.0));
        // Hidden for 7 and 14 days; the log does not go back 30.
        assert_eq!(of(&found, "found_14", 0), (1.0, 1.0));
        assert_eq!(of(&found, "found_watched_14", 0), (1.0, 1.0));
        assert_eq!(of(&found, "found_30", 0), (0.0, 1.0));
        assert_eq!(found.unshown, 0);
        let second = found.left_out()["second arrivals of stays and orders"];
        assert_eq!(second, 4);
    }
}

#[test]
fn what_does_not_count_is_counted() {
    let mut found = tally(0);
    let shown = Event { request_id: Some(1), ..event(1, 0, EventKind::Impression) };
    let late = Event { request_id: Some(1), ..event(2, 31, EventKind::BagClick) };
    let short = Event { value: Some(2.0), request_id: Some(1), ..event(3, 1, EventKind::Leave) };
    let no_impression = Event { request_id: Some(3), ..event(4, 130, EventKind::BagClick) };
    let unanswered = Event { request_id: Some(9), ..event(5, 0, EventKind::Impression) };
    let others = Event { user_id: Some(2), ..shown.clone() };
    let nobody = Event { user_id: Some(8), ..shown.clone() };
    for event in [shown, late, short, no_impression, unanswered, others, nobody] {
        found.take(&event);
    }
    assert_eq!((of(&found, "bag_ctr", 0), of(&found, "ctr", 0)), ((0.0, 1.0), (0.0, 1.0)));
    let left_out: Vec<_> = found.left_out().into_iter().collect();
    let expected = [
        ("clicked or watched channels of requests without their impression", 1),
        ("clicks and stays outside of the attribution window", 1),
        ("impressions of users in no bucket, or in several", 1),
        ("impressions whose request is another user's", 1),
        ("impressions whose request no bucket answered", 1),
    ];
    assert_eq!(left_out, expected.map(|(reason, count)| (reason.to_owned(), count)));
}

#[test]
fn days_before_have_sums_of_their_own() {
    let mut found = tally(7);
    let day_before = |id, kind| {
        let ts_ms = BEGIN - DAY_MS;
        let request_id = Some(77);
        Event { ts_ms, available_at_ms: ts_ms, request_id, ..event(id, 0, kind) }
    };
    found.take(&day_before(1, EventKind::Impression));
    found.take(&Event { value: Some(30.0), ..day_before(2, EventKind::Leave) });
    let ctr = METRICS.iter().find(|metric| metric.name == "ctr").unwrap();
    let part = found.users[0].part(ctr);
    assert_eq!((part.before, part.denominator), ((1.0, 1.0), 0.0));
    assert_eq!((found.watches_before(0), found.watches_before(1)), (1.0, 0.0));
    // Shown a day before, it is not hidden.
    found.take(&Event { request_id: Some(1), ..event(3, 0, EventKind::Impression) });
    assert_eq!(of(&found, "found_7", 0), (0.0, 1.0));
    let until = found.parts(ctr, BEGIN + 3_600_001, |_| true);
    assert_eq!((until[0].len(), until[1].len()), (1, 0));
}
