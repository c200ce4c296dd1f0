//! What is asked: requests as the feeds have them, and events of the feeds' users, channels and products.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use anyhow::bail;
use eliverec_core::feed::Column;
use eliverec_core::schema::Group;
use eliverec_core::{Feed, Schema};
use eliverec_tables::FeedDirectory;
use serde_json::{Map, Value, json};

use super::arguments::{Arguments, Call};
use crate::commands::now_ms;

/// Bodies by number.
#[derive(Clone, Debug)]
pub(super) struct Calls {
    call: Call,
    /// Bodies of requests, which come again and again.
    requests: Arc<[Vec<u8>]>,
    ids: Arc<Ids>,
    batch: usize,
    turns: Arc<Turns>,
}

/// Whom and what events are about.
#[derive(Debug)]
struct Ids {
    users: Users,
    channels: Vec<u64>,
    products: Vec<u64>,
    /// Above those of earlier loads, which the service knows.
    first_event: u64,
}

#[derive(Debug)]
enum Users {
    OfFeeds(Vec<u64>),
    Numbered(u64),
}

/// How far the calls are.
#[derive(Debug, Default)]
struct Turns {
    next: AtomicUsize,
    acknowledged: AtomicU64,
}

impl Calls {
    /// The requests of a split, and the ids in them.
    pub(super) fn new(arguments: &Arguments, feeds: &FeedDirectory) -> anyhow::Result<Self> {
        const MOST: usize = 2_000;
        let schema = feeds.schema();
        let read: Vec<Feed> = feeds
            .read(arguments.split)?
            .take(MOST)
            .collect::<Result<_, eliverec_tables::Error>>()?;
        let all: Vec<u64> = read.iter().flat_map(channels).copied().collect();
        if all.is_empty() {
            bail!(
                "{}: no feed of the {} split has candidates",
                feeds.path().display(),
                arguments.split
            );
        }
        let unique = |ids: &mut Vec<u64>| {
            ids.sort_unstable();
            ids.dedup();
        };
        let mut users: Vec<u64> = read.iter().map(|feed| feed.user_id).collect();
        let mut products: Vec<u64> = read.iter().flat_map(products).copied().collect();
        let mut channels = all.clone();
        [&mut users, &mut products, &mut channels].into_iter().for_each(unique);
        if products.is_empty() {
            products.push(1);
        }
        let users = arguments.users.map_or(Users::OfFeeds(users), Users::Numbered);
        let ids = Ids { users, channels, products, first_event: now_ms().unsigned_abs() << 21 };
        let body = |(i, feed)| body(arguments, schema, &ids, &all, (i, feed));
        Ok(Self {
            call: arguments.call,
            requests: read.iter().enumerate().map(body).collect::<Result<_, _>>()?,
            ids: Arc::new(ids),
            batch: arguments.batch,
            turns: Arc::default(),
        })
    }

    /// The same users' and channels' events.
    pub(super) fn events(&self) -> Self {
        Self { call: Call::Events, ..self.clone() }
    }

    pub(super) const fn path(&self) -> &'static str {
        match self.call {
            Call::Rank => "/v1/rank",
            Call::Recommend => "/v1/recommend",
            Call::Events => "/v1/events",
        }
    }

    /// The body of a call by its number.
    pub(super) fn body(&self, i: usize) -> Cow<'_, [u8]> {
        match self.call {
            Call::Events => Cow::Owned(self.ids.events(i, self.batch)),
            _ => Cow::Borrowed(&self.requests[i % self.requests.len()]),
        }
    }

    /// Users that events are about.
    pub(super) fn users(&self) -> u64 {
        match &self.ids.users {
            Users::OfFeeds(users) => users.len() as u64,
            Users::Numbered(count) => *count,
        }
    }

    /// The number of the first call that was not made.
    pub(super) fn take_turns(&self) -> usize {
        self.turns.next.load(Ordering::Relaxed)
    }

    /// All calls before that number were made.
    pub(super) fn turns_taken(&self, next: usize) {
        self.turns.next.store(next, Ordering::Relaxed);
    }

    /// Events that the service has acknowledged.
    pub(super) fn acknowledged(&self) -> u64 {
        self.turns.acknowledged.load(Ordering::Relaxed)
    }

    /// Reads what an answer acknowledges.
    pub(super) fn count(&self, answer: &[u8]) {
        if self.call == Call::Events {
            let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
            let admitted = answer["admitted"].as_u64().unwrap_or(0);
            self.turns.acknowledged.fetch_add(admitted, Ordering::Relaxed);
        }
    }

    /// Bodies by which all channels are live.
    pub(super) fn streams(&self) -> Vec<Vec<u8>> {
        let of = |(i, channels): (usize, &[u64])| {
            let events = channels.iter().enumerate().map(|(j, channel)| {
                json!({
                    "event_id": self.ids.first_event - 1 - (i * 1_000 + j) as u64, "ts": now_ms(),
                    "kind": "stream_start", "channel_id": channel,
                })
            });
            Value::Array(events.collect()).to_string().into_bytes()
        };
        self.ids.channels.chunks(1_000).enumerate().map(of).collect()
    }
}

impl Ids {
    /// The i-th batch: every user watches a channel, then every user clicks a product, and so on.
    fn events(&self, i: usize, batch: usize) -> Vec<u8> {
        let ts = now_ms();
        let mut text = String::from("[");
        for n in (i * batch) as u64..((i + 1) * batch) as u64 {
            let (user, round) = match &self.users {
                Users::OfFeeds(users) => {
                    let count = users.len() as u64;
                    (users[(n % count) as usize], n / count)
                }
                Users::Numbered(count) => (n % count + 1, n / count),
            };
            let id = self.first_event + n;
            // Neither users nor rounds in step with channels and products.
            let place = (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize;
            // Writing to a string cannot fail.
            let _ = write!(text, r#"{{"event_id":{id},"ts":{ts},"user_id":{user},"#);
            let _ = if round.is_multiple_of(2) {
                let channel = self.channels[place % self.channels.len()];
                write!(text, r#""kind":"leave","channel_id":{channel},"value":60}},"#)
            } else {
                let product = self.products[place % self.products.len()];
                write!(text, r#""kind":"product_click","product_id":{product}}},"#)
            };
        }
        text.pop();
        text.push(']');
        text.into_bytes()
    }
}

/// The request of a feed, filled up with channels of `all`.
fn body(
    arguments: &Arguments,
    schema: &Schema,
    ids: &Ids,
    all: &[u64],
    (i, feed): (usize, &Feed),
) -> serde_json::Result<Vec<u8>> {
    let user_id = match &ids.users {
        Users::OfFeeds(_) => feed.user_id,
        Users::Numbered(count) => i as u64 % count + 1,
    };
    let mut body = json!({"user_id": user_id, "context": context(schema, feed)});
    if arguments.watch_only {
        body["tasks"] = false.into();
    }
    if arguments.call == Call::Rank {
        let mut channels = channels(feed).to_vec();
        let others = (0..all.len()).map(|j| all[(i * 31 + j) % all.len()]);
        for other in others {
            if channels.len() >= arguments.candidates {
                break;
            }
            if !channels.contains(&other) {
                channels.push(other);
            }
        }
        channels.truncate(arguments.candidates);
        body["channels"] = channels.into();
    }
    serde_json::to_vec(&body)
}

fn ids(column: Option<&Column>) -> &[u64] {
    match column {
        Some(Column::Ids(ids)) => ids,
        _ => &[],
    }
}

fn channels(feed: &Feed) -> &[u64] {
    ids(feed.candidates.channel.first())
}

fn products(feed: &Feed) -> &[u64] {
    ids(feed.columns(Group::Product).first())
}

fn context(schema: &Schema, feed: &Feed) -> Value {
    let fields = schema.fields(Group::Context).iter().zip(feed.columns(Group::Context));
    let value = |column: &Column| match column {
        Column::Ids(ids) => json!(ids.first()),
        Column::Numbers(numbers) => json!(numbers.first()),
        Column::Lists { ids, .. } => json!(ids),
    };
    Value::Object(fields.map(|(f, column)| (f.name.clone(), value(column))).collect::<Map<_, _>>())
}
