//! Small fixtures for the tests of every crate: a schema with every kind of field, and feeds with a learnable rule. And feeds of any
//! schema whose values mean nothing, for tests and benchmarks.
//!
//! Category c of the last watch or of the last product click makes candidates of that category likelier to be watched.
//! Some feeds have no products, some no channels, some neither.

use crate::batch::{Batch, BatchBuilder, Lengths};
use crate::feed::{Column, Feed, Labels};
use crate::normalize::Normalization;
use crate::schema::{Field, Kind, Schema, Transform, Vocabulary};
use crate::seed::{Random, stream};

/// Categories shared by both domains.
const CATEGORIES: u64 = 5;

/// A schema with every kind of field in it.
pub fn schema() -> Schema {
    let vocabulary = |name: &str, width| Vocabulary { name: name.into(), width, min_count: 1 };
    let field = |name: &str, kind| Field { name: name.into(), kind };
    let categorical = |name: &str, vocabulary: &str| {
        field(name, Kind::Categorical { vocabulary: vocabulary.into() })
    };
    let bucket = |name: &str, vocabulary: &str| {
        let boundaries = vec![10.0, 60.0];
        field(name, Kind::Bucket { vocabulary: vocabulary.into(), boundaries })
    };
    let log1p = Kind::Dense { transform: Transform::Log1p };
    Schema {
        name: "toy".into(),
        vocabulary: vec![
            vocabulary("user", Some(4)),
            vocabulary("hour", Some(3)),
            vocabulary("product", None),
            vocabulary("channel", None),
            vocabulary("category", Some(4)),
            vocabulary("stay", None),
            vocabulary("action", None),
        ],
        user: vec![categorical("user", "user")],
        context: vec![categorical("hour", "hour")],
        product: vec![categorical("product_id", "product"), categorical("category_id", "category")],
        product_event: vec![categorical("action", "action")],
        channel: vec![categorical("channel_id", "channel"), categorical("category_id", "category")],
        channel_event: vec![bucket("stay", "stay")],
        target: vec![field("clicks_60m", log1p.clone())],
        dynamic: vec![
            field("viewers", log1p),
            field("on_sale", Kind::Multi { vocabulary: "product".into() }),
        ],
        ..Schema::default()
    }
}

/// `count` feeds, the same for the same `seed`.
pub fn feeds(count: usize, seed: u64) -> Vec<Feed> {
    let mut random = Random::new(stream(seed, "toy"));
    (0..count as u64).map(|request_id| feed(request_id, &mut random)).collect()
}

/// How many rows a drawn feed has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Product clicks.
    pub products: usize,
    /// Watches.
    pub channels: usize,
    /// Impressions.
    pub candidates: usize,
}

/// A feed of any schema without labels, its values drawn from `ids` ids of every vocabulary and from numbers below 100.
pub fn draw(schema: &Schema, counts: Counts, ids: usize, random: &mut Random) -> Feed {
    let mut feed = Feed::empty(schema);
    feed.request_id = random.below(1 << 30) as u64;
    feed.user_id = random.below(ids) as u64;
    let mut fill = |columns: &mut [Column], rows: usize| {
        for column in columns {
            for _ in 0..rows {
                match column {
                    Column::Ids(of) => of.push(random.below(ids) as u64),
                    Column::Numbers(of) => of.push(random.below(100) as f32),
                    Column::Lists { ends, ids: of } => {
                        of.extend((0..random.below(4)).map(|_| random.below(ids) as u64));
                        ends.push(of.len() as u32);
                    }
                }
            }
        }
    };
    fill(&mut feed.user, 1);
    fill(&mut feed.context, 1);
    for (events, rows) in
        [(&mut feed.products, counts.products), (&mut feed.channels, counts.channels)]
    {
        fill(&mut events.entity, rows);
        fill(&mut events.event, rows);
        events.age_s = (0..rows).rev().map(|age| (1 + age * 90) as f32).collect();
    }
    let candidates = &mut feed.candidates;
    fill(&mut candidates.channel, counts.candidates);
    fill(&mut candidates.target, counts.candidates);
    fill(&mut candidates.dynamic, counts.candidates);
    candidates.position = vec![None; counts.candidates];
    feed
}

/// The feeds of [`feeds`] as one batch.
pub fn batch(count: usize, seed: u64) -> Batch {
    batch_of(&feeds(count, seed))
}

/// Feeds of the toy schema as one batch; there must be at least one.
pub fn batch_of(feeds: &[Feed]) -> Batch {
    let (schema, normalization) = (schema(), Normalization::default());
    let mut builder = BatchBuilder::new(&schema, &normalization, Lengths::default());
    feeds.iter().for_each(|feed| builder.push(feed).expect("toy feeds keep the contract"));
    builder.finish().expect("at least one feed")
}

fn feed(request_id: u64, random: &mut Random) -> Feed {
    let mut feed = Feed::empty(&schema());
    feed.request_id = request_id;
    feed.user_id = random.below(40) as u64;
    feed.ts_ms = request_id as i64 * 60_000;
    push_id(&mut feed.user[0], feed.user_id);
    push_id(&mut feed.context[0], random.below(24) as u64);

    let products = if random.below(5) == 0 { 0 } else { 1 + random.below(6) };
    // The first feeds have channels, so that tests can break their values.
    let channels = if request_id > 3 && random.below(5) == 0 { 0 } else { 1 + random.below(6) };
    for i in 0..products {
        let product = random.below(30) as u64;
        push_id(&mut feed.products.entity[0], product);
        push_id(&mut feed.products.entity[1], product % CATEGORIES);
        push_id(&mut feed.products.event[0], random.below(3) as u64);
        feed.products.age_s.push(((products - i) * 40) as f32);
    }
    for i in 0..channels {
        let channel = random.below(20) as u64;
        push_id(&mut feed.channels.entity[0], channel);
        push_id(&mut feed.channels.entity[1], channel % CATEGORIES);
        push_number(&mut feed.channels.event[0], random.below(100) as f32);
        feed.channels.age_s.push(((channels - i) * 90) as f32);
    }
    let last = |column: &Column| match column {
        Column::Ids(ids) => ids.last().copied(),
        _ => None,
    };
    let wanted = [last(&feed.products.entity[1]), last(&feed.channels.entity[1])];
    for position in 0..2 + random.below(4) {
        let channel = random.below(20) as u64;
        let fits = wanted.contains(&Some(channel % CATEGORIES));
        let watched = random.uniform() < if fits { 0.8 } else { 0.15 };
        let candidates = &mut feed.candidates;
        push_id(&mut candidates.channel[0], channel);
        push_id(&mut candidates.channel[1], channel % CATEGORIES);
        push_number(&mut candidates.target[0], random.below(50) as f32);
        push_number(&mut candidates.dynamic[0], random.below(500) as f32);
        push_list(&mut candidates.dynamic[1], &[channel, channel + 5][..random.below(3)]);
        candidates.position.push(Some(position as u16));
        let tasks = watched.then(|| {
            let stay_s = 5.0 + random.below(300) as f32;
            let mut happens = |odds| f32::from(u8::from(random.below(odds) == 0));
            [stay_s, happens(3), happens(6)]
        });
        let labels = candidates.labels.get_or_insert_with(|| Labels::empty(&schema()));
        labels.push(watched, (0..3).map(|task| tasks.map(|tasks| tasks[task])));
    }
    feed
}

fn push_id(column: &mut Column, id: u64) {
    let Column::Ids(ids) = column else { panic!("a categorical column") };
    ids.push(id);
}

fn push_number(column: &mut Column, number: f32) {
    let Column::Numbers(numbers) = column else { panic!("a numeric column") };
    numbers.push(number);
}

fn push_list(column: &mut Column, list: &[u64]) {
    let Column::Lists { ends, ids } = column else { panic!("a multi-valued column") };
    ids.extend(list);
    ends.push(ids.len() as u32);
}
