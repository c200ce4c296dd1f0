//! Events applied and snapshots of all features taken per second, on one core, over users and channels whose share of the
//! events falls with their rank (Zipf), a hot channel among them.
//!
//! `cargo bench -p eliverec-features` runs the whole; without `--bench` (as a test) a small log shows that it works.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::time::Instant;

use eliverec_core::event::{Event, EventKind};
use eliverec_core::seed::Random;
use eliverec_features::{
    Admission, Error, FeatureConfig, FeatureId, FeatureState, Freshness, Snapshot,
};

const USERS: f64 = 100_000.0;
const CHANNELS: f64 = 3_000.0;
const HOURS: i64 = 6;
/// The rest have an anchor that nobody knows.
const ANCHORED: u64 = 2_900;

fn main() -> Result<(), Error> {
    let bench = std::env::args().any(|argument| argument == "--bench");
    let count = if bench { 4_000_000 } else { 20_000 };
    let events = log(count);
    let config = FeatureConfig::default();

    let mut freshness = Freshness::new(&config);
    let start = Instant::now();
    let admitted = events.iter().filter(|e| matches!(freshness.admit(e), Admission::Admitted));
    let admitted: Vec<&Event> = admitted.collect();
    report("events admitted", count, start);

    let mut state = FeatureState::new(config)?;
    let start = Instant::now();
    admitted.iter().for_each(|event| state.apply(event, anchor_of));
    report("events applied", admitted.len(), start);

    let at_ms = HOURS * 3_600_000;
    let mut random = Random::new(2);
    let pairs: Vec<(u64, u64)> =
        (0..count).map(|_| (zipf(&mut random, USERS), zipf(&mut random, CHANNELS))).collect();
    let mut sum = 0.0;
    let start = Instant::now();
    for (user, channel) in &pairs {
        let snapshot = state.snapshot(*user, *channel, at_ms, anchor_of);
        sum += read(&snapshot);
    }
    report("snapshots: channel, user, anchor, product", pairs.len(), start);

    let start = Instant::now();
    for (_, channel) in &pairs {
        let mut snapshot = Snapshot::unknown();
        if let Some(channel) = state.channel(*channel) {
            channel.snapshot(at_ms, &mut snapshot);
        }
        sum += read(&snapshot);
    }
    report("snapshots: channel alone", pairs.len(), start);
    println!("users, channels, products {:?}; check {sum}", state.sizes());
    Ok(())
}

fn report(what: &str, count: usize, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    println!("{what:<42} {:>7.2} M/s", count as f64 / seconds / 1e6);
}

/// Some features, so that the compiler cannot leave the others out of the work.
fn read(snapshot: &Snapshot) -> f64 {
    let features = [FeatureId::Viewers10m, FeatureId::Revenue60m, FeatureId::AnchorWatches];
    features.iter().filter_map(|feature| snapshot.get(*feature)).map(f64::from).sum()
}

fn anchor_of(channel: u64) -> Option<u64> {
    (channel < ANCHORED).then_some(channel / 2)
}

/// A rank from 0 whose probability falls about as 1 / (rank + 1).
fn zipf(random: &mut Random, ranks: f64) -> u64 {
    (ranks.powf(random.uniform()) - 1.0) as u64
}

fn log(count: usize) -> Vec<Event> {
    let mut random = Random::new(1);
    let kinds = [
        EventKind::Impression,
        EventKind::Impression,
        EventKind::Watch,
        EventKind::Leave,
        EventKind::BagClick,
        EventKind::ProductClick,
        EventKind::Order,
        EventKind::ProductOn,
        EventKind::ProductOff,
    ];
    let span_ms = HOURS * 3_600_000;
    (0..count)
        .map(|number| {
            let arrival_ms = number as i64 * span_ms / count as i64;
            let delay_ms = if random.below(10) == 0 { random.below(600_000) as i64 } else { 0 };
            let kind = kinds[random.below(kinds.len())];
            let in_channel = kind != EventKind::ProductClick || random.below(3) == 0;
            Event {
                available_at_ms: arrival_ms,
                user_id: Some(zipf(&mut random, USERS)),
                channel_id: in_channel.then_some(zipf(&mut random, CHANNELS)),
                product_id: Some(zipf(&mut random, USERS)),
                request_id: Some(number as u64 / 8),
                value: Some(random.uniform() * 300.0),
                ..Event::new(number as u64, arrival_ms - delay_ms, kind)
            }
        })
        .collect()
}
