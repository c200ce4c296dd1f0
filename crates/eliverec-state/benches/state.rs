//! What the durable log takes in per second, beside what an fsync costs here; how long a restart takes with full histories of
//! 100,000 users; what requests wait while a snapshot is written.
//!
//! `cargo bench -p eliverec-state` runs the whole; without `--bench` (as a test) a small state shows that it works.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use eliverec_core::seed::Random;
use eliverec_core::{Dimensions, Event, EventKind, Schema};
use eliverec_features::{FeatureId, Wanted};
use eliverec_state::{State, StateConfig};

const CHANNELS: u64 = 3_000;
/// Candidates of a request.
const SHOWN: u64 = 100;
const BEGIN_MS: i64 = 20_000 * 86_400_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bench = std::env::args().any(|argument| argument == "--bench");
    let folder = tempfile::tempdir()?;
    calibrate(&folder.path().join("calibration"), if bench { 200 } else { 3 })?;
    let (single, many) = if bench { (4_000, 600_000) } else { (20, 2_000) };
    for (clients, batch, events) in [(1, 1, single), (16, 1, single * 8), (16, 50, many)] {
        ingest(&folder.path().join(format!("ingest-{clients}-{batch}")), clients, batch, events)?;
    }
    restart(&folder.path().join("restart"), if bench { 100_000 } else { 50 })?;
    Ok(())
}

fn percentile(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share) as usize]
}

/// Appends of 64 KiB, each on disk when it returns.
fn calibrate(path: &Path, count: usize) -> std::io::Result<()> {
    let page = vec![7; 1 << 16];
    let mut file = fs_err::File::create(path)?;
    let mut times = Vec::new();
    for _ in 0..count {
        let start = Instant::now();
        file.write_all(&page)?;
        file.sync_data()?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    let [p50, p99] = [0.5, 0.99].map(|share| percentile(&times, share));
    println!("fsync of 64 KiB                 {p50:>8.2} ms p50 {p99:>8.2} ms p99");
    Ok(())
}

fn open(path: &Path, config: StateConfig) -> Result<State, Box<dyn std::error::Error>> {
    let schema = Schema::default();
    Ok(State::open(path, config, &schema, &Dimensions::empty(&schema)?)?)
}

/// A stay of a user.
fn leave(event_id: u64, ts_ms: i64, user: u64, channel: u64) -> Event {
    let leave = Event::new(event_id, ts_ms, EventKind::Leave);
    Event { user_id: Some(user), channel_id: Some(channel), value: Some(20.0), ..leave }
}

fn ingest(
    path: &Path,
    clients: u64,
    batch: u64,
    events: u64,
) -> Result<(), Box<dyn std::error::Error>> {
    let state = open(path, StateConfig::default())?;
    let start = Instant::now();
    let per_client = events / clients / batch;
    let mut times = Vec::new();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..clients)
            .map(|client| {
                let state = &state;
                scope.spawn(move || {
                    let mut random = Random::new(client);
                    let mut times = Vec::new();
                    for of in 0..per_client {
                        let begun = Instant::now();
                        let now_ms = BEGIN_MS + start.elapsed().as_millis() as i64;
                        let event = |i| {
                            let id = (client * per_client + of) * batch + i;
                            let user = (random.uniform() * 100_000.0) as u64;
                            leave(id, now_ms, user, id % CHANNELS)
                        };
                        let events = (0..batch).map(event).collect();
                        if state.ingest(events, now_ms).is_ok() {
                            times.push(begun.elapsed().as_secs_f64() * 1e3);
                        }
                    }
                    times
                })
            })
            .collect();
        for client in clients {
            times.extend(client.join().unwrap_or_default());
        }
    });
    let seconds = start.elapsed().as_secs_f64();
    times.sort_by(f64::total_cmp);
    let [p50, p99] = [0.5, 0.99].map(|share| percentile(&times, share));
    let rate = times.len() as f64 * batch as f64 / seconds;
    println!(
        "{clients:>3} clients, batches of {batch:>3}       {rate:>8.0} events/s; {p50:.1} ms p50 {p99:.1} ms p99 to the acknowledgement"
    );
    Ok(())
}

/// Fills every history, then times snapshots, requests beside them, and restarts.
fn restart(path: &Path, users: u64) -> Result<(), Box<dyn std::error::Error>> {
    let config = StateConfig { known_ids: 100_000_000, ..StateConfig::default() };
    let state = open(path, config)?;
    let features = config.features;
    let per_user = (features.affinity_watches + features.product_history) as u64;
    let sent = AtomicU64::new(0);
    let batch = 2_000.min(users);
    let fill = |upto: u64| {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    loop {
                        let first = sent.fetch_add(batch, Ordering::Relaxed);
                        if first >= upto {
                            return;
                        }
                        // Some users after each other, each with one event; a day for all histories.
                        let round = first / users;
                        let now_ms = BEGIN_MS + (round * 86_000_000 / per_user) as i64;
                        let event = |id: u64| {
                            let user = id % users;
                            if round < features.product_history as u64 {
                                let click = Event::new(id, now_ms, EventKind::ProductClick);
                                Event {
                                    user_id: Some(user),
                                    product_id: Some(id % 50_000),
                                    ..click
                                }
                            } else {
                                leave(id, now_ms, user, (id * 7) % CHANNELS)
                            }
                        };
                        let events = (first..first + batch).map(event).collect();
                        if let Err(error) = state.ingest(events, now_ms) {
                            println!("{error}");
                            return;
                        }
                    }
                });
            }
        });
    };
    let begun = Instant::now();
    fill(users * per_user);
    let seconds = begun.elapsed().as_secs_f64();
    let rate = (users * per_user) as f64 / seconds;
    println!(
        "{users} users with {per_user} events each, written in {seconds:.0} s, {rate:.0} events/s"
    );
    let wanted = Wanted {
        channel: vec![FeatureId::Viewers10m, FeatureId::ChannelPopularity],
        user: vec![FeatureId::HistoryChannels],
        anchor: vec![FeatureId::AnchorWatches],
        popularity: true,
        ..Wanted::default()
    };
    let is_over = AtomicBool::new(false);
    let ask = || {
        let mut random = Random::new(5);
        let mut times = Vec::new();
        let now_ms = BEGIN_MS + 86_000_000;
        while !is_over.load(Ordering::Relaxed) && times.len() < 20_000 {
            let user = (random.uniform() * users as f64) as u64;
            let first = (random.uniform() * (CHANNELS - SHOWN) as f64) as u64;
            let channels: Vec<u64> = (first..first + SHOWN).collect();
            let begun = Instant::now();
            state.features(&wanted, user, now_ms, &channels);
            times.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        times
    };
    let tell = |what: &str, times: &[f64]| {
        let [p50, p99, most] = [0.5, 0.99, 1.0].map(|share| percentile(times, share));
        println!(
            "features of {SHOWN} channels, {what:<20} {p50:.3} ms p50 {p99:.3} ms p99 {most:.1} ms most"
        );
    };
    tell("alone", &ask());
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let asking = scope.spawn(ask);
        let position = state.snapshot();
        let seconds = begun.elapsed().as_secs_f64();
        is_over.store(true, Ordering::Relaxed);
        tell("beside a snapshot", &asking.join().unwrap_or_default());
        println!("snapshot written in {seconds:.2} s: {position:?}");
    });
    sent.store(users * per_user, Ordering::Relaxed);
    fill(users * per_user + users);
    drop(state);
    for _ in 0..3 {
        let state = open(path, config)?;
        let opened = state.opened();
        let took = opened.took.as_secs_f64();
        println!(
            "ready in {took:.2} s: snapshot {:?}, {} records after it, {:?}",
            opened.snapshot,
            opened.replayed,
            state.sizes()
        );
    }
    Ok(())
}
