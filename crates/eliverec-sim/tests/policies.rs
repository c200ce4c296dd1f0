//! The same users under other policies.

use std::collections::BTreeMap;

use eliverec_core::{Event, EventKind};
use eliverec_sim::{
    Collected, LiveChannel, LoggingPolicy, Policy, PolicyRequest, Truth, World, WorldConfig,
};
use proptest::prelude::*;

fn small() -> WorldConfig {
    WorldConfig { users: 500, days: 2, history_days: 0, ..WorldConfig::default() }
}

fn run(policy: &mut dyn Policy) -> Collected {
    let mut log = Collected::default();
    let mut world = World::new(&small()).expect("a sound config");
    let Ok(_) = world.run(policy, &mut log, &mut |_| ());
    log
}

/// Shows the channels in the order of their ids, the other way round, or nonsense.
struct ById {
    backwards: bool,
    nonsense: bool,
}

impl Policy for ById {
    fn rank(&mut self, _: &PolicyRequest, live: &[LiveChannel], ranking: &mut Vec<u64>) {
        if self.nonsense {
            ranking.extend([0, u64::MAX, 1 << 40]);
        }
        ranking.extend(live.iter().map(|channel| channel.channel_id));
        if self.nonsense {
            let again = ranking.clone();
            ranking.extend(again);
        }
        if self.backwards {
            ranking.reverse();
        }
    }
}

struct Silent;

impl Policy for Silent {
    fn rank(&mut self, _: &PolicyRequest, _: &[LiveChannel], _: &mut Vec<u64>) {}
}

/// User, channel and place of the user's first feed of the world, with its truth.
fn first_feeds(log: &Collected) -> BTreeMap<(u64, i64, u64, u16), (f32, bool)> {
    let mut first: BTreeMap<u64, u64> = BTreeMap::new();
    let mut feeds = BTreeMap::new();
    for truth in &log.truths {
        if let Truth::Impression {
            ts_ms,
            user_id,
            request_id,
            channel_id,
            position,
            watch_probability,
            watched,
            ..
        } = truth
            && *first.entry(*user_id).or_insert(*request_id) == *request_id
        {
            let key = (*user_id, *ts_ms, *channel_id, *position);
            feeds.insert(key, (*watch_probability, *watched));
        }
    }
    feeds
}

#[test]
fn a_user_reacts_to_a_channel_in_its_place_alike_under_any_policy() {
    let logging = run(&mut LoggingPolicy::new(1));
    let by_id = run(&mut ById { backwards: false, nonsense: false });
    let (ours, theirs) = (first_feeds(&logging), first_feeds(&by_id));
    let mut alike = 0;
    for (key, (probability, _)) in &ours {
        if let Some((other, _)) = theirs.get(key) {
            assert_eq!(probability, other, "{key:?}");
            alike += 1;
        }
    }
    assert!(alike > 20, "{alike}");
}

#[test]
fn nonsense_in_a_ranking_is_left_out() {
    let sound = run(&mut ById { backwards: false, nonsense: false });
    assert!(sound == run(&mut ById { backwards: false, nonsense: true }));
    assert!(sound.events != run(&mut ById { backwards: true, nonsense: false }).events);
    for event in &sound.events {
        event.check().unwrap();
    }
}

#[test]
fn without_rankings_there_are_no_feeds_but_products_are_clicked_as_ever() {
    let log = run(&mut Silent);
    assert!(log.events.iter().all(|event| event.request_id.is_none()));
    let clicks = |log: &Collected| {
        let of = |e: &&Event| e.kind == EventKind::ProductClick && e.channel_id.is_none();
        log.events.iter().filter(of).count()
    };
    let (without, with) = (clicks(&log), clicks(&run(&mut LoggingPolicy::new(1))));
    assert!(without > 1_000);
    assert!(without.abs_diff(with) < without / 20, "{without} {with}");
}

#[test]
fn asking_changes_nothing() {
    let config = small();
    let mut world = World::new(&config).unwrap();
    let mut log = Collected::default();
    let Ok(_) = world.run_days(1, &mut LoggingPolicy::new(1), &mut log, &mut |_| ());
    let before = format!("{world:?}");
    let live: Vec<u64> = world.live_channels().iter().map(|channel| channel.channel_id).collect();
    assert!(live.len() > 5);
    let mut ranking = live.clone();
    ranking.insert(1, u64::MAX);
    let answer = world.ask_user(7, 0, &ranking).unwrap();
    assert_eq!(answer.len(), ranking.len());
    assert_eq!(answer.iter().filter(|p| p.is_none()).count(), 1);
    assert!(answer.iter().flatten().all(|p| (0.0..=1.0).contains(p)));
    assert!(world.ask_user(0, 0, &live).is_none() && world.ask_user(501, 0, &live).is_none());
    assert_eq!(before, format!("{world:?}"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_channel_is_watched_less_further_down(user in 1_u64..500, channel in 0_usize..20) {
        thread_local! {
            static WORLD: World = {
                let mut world = World::new(&small()).unwrap();
                let Ok(_) = world.run_days(1, &mut Silent, &mut Collected::default(), &mut |_| ());
                world
            };
        }
        let chances: Vec<f64> = WORLD.with(|world| {
            let id = world.live_channels()[channel % world.live_channels().len()].channel_id;
            let place = |place| {
                let mut ranking = vec![0; place];
                ranking.push(id);
                world.ask_user(user, 0, &ranking).unwrap()[place].unwrap()
            };
            (0..20).map(place).collect()
        });
        prop_assert!(chances.windows(2).all(|pair| pair[1] <= pair[0]), "{chances:?}");
    }
}
