//! Amazon reviews of two shops by common users: one shop's items are the channels, the other's the products.
//!
//! The sets hold positives only: a review is a watch, and each request gets negatives sampled uniformly from the live
//! shop's items that the user never had. Two of the sets know the order of a user's events but no time: one second per
//! event stands in for it, ages count events, and the last event of each user of both shops is the test, the one
//! before it the validation split. Popularity then leaks across users: training holds events that happened later than
//! a test event. The dated set knows days; events of one day are taken in the source's order, a second apart, and the
//! split is by time. The sets with titles have the title's first word as a stand-in for the brand.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use eliverec_core::id::text_id;

use super::candidates::Sampler;
use super::record::{FeedInProgress, Label, Value};
use super::source::{Folder, Table};
use super::timeline::{Timeline, newest};
use super::{Options, Output};
use crate::{Error, Split};

/// 2014-05-04 00:00 UTC, in seconds: the README's cut, which leaves a tenth of the events for the test.
const TEST_FROM_S: i64 = 1_399_161_600;

/// What a set has.
struct Shops {
    live: &'static str,
    products: &'static str,
    dated: bool,
    titled: bool,
}

struct Event {
    row: u64,
    user: u64,
    item: u64,
    live: bool,
    /// Unix seconds of the day; 0 in a set that has no time.
    day_s: i64,
    seq: u64,
    ts_ms: i64,
}

pub(super) fn read_food_kitchen(
    from: &Folder,
    options: Options,
    out: &mut Output<'_>,
) -> Result<(), Error> {
    let shops = Shops { live: "kitchen", products: "food", dated: true, titled: true };
    read(&shops, from, options, out)
}

pub(super) fn read_food_kitchen_seq(
    from: &Folder,
    options: Options,
    out: &mut Output<'_>,
) -> Result<(), Error> {
    let shops = Shops { live: "kitchen", products: "food", dated: false, titled: true };
    read(&shops, from, options, out)
}

pub(super) fn read_toy_game_seq(
    from: &Folder,
    options: Options,
    out: &mut Output<'_>,
) -> Result<(), Error> {
    let shops = Shops { live: "game", products: "toy", dated: false, titled: false };
    read(&shops, from, options, out)
}

fn read(shops: &Shops, from: &Folder, options: Options, out: &mut Output<'_>) -> Result<(), Error> {
    let brands = if shops.titled { Some(read_brands(from)?) } else { None };
    let events = read_events(shops, from)?;
    for event in &events {
        if brands.as_ref().is_some_and(|brands| !brands.contains_key(&event.item)) {
            out.remark("events on items that items.csv.gz lacks, of unknown brand");
        }
    }
    let splits = if shops.dated { by_time(&events) } else { last_held_out(&events) };

    let timeline = |live: bool| {
        let chosen = events.iter().filter(|event| event.live == live);
        Timeline::new(chosen.map(|event| (event.user, event.ts_ms, event.item)))
    };
    let (channels, products) = (timeline(true), timeline(false));
    let pool: Vec<u64> = {
        let live = events.iter().filter(|event| event.live).map(|event| event.item);
        live.collect::<BTreeSet<_>>().into_iter().collect()
    };
    let owned: HashSet<(u64, u64)> = events.iter().map(|event| (event.user, event.item)).collect();
    let sampler = Sampler::new(options.seed);
    let entity = |name: &'static str, item: u64| {
        let mut row = vec![(name, Value::Id(item))];
        if let Some(brands) = &brands {
            row.push(("brand", Value::Id(brands.get(&item).copied().unwrap_or(UNKNOWN_BRAND))));
        }
        row
    };

    for (event, split) in events.iter().zip(splits).filter(|(event, _)| event.live) {
        let earlier = [&products, &channels].map(|all| all.before(event.user, event.ts_ms));
        let activity = earlier[0].len() + earlier[1].len();
        if activity == 0 {
            out.dropped("the user has no earlier event in either shop");
            continue;
        }
        let mut feed = FeedInProgress::new(&out.schema, event.row, event.user, event.ts_ms);
        feed.user(&[("activity", Value::Number(activity as f32))]);
        for (at, item) in newest(earlier[0], options.history) {
            feed.product(*at, &entity("product_id", *item), &[]);
        }
        for (at, item) in newest(earlier[1], options.history) {
            feed.channel(*at, &entity("channel_id", *item), &[]);
        }
        let allowed = |item: u64| !owned.contains(&(event.user, item));
        for item in sampler.list(event.row, event.item, &pool, allowed) {
            let label = Label { watched: item == event.item, ..Label::default() };
            feed.candidate(&entity("channel_id", item), &[], None, label);
        }
        out.feed(split, &feed.finish())?;
    }
    Ok(())
}

/// The split of each event, by day. Validation is the stretch before the test with at least as many live events.
fn by_time(events: &[Event]) -> Vec<Split> {
    let mut days: Vec<i64> = events.iter().filter(|e| e.live).map(|e| e.day_s).collect();
    days.sort_unstable();
    let train_and_validation = days.partition_point(|day_s| *day_s < TEST_FROM_S);
    let test = days.len() - train_and_validation;
    let validation_from = days.get(train_and_validation.saturating_sub(test)).copied();
    let split = |event: &Event| {
        if event.day_s >= TEST_FROM_S {
            Split::Test
        } else if validation_from.is_some_and(|from| event.day_s >= from) {
            Split::Validation
        } else {
            Split::Train
        }
    };
    events.iter().map(split).collect()
}

/// The split of each event: of users of both shops the last live event is test, the one before it validation.
fn last_held_out(events: &[Event]) -> Vec<Split> {
    let mut users: BTreeMap<u64, (Vec<(i64, usize)>, bool)> = BTreeMap::new();
    for (i, event) in events.iter().enumerate() {
        let (live, has_products) = users.entry(event.user).or_default();
        if event.live {
            live.push((event.ts_ms, i));
        } else {
            *has_products = true;
        }
    }
    let mut splits = vec![Split::Train; events.len()];
    for (mut live, has_products) in users.into_values() {
        if has_products {
            live.sort_unstable();
            for ((_, i), split) in live.iter().rev().zip([Split::Test, Split::Validation]) {
                splits[*i] = split;
            }
        }
    }
    splits
}

/// The events in order of time, then of the file; strictly ascending in time within a user.
fn read_events(shops: &Shops, from: &Folder) -> Result<Vec<Event>, Error> {
    let file = "events.csv.gz";
    let (mut table, [user, seq, item, domain, ts]) = if shops.dated {
        Table::open_distinct(from, file, ["user_id", "seq", "item_id", "domain", "ts_s"])?
    } else {
        let (table, [user, seq, item, domain]) =
            Table::open_distinct(from, file, ["user_id", "seq", "item_id", "domain"])?;
        (table, [user, seq, item, domain, seq])
    };
    let mut events = Vec::new();
    for row in 0.. {
        if !table.advance()? {
            break;
        }
        events.push(Event {
            row,
            user: table.number(user)?,
            item: table.number(item)?,
            live: table.choice(domain, [shops.live, shops.products])? == 0,
            day_s: if shops.dated { table.seconds(ts)? / 1000 } else { 0 },
            seq: table.number(seq)?,
            ts_ms: 0,
        });
    }
    events.sort_by_key(|event| (event.user, event.day_s, event.seq, event.row));
    let mut last = None;
    for event in &mut events {
        let second = match last {
            Some((user, day_s, second)) if (user, day_s) == (event.user, event.day_s) => second + 1,
            _ => 0,
        };
        last = Some((event.user, event.day_s, second));
        event.ts_ms = (event.day_s + second) * 1000;
    }
    events.sort_by_key(|event| (event.ts_ms, event.row));
    Ok(events)
}

/// The brand of items whose title is empty or not known.
const UNKNOWN_BRAND: u64 = 0;

fn read_brands(from: &Folder) -> Result<HashMap<u64, u64>, Error> {
    let (mut table, [item, title]) = Table::open(from, "items.csv.gz", ["item_id", "title"])?;
    let mut brands = HashMap::new();
    while table.advance()? {
        let id: u64 = table.number(item)?;
        if brands.insert(id, brand(table.text(title))).is_some() {
            return Err(table.wrong(item, format!("item {id} stands there twice")));
        }
    }
    Ok(brands)
}

/// The id of a title's first word, in small letters and without punctuation around it.
fn brand(title: &str) -> u64 {
    title
        .split_whitespace()
        .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase())
        .find(|word| !word.is_empty())
        .map_or(UNKNOWN_BRAND, |word| text_id(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brands_are_first_words() {
        assert_eq!(brand("\"Wilton, Tasty-Fill\" Pan"), brand("wilton cake"));
        assert_eq!(brand("OXO"), text_id("oxo"));
        assert_eq!(brand(" - "), UNKNOWN_BRAND);
        assert_eq!(brand(""), UNKNOWN_BRAND);
    }
}
