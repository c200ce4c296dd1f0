//! What a request saw is what samples compute from the log that the service wrote.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use eliverec_archive::{archive, begin};
use eliverec_core::dimensions::Value;
use eliverec_core::feed::Column;
use eliverec_core::schema::Group;
use eliverec_core::{Event, Feed, IdKinds};
use eliverec_features::{FeatureConfig, FeedBuilder};
use eliverec_samples::{BelowThreshold, SampleConfig, samples};
use eliverec_state::{Acknowledged, Row, State, StateConfig, Table};
use eliverec_tables::{FeedDirectory, Split};

use crate::world::{Call, Played, play};

const DAY_MS: i64 = 86_400_000;

/// The groups whose cells are features.
const GROUPS: [Group; 9] = [
    Group::User,
    Group::Context,
    Group::Product,
    Group::ProductEvent,
    Group::Channel,
    Group::ChannelEvent,
    Group::Candidate,
    Group::Target,
    Group::Dynamic,
];

/// The values of a column, bit for bit.
fn bits(column: &Column) -> Vec<u64> {
    match column {
        Column::Ids(ids) => ids.clone(),
        Column::Numbers(numbers) => numbers.iter().map(|x| u64::from(x.to_bits())).collect(),
        Column::Lists { ends, ids } => {
            ends.iter().map(|end| u64::from(*end)).chain(ids.iter().copied()).collect()
        }
    }
}

/// Cells, and how many of them differ.
fn compare(made: &Feed, known: &Feed) -> (usize, usize) {
    let (mut cells, mut differing) = (0, 0);
    let mut add = |made: Vec<u64>, known: Vec<u64>| {
        let same = made.iter().zip(&known).filter(|(a, b)| a == b).count();
        let all = made.len().max(known.len());
        cells += all;
        differing += all - same;
    };
    for group in GROUPS {
        for (made, known) in made.columns(group).iter().zip(known.columns(group)) {
            add(bits(made), bits(known));
        }
    }
    for (made, known) in [(&made.products, &known.products), (&made.channels, &known.channels)] {
        let ages = |ages: &[f32]| ages.iter().map(|x| u64::from(x.to_bits())).collect();
        add(ages(&made.age_s), ages(&known.age_s));
    }
    (cells, differing)
}

/// Many threads bring what happens, ask for features and send what was shown, all at once. Feeds by request, and what became of
/// the events.
fn act(
    state: &State,
    builder: &FeedBuilder,
    played: &Played,
    calls: std::ops::Range<usize>,
    threads: usize,
    feeds: &Mutex<HashMap<u64, Feed>>,
) -> Acknowledged {
    let next = AtomicUsize::new(calls.start);
    let total = Mutex::new(Acknowledged::default());
    let count = |of: Acknowledged| {
        let mut total = total.lock().unwrap();
        total.applied += of.applied;
        total.duplicates += of.duplicates;
        total.late += of.late;
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    if place >= calls.end {
                        return;
                    }
                    let (now_ms, call) = &played.calls[place];
                    match call {
                        Call::Events(events) => {
                            count(state.ingest(events.clone(), *now_ms).unwrap());
                            // A row changes now and then: other values of a user, a channel of another anchor.
                            if place % 50 == 7 {
                                let user = events.iter().find_map(|event| event.user_id);
                                if let Some(id) = user {
                                    let values = [3, 1, 2, place as u64 % 3].map(Value::Id).into();
                                    let rows = vec![Row { id, values }];
                                    state.upsert(Table::Users, rows, *now_ms).unwrap();
                                }
                                let channel = events.iter().find_map(|event| event.channel_id);
                                if let Some(id) = channel {
                                    let values = vec![Value::Id(id % 7 + 1), Value::Id(5)];
                                    let rows = vec![Row { id, values }];
                                    state.upsert(Table::Channels, rows, *now_ms).unwrap();
                                }
                            }
                        }
                        Call::Request(request, shown) => {
                            let mut request = request.clone();
                            let (feed, stand) = state.feed(builder, &mut request, *now_ms);
                            assert_eq!(feed.ts_ms, stand.ts_ms);
                            feeds.lock().unwrap().insert(request.request_id, feed);
                            let at = |event: &Event| Event { ts_ms: stand.ts_ms, ..event.clone() };
                            let shown = shown.iter().map(at).collect();
                            count(state.ingest(shown, *now_ms).unwrap());
                        }
                    }
                }
            });
        }
    });
    total.into_inner().unwrap()
}

/// A fourth of the way the state is closed and opened again, and a half of the way a snapshot is written while all goes on.
#[test]
fn what_a_request_saw_is_what_samples_compute() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let users = std::env::var("ELIVEREC_PARITY_USERS").map_or(400, |users| users.parse().unwrap());
    let played = play(users, 3, 40);
    begin(&path("logs"), &played.schema, &played.dimensions, &IdKinds::default()).unwrap();
    // Half of the histories are too old in the end.
    let features = FeatureConfig { history_age_days: Some(1), ..FeatureConfig::default() };
    let config =
        StateConfig { features, gather_ms: 0, segment_records: 2_000, ..StateConfig::default() };
    let open = || State::open(&path("state"), config, &played.schema, &played.dimensions).unwrap();
    let dimensions = std::sync::Arc::new(played.dimensions.clone());
    let builder = FeedBuilder::new(&played.schema, &dimensions).unwrap();
    let feeds = Mutex::default();
    let quarter = played.calls.len() / 4;
    let first = act(&open(), &builder, &played, 0..quarter, 4, &feeds);
    let state = open();
    assert_eq!((state.opened().snapshot, state.opened().passed_over.len()), (Some(0), 0));
    assert_eq!(state.opened().replayed, state.position());
    let second = std::thread::scope(|scope| {
        let acting =
            scope.spawn(|| act(&state, &builder, &played, quarter..played.calls.len(), 4, &feeds));
        while !acting.is_finished() {
            state.snapshot().unwrap();
            let now_ms = played.calls[quarter].0;
            archive(&state, &path("logs"), now_ms, None).unwrap();
        }
        acting.join().unwrap()
    });
    assert!(first.duplicates + second.duplicates > 0 && first.late + second.late > 0);
    let end_ms = played.calls.last().unwrap().0 + 2 * DAY_MS;
    archive(&state, &path("logs"), end_ms, None).unwrap();
    assert!(state.days_over(end_ms).unwrap().is_empty());

    let config = SampleConfig {
        features,
        below_threshold: BelowThreshold::Negative,
        ..SampleConfig::default()
    };
    let summary = samples(&path("logs"), &path("feeds"), &config, |_| ()).unwrap();
    assert_eq!(summary.duplicates, 0, "{summary}");
    assert_eq!(summary.late, first.late + second.late);
    let known = feeds.into_inner().unwrap();
    let directory = FeedDirectory::open(path("feeds")).unwrap();
    let (mut requests, mut cells, mut differing) = (0, 0, 0);
    for split in Split::ALL.into_iter().filter(|split| directory.feeds(*split).unwrap() > 0) {
        for feed in directory.read(split).unwrap() {
            let feed = feed.unwrap();
            let of_request = compare(&feed, &known[&feed.request_id]);
            requests += 1;
            cells += of_request.0;
            differing += of_request.1;
        }
    }
    assert_eq!((requests, differing), (played.requests, 0), "{cells} cells");
    assert!(requests > 1_000 && cells > 100_000, "{requests} requests, {cells} cells");
}
