//! The folds against their definitions on random logs, exactly: every feature at moments around every arrival.

#![expect(clippy::unwrap_used, reason = "a fixture that fails fails its test")]

mod bounds;
mod log;
mod oracle;

use eliverec_core::event::{Event, EventKind};
use eliverec_core::seed::Random;
use eliverec_features::{
    Error, FEATURES, Feature, FeatureConfig, FeatureState, Fold, Freshness, Snapshot, UserState,
};
use proptest::prelude::*;

use log::{CHANNELS, USERS, admitted, anchor_of, arrange, drive, folded, logs, moments};
use oracle::Known;

/// All snapshots at a moment, of every user (one unknown) and channel (one unknown to everybody).
fn snapshots(state: &FeatureState, at_ms: i64) -> Vec<Snapshot> {
    let pairs = (0..=USERS).flat_map(|user| (0..=CHANNELS + 1).map(move |channel| (user, channel)));
    pairs.map(|(user, channel)| state.snapshot(user, channel, at_ms, anchor_of)).collect()
}

/// Both histories of every user as (event, thing, stay), newest last.
fn histories(state: &FeatureState) -> Vec<Vec<(u64, u64, f32)>> {
    let of_user = |user| {
        let Some(history) = state.user(user).map(UserState::history) else {
            return [Vec::new(), Vec::new()];
        };
        let products = history.products().iter().map(|(m, e)| (m.event_id, e.product_id, 0.0));
        let channels = history.channels().iter().map(|(m, e)| (m.event_id, e.channel_id, e.stay_s));
        [products.collect(), channels.collect()]
    };
    (0..=USERS).flat_map(of_user).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Two logs with a gap between them, after which nothing of the first may count: what is forgotten changes no snapshot.
    #[test]
    fn what_is_forgotten_tells_nothing(
        first in logs(),
        second in logs(),
        gap_hours in prop::sample::select(vec![1_i64, 3, 26, 24 * 9, 24 * 31, 24 * 33]),
        history_age_days in prop::sample::select(vec![None, Some(0), Some(1), Some(8)]),
    ) {
        let begin = first.iter().map(|event| event.available_at_ms).max().unwrap_or_default();
        let shift = second.first().map_or(0, |event| begin - event.available_at_ms + gap_hours * 3_600_000);
        let later = second.into_iter().enumerate().map(|(i, event)| Event {
            event_id: 20_000 + i as u64,
            ts_ms: event.ts_ms + shift,
            available_at_ms: event.available_at_ms + shift,
            ..event
        });
        let mut log: Vec<Event> = first.into_iter().chain(later).collect();
        arrange(&mut log);
        let config = FeatureConfig { history_age_days, ..log::config() };
        let mut kept = FeatureState::new(config).unwrap();
        let mut forgetful = kept.clone();
        for event in admitted(&log) {
            let at = event.available_at_ms;
            forgetful.forget_idle(at);
            prop_assert_eq!(snapshots(&forgetful, at), snapshots(&kept, at));
            kept.apply(&event, anchor_of);
            forgetful.apply(&event, anchor_of);
        }
        let end = log.last().map_or(0, |event| event.available_at_ms) + 40 * 86_400_000;
        forgetful.forget_idle(end);
        prop_assert_eq!(snapshots(&forgetful, end), snapshots(&kept, end));
        let [users, ..] = forgetful.sizes();
        prop_assert!(users == 0 || history_age_days.is_none());
    }

    #[test]
    fn every_feature_is_its_definition(log in logs()) {
        drive(&log, &moments(&log), |at, state| {
            let known = Known::at(&log, at);
            for user in 0..=USERS {
                for channel in 0..=CHANNELS + 1 {
                    let snapshot = state.snapshot(user, channel, at, anchor_of);
                    for feature in FEATURES.iter().filter(|f| f.fold != Fold::Watch) {
                        let (found, expected) =
                            (snapshot.get(feature.id), known.value(feature.id, user, channel));
                        assert_eq!(
                            found, Some(expected),
                            "{} of user {user} and channel {channel} at {at}", feature.name
                        );
                    }
                    let on_sale: Vec<u64> =
                        state.channel(channel).iter().flat_map(|c| c.bag().on_sale()).collect();
                    assert_eq!(on_sale, known.on_sale(channel));
                }
            }
            let expected: Vec<Vec<_>> = (0..=USERS).flat_map(|user| {
                let product = |e: &&Event| (e.event_id, e.product_id.unwrap(), 0.0);
                let channel =
                    |e: &&Event| (e.event_id, e.channel_id.unwrap(), e.value.unwrap() as f32);
                [
                    known.product_history(user).iter().map(product).collect(),
                    known.channel_history(user).iter().map(channel).collect(),
                ]
            }).collect();
            assert_eq!(histories(state), expected);
        });
    }

    /// More than is asked: not only events of equal arrival may change places.
    #[test]
    fn the_order_of_application_does_not_matter(log in logs(), seed in any::<u64>()) {
        let events = admitted(&log);
        let mut shuffled = events.clone();
        Random::new(seed).shuffle(&mut shuffled);
        prop_assert_eq!(folded(&events), folded(&shuffled));
    }

    #[test]
    fn duplicates_change_nothing(log in logs(), seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let mut doubled = log.clone();
        for event in &log {
            for _ in 0..random.below(3) {
                let again_ms = random.below(600_000) as i64;
                let available_at_ms = event.available_at_ms + again_ms;
                doubled.push(Event { available_at_ms, ..event.clone() });
            }
        }
        arrange(&mut doubled);
        let at = moments(&log);
        let mut expected = Vec::new();
        drive(&log, &at, |at, state| expected.push(snapshots(state, at)));
        let mut expected = expected.into_iter();
        drive(&doubled, &at, |at, state| assert_eq!(Some(snapshots(state, at)), expected.next()));
    }

    /// One event arrives later than it did: snapshots up to the old arrival and after the new one stay, those between are
    /// as if it had not happened.
    #[test]
    fn a_moved_arrival_changes_the_features_between(
        log in logs(), which in any::<prop::sample::Index>(), by_ms in 1_i64..600_000,
    ) {
        prop_assume!(!log.is_empty());
        let event = which.get(&log);
        let lateness = FeatureConfig::default().allowed_lateness_ms;
        let (from, to) = (event.available_at_ms, event.available_at_ms + by_ms);
        prop_assume!(to - event.ts_ms <= lateness);
        let without: Vec<Event> = log.iter().filter(|e| *e != event).cloned().collect();
        let mut moved = without.clone();
        moved.push(Event { available_at_ms: to, ..event.clone() });
        arrange(&mut moved);

        let mut at = moments(&log);
        at.extend([from, from + 1, to, to + 1]);
        at.sort_unstable();
        let seen = |log: &[Event]| {
            let mut seen = Vec::new();
            drive(log, &at, |at, state| seen.push((snapshots(state, at), histories(state))));
            seen
        };
        let (before, after, never) = (seen(&log), seen(&moved), seen(&without));
        for (i, at) in at.iter().enumerate() {
            let between = from < *at && *at <= to;
            prop_assert_eq!(&after[i], if between { &never[i] } else { &before[i] }, "at {}", at);
        }
    }

    #[test]
    fn late_events_change_nothing_and_are_counted(log in logs()) {
        let lateness = FeatureConfig::default().allowed_lateness_ms;
        let in_time: Vec<Event> =
            log.iter().filter(|e| e.available_at_ms - e.ts_ms <= lateness).cloned().collect();
        prop_assert_eq!(admitted(&log), in_time.clone());
        let mut freshness = Freshness::new(&log::config());
        log.iter().for_each(|event| { freshness.admit(event); });
        let fates = freshness.fates();
        prop_assert_eq!(fates.admitted, in_time.len() as u64);
        prop_assert_eq!(fates.late, (log.len() - in_time.len()) as u64);
        prop_assert_eq!(fates.duplicate + fates.invalid, 0);
    }

    #[test]
    fn states_of_disjoint_events_merge(log in logs(), seed in any::<u64>()) {
        let events = admitted(&log);
        let mut random = Random::new(seed);
        let parts = [random.bits(), random.bits(), random.bits()];
        let part = |event: &Event| parts[event.event_id as usize % 3] % 3;
        let [mut a, b, mut c] =
            [0, 1, 2].map(|number| folded(events.iter().filter(|event| part(event) == number)));
        a.merge(b).unwrap();
        c.merge(a).unwrap();
        prop_assert_eq!(c, folded(&events));
    }

    #[test]
    fn a_saved_state_goes_on_as_if_it_had_not_been_saved(log in logs(), cut in 0_usize..150) {
        let events = admitted(&log);
        let (first, rest) = events.split_at(cut.min(events.len()));
        let saved = serde_json::to_string(&folded(first)).unwrap();
        let mut back: FeatureState = serde_json::from_str(&saved).unwrap();
        prop_assert_eq!(serde_json::to_string(&back).unwrap(), saved);
        rest.iter().for_each(|event| back.apply(event, anchor_of));
        prop_assert_eq!(back, folded(&events));
    }

    #[test]
    fn forgetting_idle_products_changes_no_snapshot(log in logs()) {
        let events = admitted(&log);
        let whole = folded(&events);
        let Some(last) = events.iter().map(|e| e.available_at_ms).max() else { return Ok(()) };
        for hours in [0, 1, 12, 24, 25, 26] {
            let at = last + 1 + hours * 3_600_000;
            let mut less = whole.clone();
            less.forget_idle(at);
            prop_assert_eq!(snapshots(&less, at), snapshots(&whole, at));
            prop_assert_eq!(snapshots(&less, at + 7_200_000), snapshots(&whole, at + 7_200_000));
            if hours == 26 {
                prop_assert_eq!(less.sizes()[2], 0);
            }
        }
    }
}

/// The same on one watch, cell by cell: which features know it, and from when.
#[test]
fn a_watch_is_known_from_the_millisecond_after_its_arrival() {
    let leave = Event {
        available_at_ms: 100_000,
        user_id: Some(0),
        channel_id: Some(1),
        value: Some(9.0),
        ..Event::new(1, 90_000, EventKind::Leave)
    };
    let known = |arrival: i64, at: i64| {
        let mut names = Vec::new();
        let leave = Event { available_at_ms: arrival, ..leave.clone() };
        drive(&[leave], &[at], |at, state| {
            let snapshot = state.snapshot(0, 1, at, anchor_of);
            let changed = |f: &&Feature| snapshot.get(f.id) != Snapshot::unknown().get(f.id);
            names = FEATURES.iter().filter(changed).map(|feature| feature.name).collect();
        });
        names
    };
    let all = [
        "viewers_1m",
        "viewers_10m",
        "viewers_60m",
        "channel_popularity",
        "history_channels",
        "watch_age_s",
        "anchor_watches",
        "anchor_watch_age_s",
    ];
    assert_eq!(known(100_000, 100_000), [""; 0]);
    assert_eq!(known(100_000, 100_001), all);
    assert_eq!(known(110_000, 110_000), [""; 0]);
    assert_eq!(known(110_000, 110_001), all);
}

#[test]
fn states_of_other_settings_are_refused_by_name() {
    let mut ours = FeatureState::new(log::config()).unwrap();
    let theirs = FeatureState::new(FeatureConfig::default()).unwrap();
    let error = ours.merge(theirs).unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("product_history is 4 and 50; channel_history is 5 and 50"),
        "{message}"
    );
    let wrong = FeatureConfig { allowed_lateness_ms: -1, ..log::config() };
    assert!(matches!(FeatureState::new(wrong), Err(Error::Config { .. })));
}

#[test]
fn a_state_of_another_version_is_refused() {
    let saved = serde_json::to_string(&FeatureState::new(log::config()).unwrap()).unwrap();
    assert!(saved.starts_with(r#"{"version":1,"#), "{saved}");
    let newer = r#"{"version":2,"everything":"else"}"#;
    let message = serde_json::from_str::<FeatureState>(newer).unwrap_err().to_string();
    assert!(message.starts_with("the saved feature state has version 2"), "{message}");
}
