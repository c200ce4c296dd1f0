//! Logs for the tests of this binary.

use std::path::{Path, PathBuf};

use eliverec_core::event::{Event, EventKind, Scalar};
use eliverec_core::feed::Column;
use eliverec_core::schema::Group;
use eliverec_core::seed::Random;
use eliverec_core::{Dimension, Dimensions};
use eliverec_core::{Feed, Schema};
use eliverec_features::FEATURES;
use eliverec_features::registry::Fold;
use eliverec_samples::{SampleConfig, Summary, samples};
use eliverec_tables::events::{Day, EventWriter, Store, write_dimensions};
use eliverec_tables::{FeedDirectory, Split};
use tempfile::TempDir;

pub const DAY_MS: i64 = 86_400_000;
/// Ids of users go from 1 to this, and so on.
pub const USERS: u64 = 12;
pub const CHANNELS: u64 = 6;
pub const PRODUCTS: u64 = 9;

/// 2024-05-31 in UTC.
pub fn first_day() -> Day {
    "2024-05-31".parse().unwrap()
}

pub fn day(number: i32) -> Day {
    first_day().plus(number).unwrap()
}

/// A schema that asks for every feature there is, and for the goods bag in both ways.
pub fn schema() -> Schema {
    let mut text = vec!["name = \"all\"".to_owned()];
    for vocabulary in ["user", "product", "brand", "channel", "anchor", "hour", "stay"] {
        text.push(format!("[[vocabulary]]\nname = \"{vocabulary}\""));
    }
    let mut field = |group: &str, name: &str, kind: &str| {
        text.push(format!("[[{group}]]\nname = \"{name}\"\nkind = {kind}"));
    };
    for (group, name, vocabulary) in [
        ("user", "user_id", "user"),
        ("context", "hour", "hour"),
        ("product", "product_id", "product"),
        ("product", "brand_id", "brand"),
        ("channel", "channel_id", "channel"),
        ("channel", "anchor_id", "anchor"),
        ("target", "current_brand", "brand"),
        ("target", "current_product", "product"),
    ] {
        field(group, name, &format!("\"categorical\"\nvocabulary = \"{vocabulary}\""));
    }
    field("user", "watch_age_s", "\"dense\"");
    field("context", "load", "\"dense\"");
    field("product", "price", "\"dense\"");
    field("channel_event", "stay", "\"bucket\"\nvocabulary = \"stay\"\nboundaries = [10]");
    field("dynamic", "on_sale_brand", "\"multi\"\nvocabulary = \"brand\"");
    for feature in FEATURES.iter().filter(|feature| feature.fold != Fold::Watch) {
        field("dynamic", feature.name, "\"dense\"");
    }
    let text = text.join("\n");
    Schema::parse(&text).unwrap()
}

/// The tables of that schema; the last product, channel and user stand in none.
pub fn dimensions(schema: &Schema) -> Dimensions {
    let users = Dimension::fields_of(schema, Group::User);
    let users: Vec<Column> =
        users.iter().map(|_| Column::Numbers((1..USERS).map(|_| 0.0).collect())).collect();
    let products = vec![
        Column::Ids((1..PRODUCTS).map(|id| id % 3 + 1).collect()),
        Column::Numbers((1..PRODUCTS).map(|id| id as f32 * 2.5).collect()),
    ];
    let channels = vec![Column::Ids((1..CHANNELS).map(|id| id % 2 + 1).collect())];
    let table = |group, count: u64, columns| {
        Dimension::new(schema, group, (1..count).collect(), columns).unwrap()
    };
    Dimensions {
        users: table(Group::User, USERS, users),
        products: table(Group::Product, PRODUCTS, products),
        channels: table(Group::Channel, CHANNELS, channels),
    }
}

/// How awkward a random log is.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub requests: usize,
    /// Other events.
    pub events: usize,
    pub days: i64,
    /// Moments are multiples of this, so that many coincide.
    pub grain_ms: i64,
}

/// Events of all kinds: late within and beyond the limit, clocks ahead, second arrivals, rows in any order.
pub fn events(shape: Shape, seed: u64) -> Vec<Event> {
    let mut random = Random::new(seed);
    let mut events: Vec<Event> = Vec::new();
    let start_ms = first_day().start_ms();
    let moment = |random: &mut Random| {
        let span = shape.days * DAY_MS / shape.grain_ms;
        start_ms + random.below(span as usize) as i64 * shape.grain_ms
    };
    let id = |random: &mut Random, count: u64| random.below(count as usize) as u64 + 1;
    for request in 0..shape.requests as u64 {
        let (at_ms, user) = (moment(&mut random), id(&mut random, USERS));
        let mut channels: Vec<u64> = (1..=CHANNELS).collect();
        random.shuffle(&mut channels);
        let shown = random.below(4) + 1;
        let hour = at_ms.rem_euclid(DAY_MS) / 3_600_000;
        for (position, channel) in channels.into_iter().take(shown).enumerate() {
            let of_channel = |kind, ts_ms| Event {
                user_id: Some(user),
                channel_id: Some(channel),
                request_id: Some(request),
                ..Event::new(0, ts_ms, kind)
            };
            events.push(Event {
                position: Some(position as u16),
                context: vec![Scalar::Id(hour as u64), Scalar::Number(position as f32)],
                ..of_channel(EventKind::Impression, at_ms)
            });
            if random.below(3) == 0 {
                let entered_ms = at_ms + random.below(40 * 60) as i64 * 1_000;
                let stay_s =
                    random.below(2_400) as f64 / if random.below(2) == 0 { 300.0 } else { 1.0 };
                let left_ms = entered_ms + (stay_s * 1_000.0) as i64;
                events.push(of_channel(EventKind::Watch, entered_ms));
                if random.below(8) > 0 {
                    let value = Some(stay_s);
                    events.push(Event { value, ..of_channel(EventKind::Leave, left_ms) });
                }
                if random.below(2) == 0 {
                    events.push(of_channel(EventKind::BagClick, entered_ms + 500));
                    let product_id = Some(id(&mut random, PRODUCTS));
                    let click = of_channel(EventKind::ProductClick, entered_ms + 700);
                    events.push(Event { product_id, ..click });
                }
            }
        }
    }
    for _ in 0..shape.events {
        let kind = EventKind::ALL[1 + random.below(EventKind::ALL.len() - 1)];
        let required = kind.requires();
        let mut maybe = |required: bool, count: u64| {
            (required || random.below(3) == 0).then(|| random.below(count as usize) as u64 + 1)
        };
        let user_id = maybe(required.user, USERS);
        let channel_id = maybe(required.channel, CHANNELS);
        let product_id = maybe(required.product, PRODUCTS);
        let valued = matches!(kind, EventKind::Leave | EventKind::Order);
        let value = valued.then(|| random.below(600_000) as f64 / 1_000.0);
        let event = Event::new(0, moment(&mut random), kind);
        events.push(Event { user_id, channel_id, product_id, value, ..event });
    }
    for (i, event) in events.iter_mut().enumerate() {
        event.event_id = i as u64 + 1;
        let delay_ms = match random.below(10) {
            0 => random.below(600_000) as i64,
            1 => 600_000 + random.below(3 * 3_600_000) as i64,
            2 => -(random.below(300_000) as i64),
            _ => 0,
        };
        event.available_at_ms = event.ts_ms + delay_ms / 100 * 100;
    }
    for _ in 0..events.len() / 10 {
        let mut copy = events[random.below(events.len())].clone();
        copy.available_at_ms += random.below(20 * 60) as i64 * 1_000;
        events.push(copy);
    }
    random.shuffle(&mut events);
    events
}

/// A log on disk with its feeds beside it.
pub struct Site {
    folder: TempDir,
    pub schema: Schema,
}

impl Site {
    pub fn new(events: &[Event]) -> Self {
        let schema = schema();
        let site = Self { folder: tempfile::tempdir().unwrap(), schema };
        site.write(&site.schema, &dimensions(&site.schema), events);
        site
    }

    pub fn with(schema: Schema, dimensions: &Dimensions, events: &[Event]) -> Self {
        let site = Self { folder: tempfile::tempdir().unwrap(), schema };
        site.write(&site.schema, dimensions, events);
        site
    }

    fn write(&self, schema: &Schema, dimensions: &Dimensions, events: &[Event]) {
        let store = Store::local(&self.logs()).unwrap();
        let mut writer = EventWriter::create(&store, schema).unwrap();
        events.iter().for_each(|event| writer.push(event).unwrap());
        writer.finish().unwrap();
        write_dimensions(dimensions, &store).unwrap();
    }

    pub fn logs(&self) -> PathBuf {
        self.folder.path().join("logs")
    }

    pub fn feeds(&self) -> PathBuf {
        self.folder.path().join("feeds")
    }

    pub fn run(&self, config: &SampleConfig) -> Summary {
        self.run_to(&self.feeds(), config)
    }

    pub fn run_to(&self, feeds: &Path, config: &SampleConfig) -> Summary {
        let summary = samples(&self.logs(), feeds, config, |_| ()).unwrap();
        assert!(summary.adds_up(), "{summary}\n{summary:?}");
        summary
    }

    /// Another directory for feeds.
    pub fn other(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Two threads.
pub fn config() -> SampleConfig {
    SampleConfig { threads: 2, memory_limit_bytes: 256 << 20, ..SampleConfig::default() }
}

/// All feeds of a directory with their splits, in the order of the splits and their files.
pub fn read(feeds: &Path) -> Vec<(Split, Feed)> {
    let directory = FeedDirectory::open(feeds).unwrap();
    let mut all = Vec::new();
    for split in Split::ALL {
        if directory.feeds(split).unwrap() > 0 {
            all.extend(directory.read(split).unwrap().map(|feed| (split, feed.unwrap())));
        }
    }
    all
}

/// The names and bytes of all files below a folder.
pub fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            let inner = files(&path).into_iter();
            all.extend(inner.map(|(inner, bytes)| (format!("{name}/{inner}"), bytes)));
        } else {
            all.push((name, fs_err::read(&path).unwrap()));
        }
    }
    all.sort();
    all
}
