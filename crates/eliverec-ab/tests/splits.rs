//! A simulated log split many times by the hash of its users: nothing differs, and differences are found no more often than said.

#![expect(clippy::unwrap_used, reason = "a fixture that fails fails its test")]

use std::collections::BTreeMap;

use eliverec_ab::power::Goal;
use eliverec_ab::{Answered, Asked, Assignment, Builder, Report, Rules, Shares, Tally};
use eliverec_core::id::mix;
use eliverec_core::{Event, EventKind};
use eliverec_sim::{Collected, LoggingPolicy, World, WorldConfig};

const DAY_MS: i64 = 86_400_000;
const DAYS: u32 = 3;
const GOAL: Goal = Goal { effect: 0.05, power: 0.8 };
const EXPERIMENTS: &str = r#"{"at": 0, "experiments": {"layers": [{"name": "ranking", "buckets": [{"name": "a", "share": 0.5}, {"name": "b", "share": 0.5}]}]}}"#;

/// A log of which two days are compared, and the first moment of these.
fn world() -> (Vec<Event>, i64) {
    let config =
        WorldConfig { users: 1_500, days: DAYS, history_days: 1, ..WorldConfig::default() };
    let mut log = Collected::default();
    let mut world = World::new(&config).unwrap();
    let Ok(_) = world.run(&mut LoggingPolicy::new(config.seed), &mut log, &mut |_| ());
    let wanted = |event: &Event| {
        matches!(
            event.kind,
            EventKind::Impression
                | EventKind::Leave
                | EventKind::BagClick
                | EventKind::ProductClick
                | EventKind::Order
        )
    };
    log.events.retain(wanted);
    log.events.sort_by_key(|event| event.available_at_ms);
    (log.events, config.start_ms + DAY_MS)
}

/// The report of a split of the users by `salt`; answers are those that brought the impressions.
fn report(events: &[Event], begin_ms: i64, salt: u64, lost: impl Fn(u64) -> bool) -> Report {
    let shares = Shares::parse(EXPERIMENTS, "experiments.jsonl", None).unwrap();
    let days_ms = begin_ms..begin_ms + 2 * DAY_MS;
    let mut assignment = Assignment::new(shares, days_ms);
    for event in events {
        if let (EventKind::Impression, Some(request_id), Some(user_id), Some(0)) =
            (event.kind, event.request_id, event.user_id, event.position)
            && !lost(user_id)
        {
            let bucket = if mix(user_id ^ mix(salt)) & 1 == 0 { "a" } else { "b" };
            let (at_ms, bucket) = (event.ts_ms, Some(("ranking", bucket)));
            let row = Answered { request_id, user_id, at_ms, bucket };
            assignment.take(row).unwrap();
        }
    }
    let rules = Rules { stay_threshold_s: 3.0, attribution_window_ms: 1_800_000, days_before: 1 };
    let tally = Tally::new(assignment, rules);
    let mut builder = Builder::new(tally, &Asked { control: None, goal: GOAL }).unwrap();
    let mut day = 1;
    for event in events {
        if event.available_at_ms >= begin_ms + i64::from(day) * DAY_MS {
            builder.end_day(day);
            day += 1;
        }
        builder.tally().take(event);
    }
    builder.end_day(day);
    builder.finish()
}

/// Over 200 splits each metric differs by chance as often as the level says, within three deviations of the binomial; at any of
/// the looks, or in any metric after the correction, no more often.
#[test]
fn splits_of_one_log_differ_no_more_often_than_said() {
    const SPLITS: u64 = 200;
    let (events, begin_ms) = world();
    let mut planned: BTreeMap<&str, u32> = BTreeMap::new();
    let mut always: BTreeMap<&str, u32> = BTreeMap::new();
    let (mut corrected, mut mismatches) = (0, 0);
    for split in 0..SPLITS {
        let found = report(&events, begin_ms, split, |_| false);
        mismatches += u32::from(found.refused.is_some());
        let Some(table) = found.tables.first() else { continue };
        for row in &table.rows {
            let difference = row.comparisons[0].difference.unwrap();
            *planned.entry(row.metric).or_default() += u32::from(difference.p < 0.05);
            let mut looks = found.running.iter().filter(|running| running.metric == row.metric);
            let any = looks.any(|running| running.difference.always_p < 0.05);
            *always.entry(row.metric).or_default() += u32::from(any);
        }
        let is_told = |p: Option<f64>| p.is_some_and(|p| p < 0.05);
        let any = table.rows.iter().any(|row| is_told(row.comparisons[0].p_corrected));
        corrected += u32::from(any);
    }
    let share = |count: u32| f64::from(count) / SPLITS as f64;
    let bound = 3.0 * (0.05_f64 * 0.95 / SPLITS as f64).sqrt();
    assert!(planned.len() >= 8, "{planned:?}");
    for (metric, count) in &planned {
        assert!((share(*count) - 0.05).abs() <= bound, "{metric}: {count} of {SPLITS}");
    }
    for (metric, count) in &always {
        assert!(share(*count) <= 0.05 + bound, "{metric}: {count} of {SPLITS}");
    }
    assert!(share(corrected) <= 0.05 + bound, "{corrected} of {SPLITS}");
    // One in a thousand is expected.
    assert!(mismatches <= 2, "{mismatches}");
}

#[test]
fn a_planted_mismatch_is_refused_and_says_why() {
    let (events, begin_ms) = world();
    // Every fourth user of bucket b loses the answers.
    let lost = |user: u64| mix(user ^ mix(7)) & 1 == 1 && mix(user) % 4 == 0;
    let found = report(&events, begin_ms, 7, lost);
    assert!(found.mismatch.p.unwrap() < 0.001, "{:?}", found.mismatch);
    assert!(found.refused.unwrap().starts_with("users are not in the buckets by their shares (a "));
    assert!(found.tables.is_empty() && found.running.is_empty() && found.needs.is_empty());
}

#[test]
fn groups_of_activity_are_the_users_and_a_need_stands_for_each_metric() {
    let (events, begin_ms) = world();
    let found = report(&events, begin_ms, 3, |_| false);
    let [all, low, high] = found.tables.as_slice() else { panic!("{:?}", found.tables.len()) };
    for bucket in 0..2 {
        assert_eq!(all.users[bucket], low.users[bucket] + high.users[bucket]);
        assert_eq!(all.users[bucket], found.population.in_bucket[bucket]);
    }
    assert_eq!(found.needs.len(), all.rows.len());
    let ctr = found.needs.iter().find(|need| need.metric == "ctr").unwrap();
    assert!(ctr.users > 0.0 && ctr.always_days.unwrap() > ctr.days.unwrap(), "{ctr:?}");
    let value = |metric: &str| {
        let row = all.rows.iter().find(|row| row.metric == metric).unwrap();
        row.values[0].unwrap().value
    };
    assert!((0.01..0.9).contains(&value("ctr")), "{}", value("ctr"));
    assert!(value("bag_ctr") <= value("ctr") && value("stay_per_watch") >= 3.0);
}
