//! A small world, looked at from all sides.

use std::collections::{BTreeMap, BTreeSet};

use eliverec_core::event::Scalar;
use eliverec_core::schema::{Group, Kind, Schema};
use eliverec_core::{Event, EventKind};
use eliverec_sim::config::DAY_MS;
use eliverec_sim::{
    Cause, Ceiling, Collected, Log, LoggingPolicy, SCHEMA, Truth, World, WorldConfig,
};

fn small(seed: u64) -> WorldConfig {
    WorldConfig { users: 600, days: 3, history_days: 6, seed, ..WorldConfig::default() }
}

fn run(config: &WorldConfig) -> Collected {
    let mut log = Collected::default();
    let mut world = World::new(config).expect("a sound config");
    let Ok(totals) = world.run(&mut LoggingPolicy::new(config.seed), &mut log, &mut |_| ());
    assert_eq!(totals.events, log.events.len() as u64);
    log
}

/// First arrivals in the order of event time; ids count up with it.
fn in_order(log: &Collected) -> Vec<&Event> {
    let events: BTreeMap<u64, &Event> = log.events.iter().map(|e| (e.event_id, e)).collect();
    events.into_values().collect()
}

#[test]
fn the_seed_decides_everything() {
    let config = small(1);
    let log = run(&config);
    assert!(log.events.len() > 20_000, "{}", log.events.len());
    assert!(log == run(&config));
    assert!(log.events != run(&small(2)).events);
}

#[test]
fn days_one_by_one_are_the_days_at_once() {
    let config = small(3);
    let mut log = Collected::default();
    let mut world = World::new(&config).unwrap();
    let mut policy = LoggingPolicy::new(config.seed);
    let mut days = Vec::new();
    while world.days_left() > 1 {
        let Ok(_) = world.run_days(1, &mut policy, &mut log, &mut |p| days.push(p.days_done));
    }
    let Ok(_) = world.run(&mut policy, &mut log, &mut |p| days.push(p.days_done));
    assert_eq!(days, (1..=9).collect::<Vec<_>>());
    assert!(log == run(&config));
}

#[test]
fn pieces_of_days_are_the_days_at_once() {
    let config = small(3);
    let mut log = Collected::default();
    let mut world = World::new(&config).unwrap();
    let mut policy = LoggingPolicy::new(config.seed);
    let begin_ms = config.history_start_ms();
    let mut days = Vec::new();
    for hours in (0..230).step_by(7) {
        let until_ms = begin_ms + hours * DAY_MS / 24;
        let Ok(_) =
            world.run_until(until_ms, &mut policy, &mut log, &mut |p| days.push(p.days_done));
        assert!(log.events.iter().all(|event| event.ts_ms < until_ms));
    }
    assert_eq!((world.days_left(), &days), (0, &(1..=9).collect()));
    let Ok(_) = world.run(&mut policy, &mut log, &mut |_| ());
    assert!(log == run(&config));
}

#[test]
fn a_world_goes_on_behind_its_last_day() {
    let config = small(3);
    let mut log = Collected::default();
    let mut world = World::new(&config).unwrap();
    let mut policy = LoggingPolicy::new(config.seed);
    let Ok(_) = world.run_days(u32::MAX, &mut policy, &mut log, &mut |_| ());
    let until_then = log.events.len();
    // What had arrived by then is what the config's log has.
    assert!(log.events[..] == run(&config).events[..until_then]);
    world.go_on(2);
    assert_eq!(world.days_left(), 2);
    let Ok(_) = world.run(&mut policy, &mut log, &mut |_| ());
    let end_ms = config.start_ms + i64::from(config.days) * DAY_MS;
    let later = log.events[until_then..].iter().filter(|event| event.ts_ms >= end_ms + DAY_MS);
    assert!(later.filter(|event| event.kind == EventKind::Impression).count() > 100);
}

#[test]
fn every_event_is_sound_and_ids_repeat_only_for_second_arrivals() {
    let config = WorldConfig { duplicate_share: 0.02, ..small(1) };
    let log = run(&config);
    let mut first: BTreeMap<u64, &Event> = BTreeMap::new();
    let mut second = 0;
    for event in &log.events {
        event.check().unwrap();
        assert_eq!(event.context.len(), 4 * usize::from(event.kind == EventKind::Impression));
        if let Some(earlier) = first.insert(event.event_id, event) {
            second += 1;
            let (a, b) = (earlier.available_at_ms, event.available_at_ms);
            assert_eq!(a.min(b), event.ts_ms);
            assert!(a.max(b) > event.ts_ms);
            assert_eq!(Event { available_at_ms: a, ..event.clone() }, *earlier);
        }
    }
    let share = f64::from(second) / log.events.len() as f64;
    assert!((0.015..0.025).contains(&share), "{share}");
    let times: Vec<i64> = in_order(&log).iter().map(|event| event.ts_ms).collect();
    assert!(times.is_sorted(), "ids count up with event time");
    let displaced = log.events.windows(2).filter(|e| e[1].ts_ms < e[0].ts_ms).count();
    assert!(displaced > 10);
    let late = log.events.iter().filter(|event| event.available_at_ms > event.ts_ms).count();
    assert!(late > 100);
}

#[test]
fn each_step_needs_the_one_before() {
    use EventKind::{
        BagClick, Comment, Follow, Impression, Leave, Like, Order, ProductClick, Watch,
    };
    let config = small(1);
    let log = run(&config);
    let mut shown = BTreeSet::new();
    let mut inside: BTreeMap<u64, (u64, Option<u64>, i64)> = BTreeMap::new();
    let (mut opened, mut clicked, mut clicked_at_home) =
        (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut steps = BTreeMap::new();
    for event in in_order(&log).into_iter().filter(|event| event.ts_ms >= config.start_ms) {
        let Some(user) = event.user_id else { continue };
        let visit = (user, event.channel_id, event.request_id);
        match (event.kind, event.channel_id) {
            (Impression, Some(_)) => assert!(shown.insert(visit), "shown twice in a feed"),
            (Watch, Some(channel)) => {
                assert!(event.request_id.is_none() || shown.contains(&visit));
                let before = inside.insert(user, (channel, event.request_id, event.ts_ms));
                assert!(before.is_none(), "in two channels at once");
            }
            (ProductClick, None) => _ = clicked_at_home.insert((user, event.product_id)),
            (Order, None) => assert!(clicked_at_home.contains(&(user, event.product_id))),
            (kind, Some(channel)) => {
                let Some(&(where_, request, since)) = inside.get(&user) else {
                    // Entered before the first logged day.
                    assert!(event.request_id.is_none(), "{event:?}");
                    continue;
                };
                assert_eq!((where_, request), (channel, event.request_id), "{event:?}");
                match kind {
                    BagClick => _ = opened.insert((visit, since)),
                    ProductClick => {
                        assert!(opened.contains(&(visit, since)));
                        clicked.insert((visit, since, event.product_id));
                    }
                    Order => {
                        assert!(clicked.contains(&(visit, since, event.product_id)));
                        assert!(event.value.unwrap() > 0.0);
                    }
                    Leave => {
                        let stay_s = (event.ts_ms - since) as f64 / 1000.0;
                        assert_eq!(event.value, Some(stay_s));
                        inside.remove(&user);
                    }
                    Like | Comment | Follow => {}
                    _ => panic!("{event:?}"),
                }
            }
            _ => panic!("{event:?}"),
        }
        *steps.entry(event.kind).or_insert(0) += 1;
    }
    for (step, next) in
        [(Impression, Watch), (Watch, BagClick), (BagClick, Order), (Watch, Like), (Watch, Follow)]
    {
        assert!(steps[&step] > steps[&next] && steps[&next] > 0, "{steps:?}");
    }
}

#[test]
fn nobody_acts_in_a_channel_that_is_off_and_goods_go_on_and_off() {
    use EventKind::{Impression, ProductClick, ProductOff, ProductOn, StreamEnd, StreamStart};
    let config = small(4);
    let log = run(&config);
    let mut on_sale: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
    let (mut streams, mut goods, mut checked) = (0, 0, 0);
    for event in in_order(&log).into_iter().filter(|e| e.ts_ms >= config.start_ms - DAY_MS) {
        let Some(channel) = event.channel_id else { continue };
        // A stream that began before the channels' first logged day is not known to be live.
        let known = on_sale.get_mut(&channel);
        match (event.kind, event.product_id) {
            (StreamStart, _) => {
                assert!(on_sale.insert(channel, BTreeSet::new()).is_none());
                streams += 1;
            }
            (StreamEnd, _) if known.is_some() => {
                assert!(on_sale.remove(&channel).is_some_and(|bag| bag.is_empty()));
            }
            (ProductOn, Some(product)) if let Some(bag) = known => {
                assert!(bag.insert(product));
                goods += 1;
            }
            (ProductOff, Some(product)) if let Some(bag) = known => assert!(bag.remove(&product)),
            (ProductClick, Some(product)) if let Some(bag) = known => {
                assert!(bag.contains(&product), "{event:?}");
                checked += 1;
            }
            (Impression, _) if event.ts_ms >= config.start_ms + DAY_MS / 2 => {
                assert!(known.is_some(), "{event:?}");
            }
            _ => {}
        }
    }
    assert!(checked > 50, "{checked}");
    let per_stream = goods / streams;
    assert!((40..140).contains(&per_stream), "a new product every few minutes: {per_stream}");
}

#[test]
fn history_days_keep_profiles_and_the_last_one_the_state_of_channels() {
    use EventKind::{Leave, ProductClick, ProductOff, ProductOn, StreamEnd, StreamStart, Watch};
    let config = small(1);
    let log = run(&config);
    let mut kinds = BTreeSet::new();
    for event in log.events.iter().filter(|event| event.ts_ms < config.start_ms) {
        kinds.insert(event.kind);
        assert_eq!(event.request_id, None);
        match event.kind {
            ProductClick => assert_eq!(event.channel_id, None),
            Watch | Leave => {}
            _ => assert!(event.ts_ms >= config.start_ms - DAY_MS, "{event:?}"),
        }
    }
    let expected = [Watch, Leave, ProductClick, StreamStart, StreamEnd, ProductOn, ProductOff];
    assert_eq!(kinds, BTreeSet::from(expected));
    assert!(log.events.iter().all(|event| event.ts_ms >= config.history_start_ms()));
}

#[test]
fn users_and_anchors_join_and_users_come_by_the_clock() {
    let config = WorldConfig { users: 3_000, ..small(5) };
    let log = run(&config);
    let day = |event: &Event| (event.ts_ms - config.start_ms).div_euclid(DAY_MS);
    let mut first_user_day = BTreeMap::new();
    let mut first_channel_day = BTreeMap::new();
    let mut hours = [0; 24];
    for event in in_order(&log) {
        if let Some(user) = event.user_id {
            first_user_day.entry(user).or_insert(day(event));
        }
        if event.kind == EventKind::StreamStart {
            first_channel_day.entry(event.channel_id).or_insert(day(event));
        }
        if event.kind == EventKind::Impression
            && let Scalar::Id(hour) = event.context[0]
        {
            assert_eq!(hour as i64, event.ts_ms.rem_euclid(DAY_MS) / 3_600_000);
            hours[hour as usize] += 1;
        }
    }
    for joined in [
        first_user_day.into_values().collect::<Vec<_>>(),
        first_channel_day.into_values().collect(),
    ] {
        for today in 0..3 {
            assert!(joined.contains(&today), "someone is new on day {today}");
        }
    }
    assert!(hours[20] + hours[21] > 5 * (hours[3] + hours[4]), "{hours:?}");
}

#[test]
fn every_kind_of_interest_drives_its_own_domain() {
    let log = run(&small(1));
    let mut causes = BTreeMap::new();
    for truth in &log.truths {
        if let Truth::Cause { kind, channel_id, cause, .. } = truth {
            assert!(matches!(kind, EventKind::Watch | EventKind::ProductClick));
            *causes.entry((channel_id.is_some(), *cause)).or_insert(0_u32) += 1;
        }
    }
    for live in [false, true] {
        let all: u32 = causes.iter().filter(|entry| entry.0.0 == live).map(|entry| entry.1).sum();
        let share =
            |cause| f64::from(causes.get(&(live, cause)).copied().unwrap_or(0)) / f64::from(all);
        let (own, other) = if live {
            (Cause::LiveOnly, Cause::ProductOnly)
        } else {
            (Cause::ProductOnly, Cause::LiveOnly)
        };
        assert!(share(Cause::Shared) > 0.2, "{causes:?}");
        assert!(share(own) > 0.1, "{causes:?}");
        assert_eq!(share(other), 0.0);
        assert!(share(Cause::Popularity) > 0.03 && share(Cause::Noise) > 0.01, "{causes:?}");
        assert_eq!(share(Cause::Loyalty) > 0.02, live, "{causes:?}");
    }
    // Every watch and product click of the log has a truth.
    let caused: BTreeSet<u64> = log
        .truths
        .iter()
        .filter_map(|truth| match truth {
            Truth::Cause { event_id, .. } => Some(*event_id),
            Truth::Impression { .. } => None,
        })
        .collect();
    let to_explain: BTreeSet<u64> = log
        .events
        .iter()
        .filter(|event| matches!(event.kind, EventKind::Watch | EventKind::ProductClick))
        .map(|event| event.event_id)
        .collect();
    assert_eq!(caused, to_explain);
}

#[test]
fn true_probabilities_are_calibrated_agree_with_the_log_and_beat_the_policy() {
    let log = run(&WorldConfig { users: 2_000, ..small(6) });
    let (mut ceiling, mut places) = (Ceiling::new(), Ceiling::new());
    let mut watched_requests = BTreeSet::new();
    for event in log.events.iter().filter(|event| event.kind == EventKind::Leave) {
        if let (Some(request), true) = (event.request_id, event.value.unwrap() >= 3.0) {
            watched_requests.insert((request, event.channel_id.unwrap()));
        }
    }
    let mut by_place = [(0.0, 0.0); 20];
    for truth in &log.truths {
        ceiling.add(truth).unwrap();
        let mut of_policy = truth.clone();
        if let Truth::Impression { watch_probability, position, .. } = &mut of_policy {
            *watch_probability = 1.0 / (1.0 + f32::from(*position));
        }
        places.add(&of_policy).unwrap();
        if let Truth::Impression { request_id, channel_id, watched, position, .. } = truth {
            assert_eq!(*watched, watched_requests.contains(&(*request_id, *channel_id)));
            let place = &mut by_place[usize::from(*position)];
            *place = (place.0 + f64::from(u8::from(*watched)), place.1 + 1.0);
        }
    }
    let (ceiling, places) = (ceiling.finish().unwrap(), places.finish().unwrap());
    assert!(ceiling.auc.unwrap() > places.auc.unwrap() + 0.1, "{ceiling:?} {places:?}");
    assert!(ceiling.gauc_feed.unwrap() > places.gauc_feed.unwrap() + 0.1);
    assert!((0.95..1.05).contains(&ceiling.pcoc.unwrap()), "{ceiling:?}");
    assert!(ceiling.ece.unwrap() < 0.01, "{ceiling:?}");
    let rate = |place: usize| by_place[place].0 / by_place[place].1;
    assert!(rate(0) > 1.3 * rate(7), "position bias");
}

#[test]
fn the_schema_is_valid_and_dimensions_follow_it() {
    let schema = Schema::parse(SCHEMA).unwrap();
    let names = |group| -> Vec<&str> {
        schema.fields(group).iter().map(|field| field.name.as_str()).collect()
    };
    assert_eq!(names(Group::Context), ["hour", "weekday", "scene", "city"]);
    let world = World::new(&small(1)).unwrap();
    let fits = |group, skip: usize, values: &[Scalar]| {
        let fields = &schema.fields(group)[skip..];
        assert_eq!(fields.len(), values.len());
        for (field, value) in fields.iter().zip(values) {
            let is_id = matches!(field.kind, Kind::Categorical { .. });
            assert_eq!(is_id, matches!(value, Scalar::Id(_)), "{}", field.name);
        }
    };
    world.users().for_each(|(_, fields)| fits(Group::User, 0, &fields));
    world.products().for_each(|(_, fields)| fits(Group::Product, 1, &fields));
    world.channels().for_each(|(_, fields)| fits(Group::Channel, 1, &fields));
    assert_eq!(world.users().count(), 600);
    // Every id of the log has its dimensions.
    let products: BTreeSet<u64> = world.products().map(|product| product.0).collect();
    let channels: BTreeSet<u64> = world.channels().map(|channel| channel.0).collect();
    for event in &run(&small(1)).events {
        assert!(event.product_id.is_none_or(|id| products.contains(&id)));
        assert!(event.channel_id.is_none_or(|id| channels.contains(&id)));
        assert!(event.user_id.is_none_or(|id| (1..=600).contains(&id)));
    }
}

struct Full(u32);

impl Log for Full {
    type Error = &'static str;

    fn event(&mut self, _: &Event) -> Result<(), Self::Error> {
        self.0 = self.0.checked_sub(1).ok_or("the disk is full")?;
        Ok(())
    }
}

#[test]
fn a_failing_log_ends_the_run() {
    let mut world = World::new(&small(1)).unwrap();
    let outcome = world.run(&mut LoggingPolicy::new(1), &mut Full(100), &mut |_| ());
    assert_eq!(outcome.unwrap_err(), "the disk is full");
}
