//! The importers: on small tables written here, whose feeds are known by hand, and on the real sets where they are
//! present (`ELIVEREC_DATA`, or `shared/data` beside the project; otherwise those tests skip with a message).
#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(clippy::format_push_string, reason = "tables of a few rows")]

mod errors;
mod real;
mod small;

use std::collections::HashSet;
use std::path::Path;

use eliverec_core::feed::Column;
use eliverec_core::schema::Group;
use eliverec_core::{Feed, FeedColumns, Schema};
use eliverec_tables::Split;
use eliverec_tables::import::{Imported, Importer, Options, find};

fn importer(name: &str) -> &'static Importer {
    find(name).unwrap_or_else(|| panic!("there is no importer {name}"))
}

/// Feeds of an importer, each checked against the contract, with what the importer counted.
fn import(name: &str, from: &Path, seed: u64) -> (Imported, Vec<(Split, Feed)>) {
    let importer = importer(name);
    let schema = importer.schema();
    let mut feeds = Vec::new();
    let imported = importer
        .feeds(from, Options { seed, ..Options::default() }, &mut |split, feed| {
            FeedColumns::empty(&schema).push(&schema, feed).unwrap();
            feeds.push((split, feed.clone()));
            Ok(())
        })
        .unwrap();
    assert_eq!(imported.rows_in, imported.rows_out() + imported.rows_dropped());
    for (split, count) in Split::ALL.into_iter().zip(imported.feeds) {
        assert_eq!(feeds.iter().filter(|(of, _)| *of == split).count() as u64, count, "{split}");
    }
    let ids: HashSet<u64> = feeds.iter().map(|(_, feed)| feed.request_id).collect();
    assert_eq!(ids.len(), feeds.len(), "request ids are unique");
    for (_, feed) in &feeds {
        for events in [&feed.products, &feed.channels] {
            assert!(events.age_s.len() <= Options::default().history);
            assert!(events.age_s.iter().all(|age_s| *age_s > 0.0), "strictly before the request");
            assert!(events.age_s.windows(2).all(|pair| pair[0] >= pair[1]), "oldest first");
        }
    }
    (imported, feeds)
}

fn column<'a>(schema: &Schema, feed: &'a Feed, group: Group, name: &str) -> &'a Column {
    let place = schema.fields(group).iter().position(|field| field.name == name);
    &feed.columns(group)[place.unwrap_or_else(|| panic!("no field {name}"))]
}

fn ids<'a>(schema: &Schema, feed: &'a Feed, group: Group, name: &str) -> &'a [u64] {
    match column(schema, feed, group, name) {
        Column::Ids(ids) => ids,
        other => panic!("{name}: {other:?}"),
    }
}

fn numbers<'a>(schema: &Schema, feed: &'a Feed, group: Group, name: &str) -> &'a [f32] {
    match column(schema, feed, group, name) {
        Column::Numbers(numbers) => numbers,
        other => panic!("{name}: {other:?}"),
    }
}

/// AUC within each feed and its mean over feeds, weighted by impressions or not; feeds of one class are left out.
fn gauc_feed<'a>(
    feeds: impl IntoIterator<Item = &'a Feed>,
    weighted: bool,
    mut score: impl FnMut(&Feed) -> Vec<f64>,
) -> f64 {
    let (mut sum, mut weight) = (0.0, 0.0);
    for feed in feeds {
        let (scores, watched) = (score(feed), &feed.candidates.labels.as_ref().unwrap().watched);
        let of = |class: bool| {
            scores.iter().zip(watched).filter(move |(_, w)| **w == class).map(|(score, _)| *score)
        };
        let pairs = of(true).count() * of(false).count();
        if pairs == 0 {
            continue;
        }
        let win = |(up, down): (f64, f64)| f64::from(up > down) + f64::from(up == down) / 2.0;
        let wins: f64 =
            of(true).flat_map(|up| of(false).map(move |down| (up, down))).map(win).sum();
        let impressions = if weighted { watched.len() as f64 } else { 1.0 };
        sum += wins / pairs as f64 * impressions;
        weight += impressions;
    }
    sum / weight
}

fn of_split(feeds: &[(Split, Feed)], split: Split) -> impl Iterator<Item = &Feed> {
    feeds.iter().filter(move |(of, _)| *of == split).map(|(_, feed)| feed)
}

fn assert_splits_follow_in_time(feeds: &[(Split, Feed)]) {
    let ends = |split| {
        let times: Vec<i64> = of_split(feeds, split).map(|feed| feed.ts_ms).collect();
        (*times.iter().min().unwrap(), *times.iter().max().unwrap())
    };
    assert!(ends(Split::Train).1 < ends(Split::Validation).0);
    assert!(ends(Split::Validation).1 < ends(Split::Test).0);
}
