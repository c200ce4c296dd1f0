//! What counts for a request, and what is in no feed and why.

use eliverec_core::event::{Event, EventKind, Scalar};
use eliverec_core::feed::Labels;
use eliverec_samples::{BelowThreshold, Refusal, SampleConfig};

use crate::logs::{DAY_MS, Site, config, first_day, read};

fn start_ms() -> i64 {
    first_day().start_ms() + 23 * 3_600_000
}

fn of_request(id: u64, kind: EventKind, channel: u64, after_ms: i64) -> Event {
    Event {
        user_id: Some(1),
        channel_id: Some(channel),
        request_id: Some(7),
        ..Event::new(id, start_ms() + after_ms, kind)
    }
}

fn shown(id: u64, channel: u64, position: u16) -> Event {
    let context = vec![Scalar::Id(23), Scalar::Number(0.0)];
    let position = Some(position);
    Event { position, context, ..of_request(id, EventKind::Impression, channel, 0) }
}

fn leave(id: u64, channel: u64, after_ms: i64, stay_s: f64) -> Event {
    Event { value: Some(stay_s), ..of_request(id, EventKind::Leave, channel, after_ms) }
}

fn labels(events: &[Event]) -> Labels {
    let mut all = vec![shown(1, 1, 0), shown(2, 2, 1)];
    all.extend_from_slice(events);
    let site = Site::new(&all);
    site.run(&SampleConfig { below_threshold: BelowThreshold::Negative, ..config() });
    let mut feeds = read(&site.feeds());
    assert_eq!(feeds.len(), 1);
    feeds.remove(0).1.candidates.labels.unwrap()
}

#[test]
fn a_visit_counts_by_its_beginning() {
    let window_ms = config().attribution_window_ms;
    let watched = |after_ms, stay_s| labels(&[leave(3, 2, after_ms, stay_s)]).watched;
    assert_eq!(watched(5_000, 3.0), [false, true]);
    assert_eq!(watched(5_000, 2.9), [false, false]);
    // Entered at the end of the window and stayed for an hour.
    assert_eq!(watched(window_ms + 3_600_000, 3_600.0), [false, true]);
    assert_eq!(watched(window_ms + 3_600_001, 3_600.0), [false, false]);
    // Before the request.
    assert_eq!(watched(-1, 30.0), [false, false]);
}

#[test]
fn stays_are_the_longest_or_unknown() {
    let watch = of_request(5, EventKind::Watch, 1, 2_000);
    let stays = |events: &[Event]| labels(events).tasks[0].clone();
    assert_eq!(stays(&[]), [Some(0.0), Some(0.0)]);
    assert_eq!(stays(std::slice::from_ref(&watch)), [None, Some(0.0)]);
    let two = [watch, leave(6, 1, 4_000, 2.0), leave(7, 1, 60_000, 40.0)];
    assert_eq!(stays(&two), [Some(40.0), Some(0.0)]);
}

#[test]
fn clicks_count_within_the_window() {
    let window_ms = config().attribution_window_ms;
    let click =
        |id, kind, after_ms| Event { product_id: Some(1), ..of_request(id, kind, 1, after_ms) };
    let labels = |after_ms| {
        let labels = labels(&[
            click(3, EventKind::BagClick, after_ms),
            click(4, EventKind::ProductClick, after_ms + 1),
        ]);
        (labels.tasks[1][0] == Some(1.0), labels.tasks[2][0] == Some(1.0))
    };
    assert_eq!(labels(0), (true, true));
    assert_eq!(labels(window_ms), (true, false));
    assert_eq!(labels(-1), (false, true));
    assert_eq!(labels(-2), (false, false));
}

#[test]
fn late_outcomes_count_until_the_next_day_is_over() {
    let end_ms = first_day().start_ms() + 2 * DAY_MS;
    let watched = |available_at_ms| {
        labels(&[Event { available_at_ms, ..leave(3, 1, 5_000, 4.0) }]).watched[0]
    };
    assert!(watched(end_ms - 1));
    assert!(!watched(end_ms));
}

#[test]
fn what_is_in_no_feed_is_counted() {
    let of = |request: u64, event: Event| Event { request_id: Some(request), ..event };
    let end_ms = first_day().start_ms() + 2 * DAY_MS;
    let log = [
        shown(1, 1, 0),
        // A second arrival.
        Event { available_at_ms: start_ms() + 9, ..shown(1, 1, 0) },
        // The same channel once more.
        shown(2, 1, 3),
        shown(3, 2, 1),
        of(8, shown(4, 1, 0)),
        of(8, Event { user_id: Some(2), ..shown(5, 2, 1) }),
        of(9, shown(6, 1, 0)),
        of(9, Event { ts_ms: start_ms() + 1, available_at_ms: start_ms() + 1, ..shown(7, 2, 1) }),
        of(10, Event { available_at_ms: end_ms, ..shown(8, 1, 0) }),
    ];
    let site = Site::new(&log);
    let summary = site.run(&config());
    let refused: Vec<(Refusal, u64)> = summary.refused.clone().into_iter().collect();
    assert_eq!(
        refused,
        [
            (Refusal::Duplicate, 1),
            (Refusal::UsersDiffer, 2),
            (Refusal::MomentsDiffer, 2),
            (Refusal::ChannelTwice, 1),
            (Refusal::TooLate, 1)
        ]
    );
    let text = summary.to_string();
    assert!(text.starts_with("9 rows = 7 used + 1 late + 1 duplicate + 0 rejected\n"), "{text}");
    assert!(text.contains("9 impressions = 2 in feeds + 7 not: duplicate 1,"), "{text}");
    let feeds = read(&site.feeds());
    let candidates = &feeds[0].1.candidates;
    assert_eq!(candidates.position, [Some(0), Some(1)]);
}

/// Entered and left before the threshold: literally no record; a visit of unknown length and a later long one are kept.
#[test]
fn stays_below_the_threshold_are_dropped_or_negative() {
    let entered = |id, channel| of_request(id, EventKind::Watch, channel, 1_000);
    let log = [
        shown(1, 1, 0),
        shown(2, 2, 1),
        shown(3, 3, 2),
        shown(4, 4, 3),
        leave(5, 1, 3_000, 2.9),
        leave(6, 2, 3_000, 2.9),
        leave(7, 2, 60_000, 40.0),
        entered(8, 3),
    ];
    let channels = |below_threshold| {
        let site = Site::new(&log);
        let summary = site.run(&SampleConfig { below_threshold, ..config() });
        let feed = read(&site.feeds()).remove(0).1;
        let refused = summary.refused.get(&Refusal::BelowThreshold).copied().unwrap_or(0);
        let position: Vec<u16> = feed.candidates.position.iter().flatten().copied().collect();
        (position, feed.candidates.labels.unwrap().watched, refused)
    };
    assert_eq!(channels(BelowThreshold::Drop), (vec![1, 2, 3], vec![true, false, false], 1));
    assert_eq!(
        channels(BelowThreshold::Negative),
        (vec![0, 1, 2, 3], vec![false, true, false, false], 0)
    );

    // A request of which nothing is left is no feed.
    let other = Event { request_id: Some(8), ..shown(9, 1, 0) };
    let site = Site::new(&[
        shown(1, 1, 0),
        shown(2, 2, 1),
        leave(5, 1, 3_000, 0.5),
        leave(6, 2, 4_000, 1.0),
        other,
    ]);
    let summary = site.run(&config());
    assert_eq!(summary.refused[&Refusal::BelowThreshold], 2);
    let requests: Vec<u64> = read(&site.feeds()).iter().map(|(_, feed)| feed.request_id).collect();
    assert_eq!(requests, [8]);
}
