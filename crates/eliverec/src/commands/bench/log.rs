//! A synthetic event log: as many impressions as asked for, one channel with a fixed share of all events, the others by Zipf's
//! law, users whose histories fill. Says nothing about people; the simulated world does that.

use eliverec_core::Schema;
use eliverec_core::event::{Event, EventKind, Scalar};
use eliverec_core::schema::Group;
use eliverec_core::seed::{Random, stream};
use eliverec_core::{Dimension, Dimensions};
use eliverec_tables::events::{EventWriter, Store, write_dimensions};

const START_MS: i64 = 1_717_113_600_000; // 2024-05-31, UTC
const DAY_MS: i64 = 86_400_000;
const DAYS: i64 = 7;
const SHOWN: u64 = 8;
const CHANNELS: u64 = 2_000;
const HOT: u64 = 1;
const PRODUCTS: u64 = 20_000;
/// Requests of a user over all days: with a product click before each and a watch after most, histories of 50 fill.
const REQUESTS_PER_USER: u64 = 60;

/// Fields of the schema that the log comes with: every entity by id, histories with stays, windows of the target.
const SCHEMA: &str = r#"
name = "bench"
[[vocabulary]]
name = "user"
[[vocabulary]]
name = "product"
[[vocabulary]]
name = "channel"
[[vocabulary]]
name = "category"
[[vocabulary]]
name = "hour"
[[vocabulary]]
name = "stay"
[[user]]
name = "user_id"
kind = "categorical"
vocabulary = "user"
[[context]]
name = "hour"
kind = "categorical"
vocabulary = "hour"
[[product]]
name = "product_id"
kind = "categorical"
vocabulary = "product"
[[product]]
name = "category_id"
kind = "categorical"
vocabulary = "category"
[[channel]]
name = "channel_id"
kind = "categorical"
vocabulary = "channel"
[[channel]]
name = "category_id"
kind = "categorical"
vocabulary = "category"
[[channel_event]]
name = "stay"
kind = "bucket"
vocabulary = "stay"
boundaries = [30, 120]
"#;

/// Windows of 1, 10 and 60 minutes and what the channel's state says besides.
const TARGETS: [&str; 10] = [
    "viewers_1m",
    "viewers_10m",
    "viewers_60m",
    "entries_10m",
    "bag_clicks_10m",
    "product_clicks_60m",
    "orders_60m",
    "revenue_60m",
    "minutes_live",
    "channel_popularity",
];

/// What a log holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    pub(super) events: u64,
    pub(super) impressions: u64,
    /// Share of all events that are the hot channel's, counted.
    pub(super) hot_share: f64,
}

/// Writes a log of `impressions` (rounded up to whole requests) in which one channel has `hot_share` of all events. A list has
/// no channel twice, so impressions alone cannot bring it there: its viewers' likes make up the rest.
pub(super) fn write(store: &Store, impressions: u64, hot_share: f64) -> anyhow::Result<Written> {
    let schema = schema()?;
    let requests = impressions.div_ceil(SHOWN);
    let users = requests.div_ceil(REQUESTS_PER_USER);
    let mut writer = EventWriter::create(store, &schema)?;
    let mut log = Generator {
        random: Random::new(stream(1, "bench/log")),
        zipf: zipf(CHANNELS),
        hot_share,
        hot: 0,
        next_event: 1,
        events: Vec::new(),
    };
    let mut written = Written { events: 0, impressions: 0, hot_share: 0.0 };
    for channel in 1..=CHANNELS {
        log.push(START_MS, EventKind::StreamStart, |event| event.channel_id = Some(channel));
    }
    for request in 0..requests {
        let at_ms = START_MS + (request as i64 * DAYS * DAY_MS) / requests as i64;
        let user = log.random.below(users as usize) as u64 + 1;
        log.request(request, at_ms, user);
        while (log.hot as f64) < hot_share * (log.next_event - 1) as f64 {
            log.push(at_ms, EventKind::Like, |event| {
                event.user_id = Some(user);
                event.channel_id = Some(HOT);
            });
        }
        written.impressions += SHOWN;
        written.events += log.events.len() as u64;
        for event in log.events.drain(..) {
            writer.push(&event)?;
        }
    }
    write_dimensions(&dimensions(&schema, users)?, store)?;
    writer.finish()?;
    written.hot_share = log.hot as f64 / written.events as f64;
    Ok(written)
}

fn schema() -> anyhow::Result<Schema> {
    let targets = TARGETS.map(|name| {
        format!("[[target]]\nname = \"{name}\"\nkind = \"dense\"\ntransform = \"log1p\"\n")
    });
    Ok(Schema::parse(&(SCHEMA.to_owned() + &targets.concat()))?)
}

fn dimensions(schema: &Schema, users: u64) -> Result<Dimensions, eliverec_core::Error> {
    let of_category = |ids: u64| (1..=ids).map(|id| (id, [Scalar::Id(id % 200 + 1)]));
    Ok(Dimensions {
        users: Dimension::new(schema, Group::User, (1..=users).collect(), Vec::new())?,
        products: Dimension::from_rows(schema, Group::Product, of_category(PRODUCTS))?,
        channels: Dimension::from_rows(schema, Group::Channel, of_category(CHANNELS))?,
    })
}

/// Shares of the channels added up, the k-th in proportion to 1 / k.
fn zipf(channels: u64) -> Vec<f64> {
    let mut sum = 0.0;
    let mut sums: Vec<f64> = (1..=channels)
        .map(|k| {
            sum += 1.0 / k as f64;
            sum
        })
        .collect();
    sums.iter_mut().for_each(|share| *share /= sum);
    sums
}

struct Generator {
    random: Random,
    zipf: Vec<f64>,
    hot_share: f64,
    /// Events of the hot channel so far.
    hot: u64,
    next_event: u64,
    events: Vec<Event>,
}

impl Generator {
    fn push(&mut self, ts_ms: i64, kind: EventKind, fill: impl FnOnce(&mut Event)) {
        let mut event = Event::new(self.next_event, ts_ms, kind);
        fill(&mut event);
        self.hot += u64::from(event.channel_id == Some(HOT));
        self.next_event += 1;
        self.events.push(event);
    }

    fn channel(&mut self) -> u64 {
        if self.random.uniform() < self.hot_share {
            return HOT;
        }
        let share = self.random.uniform();
        self.zipf.partition_point(|sum| *sum < share) as u64 + 1
    }

    fn product(&mut self) -> u64 {
        self.random.below(PRODUCTS as usize) as u64 + 1
    }

    /// A product click, a list of channels, and what one in it brought.
    fn request(&mut self, request: u64, at_ms: i64, user: u64) {
        let clicked = self.product();
        self.push(at_ms - 60_000, EventKind::ProductClick, |event| {
            event.user_id = Some(user);
            event.product_id = Some(clicked);
        });
        let mut shown: Vec<u64> = Vec::with_capacity(SHOWN as usize);
        while shown.len() < SHOWN as usize {
            // A list has no channel twice; after a few tries any other will do.
            let mut channel = self.channel();
            if shown.contains(&channel) {
                channel = self.random.below(CHANNELS as usize) as u64 + 1;
            }
            if !shown.contains(&channel) {
                shown.push(channel);
            }
        }
        let hour = at_ms.rem_euclid(DAY_MS) as u64 / 3_600_000;
        for (position, channel) in shown.iter().enumerate() {
            self.push(at_ms, EventKind::Impression, |event| {
                event.user_id = Some(user);
                event.channel_id = Some(*channel);
                event.request_id = Some(request);
                event.position = Some(position as u16);
                event.context = vec![Scalar::Id(hour)];
            });
        }
        if self.random.below(10) == 0 {
            return;
        }
        let channel = shown[self.random.below(shown.len())];
        let stay_s = 5.0 + self.random.below(120) as f64;
        let inside = |event: &mut Event| {
            event.user_id = Some(user);
            event.channel_id = Some(channel);
            event.request_id = Some(request);
        };
        self.push(at_ms + 2_000, EventKind::Watch, inside);
        if self.random.below(4) == 0 {
            self.push(at_ms + 3_000, EventKind::BagClick, inside);
            let product = self.product();
            self.push(at_ms + 4_000, EventKind::ProductClick, |event| {
                inside(event);
                event.product_id = Some(product);
            });
        }
        let left_ms = at_ms + 2_000 + (stay_s * 1_000.0) as i64;
        self.push(left_ms, EventKind::Leave, |event| {
            inside(event);
            event.value = Some(stay_s);
        });
    }
}
