//! A simulated log split many times by the hash of its users: nothing differs, and differences are found as often as said, and so is
//! what is planted.

#![expect(clippy::unwrap_used, reason = "a fixture that fails fails its test")]

use eliverec_ab::Rules;
use eliverec_ab::power::Goal;
use eliverec_ab::report::Report;
use eliverec_ab::splits::{Planted, Reports, SplitLog, Splits};
use eliverec_core::id::mix;
use eliverec_sim::{Collected, LoggingPolicy, World, WorldConfig};

const DAY_MS: i64 = 86_400_000;
const DAYS: u32 = 3;
const GOAL: Goal = Goal { effect: 0.05, power: 0.8 };

/// A log of which two days are compared.
fn world() -> SplitLog {
    let config =
        WorldConfig { users: 1_500, days: DAYS, history_days: 1, ..WorldConfig::default() };
    let mut log = Collected::default();
    let mut world = World::new(&config).unwrap();
    let Ok(_) = world.run(&mut LoggingPolicy::new(config.seed), &mut log, &mut |_| ());
    let begin_ms = config.start_ms + DAY_MS;
    let rules = Rules { stay_threshold_s: 3.0, attribution_window_ms: 1_800_000, days_before: 1 };
    SplitLog::new(log.events, begin_ms..begin_ms + 2 * DAY_MS, rules)
}

/// The report of a split of the users by `salt`.
fn report(log: &SplitLog, salt: u64, planted: Planted) -> Report {
    log.report(|user| mix(user ^ mix(salt)) & 1 == 1, planted, GOAL).unwrap()
}

/// Over 200 splits each metric differs by chance as often as the level says, within three deviations of the binomial; at any of
/// the looks, or in any metric after the correction, no more often. An effect of 20 % is found as often as predicted, and a loss is refused.
#[test]
fn splits_of_one_log_find_as_often_as_said() {
    const SPLITS: u64 = 200;
    let log = world();
    let (effect, lost) = (0.2, 0.3);
    let reports = (0..SPLITS).map(|split| Reports {
        plain: report(&log, split, Planted::Nothing),
        effect: report(&log, split, Planted::Effect(effect)),
        loss: report(&log, split, Planted::Loss(lost)),
    });
    let found = Splits::of(&reports.collect::<Vec<_>>(), effect, lost);
    let share = |count: u64| count as f64 / SPLITS as f64;
    let bound = |p: f64| 3.0 * (p * (1.0 - p) / SPLITS as f64).sqrt();
    assert!(found.found.len() >= 8, "{found:?}");
    for of in &found.found {
        assert!((share(of.planned) - 0.05).abs() <= bound(0.05), "{of:?}");
        assert!(share(of.always) <= 0.05 + bound(0.05), "{of:?}");
    }
    assert!(share(found.corrected) <= 0.05 + bound(0.05), "{found:?}");
    // One in a thousand is expected.
    assert!(found.refused <= 2, "{found:?}");
    assert!((0.3..0.99).contains(&found.power), "{found:?}");
    assert!((share(found.effect_found) - found.power).abs() <= bound(found.power), "{found:?}");
    assert!(share(found.lost_refused) > 0.95, "{found:?}");
}

#[test]
fn a_planted_mismatch_is_refused_and_says_why() {
    let found = report(&world(), 7, Planted::Loss(0.25));
    assert!(found.mismatch.p.unwrap() < 0.001, "{:?}", found.mismatch);
    assert!(found.refused.unwrap().starts_with("users are not in the buckets by their shares (a "));
    assert!(found.tables.is_empty() && found.running.is_empty() && found.needs.is_empty());
}

#[test]
fn groups_of_activity_are_the_users_and_a_need_stands_for_each_metric() {
    let found = report(&world(), 3, Planted::Nothing);
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
