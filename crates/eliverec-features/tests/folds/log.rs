//! Random logs, and the driver that every test uses.

use eliverec_core::event::{CLOCK_TOLERANCE_MS, Event, EventKind};
use eliverec_features::{Admission, FeatureConfig, FeatureState, Freshness};
use proptest::prelude::*;

/// Few ids, so that they meet.
pub(crate) const USERS: u64 = 3;
pub(crate) const CHANNELS: u64 = 3;

const START_MS: i64 = 1_700_000_000_000;
const MINUTE_MS: i64 = 60_000;

/// Short lists, so that entries fall out of them.
pub(crate) fn config() -> FeatureConfig {
    FeatureConfig {
        product_history: 4,
        channel_history: 5,
        affinity_watches: 7,
        bag_products: 3,
        ..FeatureConfig::default()
    }
}

/// Two channels of one anchor, one of another, and one that nobody knows.
pub(crate) fn anchor_of(channel: u64) -> Option<u64> {
    [Some(70), Some(70), Some(71), None][channel as usize % 4]
}

fn kind() -> impl Strategy<Value = EventKind> {
    prop_oneof![
        2 => Just(EventKind::Watch),
        4 => Just(EventKind::Leave),
        2 => Just(EventKind::ProductClick),
        4 => prop::sample::select(EventKind::ALL.to_vec()),
    ]
}

/// On time, with a clock that is ahead, late within the limit and at it, and too late.
fn delay_ms() -> impl Strategy<Value = i64> {
    let limit = FeatureConfig::default().allowed_lateness_ms;
    prop_oneof![
        4 => Just(0),
        2 => -CLOCK_TOLERANCE_MS..=0,
        4 => 0..=limit,
        1 => limit..=limit + 1,
        1 => limit..2 * limit,
    ]
}

/// Seconds below and at the threshold, minutes, hours; also revenue.
fn value() -> impl Strategy<Value = f64> {
    prop_oneof![0.0..3.0, Just(3.0), 3.0..600.0, 3_000.0..9_000.0]
}

prop_compose! {
    fn event(span_ms: i64)(
        kind in kind(),
        ts_ms in prop_oneof![0..span_ms, (0..span_ms / 10_000).prop_map(|bucket| bucket * 10_000)],
        delay_ms in delay_ms(),
        user in 0..USERS,
        channel in 0..=CHANNELS,
        product in 20_u64..26,
        in_channel in any::<bool>(),
        value in value(),
        with_value in any::<bool>(),
    ) -> Event {
        let needs = kind.requires();
        Event {
            ts_ms: START_MS + ts_ms,
            available_at_ms: START_MS + ts_ms + delay_ms,
            user_id: needs.user.then_some(user),
            channel_id: (needs.channel || in_channel).then_some(channel),
            product_id: needs.product.then_some(product),
            request_id: needs.request.then_some(1),
            value: (kind == EventKind::Leave || with_value).then_some(value),
            ..Event::new(0, START_MS, kind)
        }
    }
}

/// Up to 150 valid events with ids of their own, in the order of arrival; some are too late. From twenty minutes long, so
/// that windows are full, to two days, so that they empty.
pub(crate) fn logs() -> impl Strategy<Value = Vec<Event>> {
    let span = prop_oneof![Just(20 * MINUTE_MS), Just(180 * MINUTE_MS), Just(2_880 * MINUTE_MS)];
    let logs = span.prop_flat_map(|span| prop::collection::vec(event(span), 0..150));
    logs.prop_map(|mut events| {
        // Odd steps: ids ascend neither with event time nor with arrival.
        for (number, event) in events.iter_mut().enumerate() {
            event.event_id = (number as u64 * 7_919) % 10_007;
        }
        arrange(&mut events);
        events
    })
}

/// Sorts by arrival, as a driver does.
pub(crate) fn arrange(events: &mut [Event]) {
    events.sort_by_key(|event| (event.available_at_ms, event.event_id));
}

/// Moments around arrivals, exactly at them, and up to a month after.
pub(crate) fn moments(events: &[Event]) -> Vec<i64> {
    let arrivals = events.iter().map(|event| event.available_at_ms);
    let mut moments: Vec<i64> = arrivals
        .enumerate()
        .map(|(number, arrival)| arrival + [0, 1, 9_999, 61_000][number % 4])
        .step_by(4)
        .collect();
    if let Some(last) = moments.iter().max().copied() {
        moments.extend([1, 10, 60, 60 * 24, 60 * 24 * 31].map(|minutes| last + minutes * 60_000));
        // While the hours of the log leave the windows of a day, one by one.
        moments.extend((20..=27).map(|hours| (last / 3_600_000 + hours) * 3_600_000));
    }
    moments.sort_unstable();
    moments
}

/// The state made of the given events, in their order.
pub(crate) fn folded<'a>(events: impl IntoIterator<Item = &'a Event>) -> FeatureState {
    let mut state = FeatureState::new(config()).unwrap();
    events.into_iter().for_each(|event| state.apply(event, anchor_of));
    state
}

/// The events that are admitted, in the order of arrival.
pub(crate) fn admitted(events: &[Event]) -> Vec<Event> {
    let mut freshness = Freshness::new(&config());
    let fresh = |event: &&Event| matches!(freshness.admit(event), Admission::Admitted);
    events.iter().filter(fresh).cloned().collect()
}

/// The driver: applies what is available strictly before each moment, then calls `look`.
pub(crate) fn drive(events: &[Event], moments: &[i64], mut look: impl FnMut(i64, &FeatureState)) {
    let mut freshness = Freshness::new(&config());
    let mut state = FeatureState::new(config()).unwrap();
    let mut events = events.iter().peekable();
    for at in moments {
        while let Some(event) = events.next_if(|event| event.available_at_ms < *at) {
            if matches!(freshness.admit(event), Admission::Admitted) {
                state.apply(event, anchor_of);
            }
        }
        look(*at, &state);
    }
}
