//! No feature knows what had not arrived.

use std::sync::Arc;

use eliverec_core::event::EventKind;
use eliverec_features::{Admission, Freshness};
use proptest::prelude::*;

use crate::logs::{self, Shape, Site, events, read};
use eliverec_core::Feed;
use eliverec_samples::{BelowThreshold, SampleConfig};

/// With all channels shown: that a stay is below the threshold comes to be known later, and would drop one.
fn config() -> SampleConfig {
    SampleConfig { below_threshold: BelowThreshold::Negative, ..logs::config() }
}

/// A feed without its labels and without the channels shown: what was known before the request.
fn known(mut feed: Feed) -> Feed {
    feed.candidates.labels = None;
    feed
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Events that arrive at or after a moment can be anything: features of requests up to then are the same.
    #[test]
    fn the_future_changes_no_feature(seed in any::<u64>(), cut in 0.0_f64..1.0) {
        let shape = Shape { requests: 30, events: 200, days: 2, grain_ms: 60_000 };
        let all = events(shape, seed);
        let arrivals: Vec<i64> = all.iter().map(|event| event.available_at_ms).collect();
        let (first, last) = (arrivals.iter().min().unwrap(), arrivals.iter().max().unwrap());
        let cut_ms = first + ((last - first) as f64 * cut) as i64;
        // Impressions stay: without them there would be no request. They tell features only when a channel was shown.
        let past: Vec<_> = all
            .iter()
            .filter(|event| event.available_at_ms < cut_ms || event.kind == EventKind::Impression)
            .cloned()
            .collect();
        let (with, without) = (Site::new(&all), Site::new(&past));
        with.run(&config());
        without.run(&config());
        let until = |site: &Site| -> Vec<Feed> {
            let feeds = read(&site.feeds()).into_iter().map(|(_, feed)| known(feed));
            feeds.filter(|feed| feed.ts_ms <= cut_ms).collect()
        };
        prop_assert_eq!(until(&with), until(&without));
    }

    /// One event arrives later: features of requests before the old arrival and after the new one are the same.
    #[test]
    fn a_moved_arrival_changes_what_lies_between(seed in any::<u64>(), which in any::<prop::sample::Index>()) {
        let shape = Shape { requests: 40, events: 150, days: 1, grain_ms: 10_000 };
        let mut log = events(shape, seed);
        // Without copies, and in time before and after, so that only the moment of knowing changes.
        let mut freshness = Freshness::new(&config().features);
        log.sort_by_key(|event| (event.available_at_ms, event.event_id));
        log.retain(|event| matches!(freshness.admit(event), Admission::Admitted));
        let i = which.index(log.len());
        let old_ms = log[i].available_at_ms;
        let new_ms = log[i].ts_ms + config().features.allowed_lateness_ms;
        let before = Site::new(&log);
        log[i].available_at_ms = new_ms;
        let after = Site::new(&log);
        before.run(&config());
        after.run(&config());
        let feeds = |site: &Site| -> Vec<Feed> {
            read(&site.feeds()).into_iter().map(|(_, feed)| known(feed)).collect()
        };
        for (before, after) in feeds(&before).into_iter().zip(feeds(&after)) {
            if before.ts_ms <= old_ms || before.ts_ms > new_ms {
                prop_assert_eq!(before, after);
            }
        }
    }
}

/// A click is known to the request one millisecond after its arrival, and to none before.
#[test]
fn an_event_is_known_from_the_next_millisecond() {
    use crate::logs::{USERS, first_day};
    use eliverec_core::event::{Event, Scalar};
    let start_ms = first_day().start_ms() + 3_600_000;
    let shown = |request: u64, ts_ms| Event {
        user_id: Some(USERS),
        channel_id: Some(1),
        request_id: Some(request),
        position: Some(0),
        context: vec![Scalar::Id(1), Scalar::Number(0.0)],
        ..Event::new(request, ts_ms, EventKind::Impression)
    };
    let click = |available_at_ms| Event {
        user_id: Some(USERS),
        product_id: Some(4),
        available_at_ms,
        ..Event::new(99, start_ms, EventKind::ProductClick)
    };
    let lengths = |available_at_ms: i64| -> Vec<usize> {
        let mut log: Vec<Event> = (1..=5).map(|i| shown(i, start_ms + 1_000 * i as i64)).collect();
        log.push(click(available_at_ms));
        let site = Site::new(&log);
        site.run(&config());
        let feeds = Arc::new(read(&site.feeds()));
        feeds.iter().map(|(_, feed)| feed.products.age_s.len()).collect()
    };
    assert_eq!(lengths(start_ms + 1_999), [0, 1, 1, 1, 1]);
    assert_eq!(lengths(start_ms + 2_000), [0, 0, 1, 1, 1]);
    assert_eq!(lengths(start_ms + 4_000), [0, 0, 0, 0, 1]);
}
