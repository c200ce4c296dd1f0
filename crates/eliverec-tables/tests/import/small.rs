//! Small tables written here, whose feeds are known by hand.

use std::collections::BTreeSet;
use std::io::Write;

use eliverec_core::Feed;
use eliverec_core::feed::Column;
use eliverec_core::id::text_id;
use eliverec_core::schema::Group;
use eliverec_tables::events::Store;
use eliverec_tables::import::Options;
use eliverec_tables::{FeedDirectory, Split};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::{assert_splits_follow_in_time, column, ids, import, importer, numbers, of_split};

/// A folder with gzipped tables.
pub(crate) fn folder(tables: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in tables {
        let file = fs_err::File::create(folder.path().join(name)).unwrap();
        let mut encoder = GzEncoder::new(file, Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap();
    }
    folder
}

pub(crate) const EBNERD: [(&str, &str); 4] = [
    ("items.csv.gz", "article_id,premium,article_length\n1,0,900\n2,1,\n3,0,1500\n"),
    (
        "requests.csv.gz",
        "request_id,split,impression_id,user_id,session_id,ts_ms,device_type,is_sso_user,is_subscriber,\
         page_article_id,page_read_time_s,page_scroll_pct,gender,age,postcode,click_read_time_s,click_scroll_pct\n\
         0,train,9,7,1,1000000000,2,0,1,,1,,,,,30,80\n\
         1,train,9,8,1,1000000000,1,1,0,,1,,,,,,\n\
         2,train,9,7,1,1000500000,2,0,1,,1,,,,,12,20\n\
         3,validation,9,7,2,1090000000,2,0,1,,1,,,,,5,100\n\
         4,train,9,8,2,1080000000,2,0,1,,1,,,,,5,100\n\
         5,train,9,8,2,1080000000,2,0,1,,1,,,,,5,100\n",
    ),
    (
        "impressions.csv.gz",
        "request_id,list_pos,article_id,click\n\
         0,0,1,0\n0,1,2,1\n1,0,1,1\n1,1,3,1\n2,0,3,1\n2,1,1,0\n2,2,2,0\n3,0,1,0\n3,1,2,1\n4,0,3,1\n4,1,1,0\n",
    ),
    (
        "history_events.csv.gz",
        "user_id,ts_ms,article_id,read_time_s,scroll_pct\n\
         7,900000000,1,10,50\n7,999999000,77,400,50\n7,1000000000,3,1,1\n7,1000020000,2,31,80\n8,1000500000,1,,\n",
    ),
];

#[test]
fn ebnerd_feeds_hold_what_was_known_before() {
    let folder = folder(&EBNERD);
    let (imported, feeds) = import("ebnerd", folder.path(), 1);
    let schema = importer("ebnerd").schema();
    assert_eq!(imported.rows_in, 6);
    assert_eq!(imported.feeds, [3, 1, 1]);
    assert_eq!(imported.dropped.values().sum::<u64>(), 1, "request 5 showed nothing");
    let remarks = [
        ("clicks that history_events.csv.gz tells of, too, taken once", 2),
        ("history events on articles that items.csv.gz lacks, taken as free", 1),
    ];
    assert_eq!(imported.remarks, remarks.map(|(what, count)| (what.into(), count)).into());
    let feed = |id: u64| &feeds.iter().find(|(_, feed)| feed.request_id == id).unwrap().1;

    // The event of the same millisecond is not known; the stay of the one before is known for one second only.
    let first = feed(0);
    assert_eq!(ids(&schema, first, Group::Channel, "article_id"), [1, 77]);
    assert_eq!(numbers(&schema, first, Group::Channel, "article_length"), [900.0, -1.0]);
    assert_eq!(numbers(&schema, first, Group::ChannelEvent, "stay"), [10.0, 1.0]);
    assert_eq!(first.channels.age_s, [100_000.0, 1.0]);
    assert!(first.products.age_s.is_empty());
    assert_eq!(first.candidates.labels.as_ref().unwrap().tasks[0], [None, Some(30.0)]);
    assert_eq!(first.candidates.labels.as_ref().unwrap().tasks[1], [None, Some(1.0)]);
    assert_eq!(ids(&schema, first, Group::Context, "weekday"), [0], "1970-01-12 was a Monday");
    // Seen first in the history of the same user; nothing of the other request at the same moment.
    let age = numbers(&schema, first, Group::Target, "age_since_first_seen_s");
    assert_eq!(age, [100_000.0, 0.0]);
    assert_eq!(numbers(&schema, first, Group::Target, "impressions_60m"), [0.0, 0.0]);

    // Two clicks: whose the reading time is, is open.
    assert_eq!(feed(1).candidates.labels.as_ref().unwrap().tasks[0], [None, None]);

    // The click of request 0 is told by the history, 20 s later: once, not twice.
    let second = feed(2);
    assert_eq!(ids(&schema, second, Group::Product, "article_id"), [2]);
    assert_eq!(second.products.age_s, [480.0]);
    assert_eq!(ids(&schema, second, Group::Channel, "article_id"), [1, 77, 3]);
    let target = |name| numbers(&schema, second, Group::Target, name);
    assert_eq!(target("clicks_10m"), [1.0, 1.0, 1.0]);
    assert_eq!(target("impressions_60m"), [1.0, 2.0, 1.0]);
    assert_eq!(target("click_rate_60m"), [2.0 / 21.0, 2.0 / 22.0, 2.0 / 21.0]);
    assert_eq!(target("age_since_first_seen_s"), [500.0, 100_500.0, 500.0]);

    // Of user 8's clicks of request 1 the history tells the one on article 1, 500 s later; it has no reading time.
    let validation = feed(4);
    assert_eq!(ids(&schema, validation, Group::Channel, "article_id"), [3, 1]);
    assert_eq!(numbers(&schema, validation, Group::ChannelEvent, "stay"), [-1.0, -1.0]);
    assert_eq!(of_split(&feeds, Split::Validation).next().unwrap().request_id, 4);
    // Request 2's click on article 3 lies 500 s after the history's own: another click.
    assert_eq!(ids(&schema, feed(3), Group::Channel, "article_id"), [1, 77, 3, 3]);
}

pub(crate) const DRIVER: &str = "user_id,room_id,ts_s,split\n\
    0,0,0,train\n1,1,60,train\n1,1,60,train\n2,0,120,train\n1,0,180,train\n0,1,430000,train\n\
    1,0,430060,train\n0,0,430120,train\n2,0,600000,test\n3,1,600060,test\n2,1,600120,test\n";

#[test]
fn driver_candidates_are_rooms_known_to_be_live() {
    let folder = folder(&[("events.csv.gz", DRIVER)]);
    let (imported, feeds) = import("driver-live", folder.path(), 1);
    let schema = importer("driver-live").schema();
    assert_eq!(imported.rows_in, 11);
    let dropped: Vec<u64> = imported.dropped.values().copied().collect();
    assert_eq!(dropped, [6, 1], "six into rooms where nobody was, one duplicate: {imported:?}");
    assert_eq!(imported.feeds, [2, 1, 1]);
    let feed = &feeds.iter().find(|(_, feed)| feed.ts_ms == 180_000).unwrap().1;
    assert_eq!(ids(&schema, feed, Group::Channel, "room_id"), [1]);
    let rooms = ids(&schema, feed, Group::Candidate, "room_id");
    let zero = rooms.iter().position(|room| *room == 0).unwrap();
    assert_eq!(rooms.len(), 2);
    assert!(
        feed.candidates.labels.as_ref().unwrap().watched[zero]
            && !feed.candidates.labels.as_ref().unwrap().watched[1 - zero]
    );
    let target = |name| numbers(&schema, feed, Group::Target, name);
    assert_eq!((target("minutes_live")[zero], target("minutes_live")[1 - zero]), (3.0, 2.0));
    assert_eq!((target("entries_5m")[zero], target("entries_5m")[1 - zero]), (2.0, 1.0));
}

pub(crate) const TRIVAGO: [(&str, &str); 3] = [
    (
        "requests.csv.gz",
        "request_id,row,user_id,session_id,ts_s,step,platform,city,device,current_filters,clicked_item_id,click_in_list\n\
         0,2,ann,s,1541599553,3,FR,\"Marseille, France\",tablet,,5,1\n\
         1,4,ann,s,1541635200,5,FR,\"Marseille, France\",tablet,Pool|5 Star,6,1\n\
         2,9,bob,t,1541678400,5,FR,\"Marseille, France\",tablet,Pool,99,0\n",
    ),
    (
        "impressions.csv.gz",
        "request_id,position,item_id,price,click\n\
         0,1,4,71,0\n0,2,5,60,1\n0,3,6,71,0\n1,1,6,20,1\n1,2,4,30,0\n2,1,4,30,0\n2,2,5,31,0\n",
    ),
    (
        "events.csv.gz",
        "row,user_id,session_id,ts_s,step,action_type,reference\n\
         0,ann,s,1541599500,1,interaction item image,5\n1,ann,s,1541599510,2,filter selection,Pool\n\
         1,ann,s,1541599553,2,interaction item image,4\n2,ann,s,1541599553,2,interaction item info,unknown\n3,ann,s,1541600000,4,interaction item info,6\n",
    ),
];

#[test]
fn trivago_lists_keep_position_and_price() {
    let folder = folder(&TRIVAGO);
    let (imported, feeds) = import("trivago", folder.path(), 1);
    let schema = importer("trivago").schema();
    assert_eq!((imported.rows_in, imported.feeds), (3, [1, 1, 1]));
    let unused = [
        ("events that concern no hotel (filters, sort orders, places)", 1),
        ("item actions on a hotel that the source does not know", 1),
    ];
    let unused = unused.map(|(reason, count)| (reason.to_owned(), count)).into();
    assert_eq!((&imported.unused, &imported.read.left_out), (&unused, &unused));
    assert_eq!(imported.remarks.values().sum::<u64>(), 1, "{:?}", imported.remarks);
    let read: Vec<(&str, u64)> =
        imported.read.parts.iter().map(|part| (part.name.as_str(), part.rows)).collect();
    let rows = |name: &str| {
        let (_, text) = TRIVAGO.iter().find(|(of, _)| *of == name).unwrap();
        text.lines().count() as u64 - 1
    };
    let names = ["requests.csv.gz", "impressions.csv.gz", "events.csv.gz"];
    assert_eq!(read, names.map(|name| (name, rows(name))));
    let (first, second) = (&feeds[0].1, &feeds[1].1);
    assert_eq!(ids(&schema, first, Group::Product, "hotel_id"), [5], "not of the same second");
    assert_eq!(ids(&schema, first, Group::Target, "price_rank"), [1, 0, 1]);
    assert_eq!(first.candidates.position, [Some(0), Some(1), Some(2)]);
    assert_eq!(first.user_id, text_id("ann"));
    assert_eq!(ids(&schema, second, Group::Channel, "hotel_id"), [5]);
    assert_eq!(ids(&schema, second, Group::Product, "hotel_id"), [5, 4, 6]);
    let filters = [text_id("Pool"), text_id("5 Star")];
    let expected = Column::Lists { ends: vec![2], ids: filters.into() };
    assert_eq!(*column(&schema, second, Group::Context, "filters"), expected);
    assert!(feeds[2].1.candidates.labels.as_ref().unwrap().watched.iter().all(|watched| !watched));
}

/// What gives no event is left out of a log as of feeds: counted, with the reason.
#[test]
fn a_log_tells_what_it_leaves_out() {
    let driver = [("events.csv.gz", DRIVER)];
    for (name, tables, reason, count) in [
        ("driver-live", &driver[..], "exact duplicate of an earlier row", 1),
        ("ebnerd", &EBNERD[..], "request without a row in impressions.csv.gz", 1),
    ] {
        let folder = folder(tables);
        fs_err::write(folder.path().join("README.md"), "").unwrap();
        let out = tempfile::tempdir().unwrap();
        let log = Store::open(out.path().join("log")).unwrap();
        let made = importer(name).run_log(folder.path(), &log, 1).unwrap();
        let expected = [(reason.to_owned(), count)].into();
        assert_eq!((&made.dropped, &made.read.left_out), (&expected, &expected), "{name}");
        assert_eq!(made.read.skipped, [folder.path().join("README.md")], "{name}");
        let (imported, _) = import(name, folder.path(), 1);
        assert_eq!(imported.read.left_out, imported.dropped, "{name}");
        assert_eq!(imported.dropped[reason], count, "{name}");
    }
}

/// A file that somebody put together of two that overlap: a row is taken once, and those left out are counted.
#[test]
fn rows_that_stand_twice_are_taken_once() {
    let shops = shop_events("game", "toy");
    let amazon = [("events.csv.gz", shops.as_str())];
    for (name, tables, table) in [
        ("ebnerd", &EBNERD[..], "impressions.csv.gz"),
        ("ebnerd", &EBNERD[..], "history_events.csv.gz"),
        ("trivago", &TRIVAGO[..], "impressions.csv.gz"),
        ("trivago", &TRIVAGO[..], "events.csv.gz"),
        ("amazon-toy-game-seq", &amazon[..], "events.csv.gz"),
    ] {
        let longer: Vec<(&str, String)> = tables
            .iter()
            .map(|(of, text)| {
                let twice = text.lines().skip(1).take(2).map(|line| format!("{line}\n"));
                let more = if *of == table { twice.collect() } else { String::new() };
                (*of, format!("{text}{more}"))
            })
            .collect();
        let longer: Vec<(&str, &str)> =
            longer.iter().map(|(of, text)| (*of, text.as_str())).collect();
        let (once, feeds) = import(name, folder(tables).path(), 1);
        let (twice, same) = import(name, folder(&longer).path(), 1);
        assert_eq!(feeds, same, "{name} {table}");
        assert_eq!(twice.read.rows, once.read.rows + 2, "{name} {table}");
        let mut left_out = once.read.left_out;
        left_out.insert("exact duplicate of an earlier row".into(), 2);
        assert_eq!(twice.read.left_out, left_out, "{name} {table}");
    }
}

fn shop_events(live: &str, products: &str) -> String {
    let mut text = String::from("user_id,part,seq,item_id,domain\n");
    for user in 0..6_u64 {
        for seq in 0..5_u64 {
            // Users 4 and 5 never buy a product.
            let (item, shop) = if seq % 2 == 1 && user < 4 {
                (seq + user, products)
            } else {
                (100 + (user * 5 + seq * 3) % 14, live)
            };
            text += &format!("{user},x,{seq},{item},{shop}\n");
        }
    }
    text
}

const TITLES: &str = "item_id,domain,asin,title\n1,food,A,\"Acme, Jam\"\n100,kitchen,B,ACME pot\n";

#[test]
fn last_events_of_users_of_both_shops_are_held_out() {
    for (name, live, products) in
        [("amazon-food-kitchen-seq", "kitchen", "food"), ("amazon-toy-game-seq", "game", "toy")]
    {
        let events = shop_events(live, products);
        let folder = folder(&[("events.csv.gz", &events), ("items.csv.gz", TITLES)]);
        let (imported, feeds) = import(name, folder.path(), 1);
        let schema = importer(name).schema();
        // Four users with three live events, the first without a past; two with five of them.
        assert_eq!((imported.rows_in, imported.rows_dropped()), (22, 6), "{name}");
        assert_eq!(imported.feeds, [8, 4, 4], "{name}");
        for (split, feed) in &feeds {
            assert_eq!(feed.impressions(), 8);
            let watched = &feed.candidates.labels.as_ref().unwrap().watched;
            assert_eq!(watched.iter().filter(|watched| **watched).count(), 1);
            if *split == Split::Test {
                assert_eq!((feed.ts_ms, feed.user_id < 4), (4_000, true));
                assert_eq!(feed.products.age_s, [3.0, 1.0]);
                assert_eq!(numbers(&schema, feed, Group::User, "activity"), [4.0]);
            }
        }
        let positions: BTreeSet<usize> = feeds
            .iter()
            .map(|(_, f)| {
                f.candidates.labels.as_ref().unwrap().watched.iter().position(|w| *w).unwrap()
            })
            .collect();
        assert!(positions.len() > 3, "positives stand anywhere: {positions:?}");
        assert_eq!(feeds, import(name, folder.path(), 1).1);
        assert_ne!(feeds, import(name, folder.path(), 2).1);
    }
}

#[test]
fn brands_join_the_two_shops() {
    let events = shop_events("kitchen", "food");
    let folder = folder(&[("events.csv.gz", &events), ("items.csv.gz", TITLES)]);
    let (imported, feeds) = import("amazon-food-kitchen-seq", folder.path(), 1);
    let schema = importer("amazon-food-kitchen-seq").schema();
    let lacking = "events on items that items.csv.gz lacks, of unknown brand";
    // Of 30 events 3 are on the two items that have a title.
    assert_eq!(imported.remarks[lacking], 27);
    let mut met = 0;
    for (_, feed) in &feeds {
        for (group, id, branded) in
            [(Group::Product, "product_id", 1), (Group::Candidate, "channel_id", 100)]
        {
            let items = ids(&schema, feed, group, id);
            for (item, brand) in items.iter().zip(ids(&schema, feed, group, "brand")) {
                assert_eq!(*brand, if *item == branded { text_id("acme") } else { 0 });
                met += u32::from(*item == branded);
            }
        }
    }
    assert!(met > 1);
}

#[test]
fn the_dated_set_splits_by_day_and_orders_within_it() {
    let day = 86_400;
    let test = 1_399_161_600;
    let mut events = String::from("user_id,seq,item_id,domain,ts_s,c2dsr_part\n");
    for (seq, (ts, shop)) in [
        (test - 9 * day, "food"),
        (test - 9 * day, "kitchen"),
        (test - 2 * day, "kitchen"),
        (test - day, "kitchen"),
        (test, "kitchen"),
        (test, "food"),
        (test, "kitchen"),
    ]
    .into_iter()
    .enumerate()
    {
        events += &format!("3,{seq},{},{shop},{ts},val\n", 50 + seq);
    }
    let folder = folder(&[("events.csv.gz", &events), ("items.csv.gz", TITLES)]);
    let (imported, feeds) = import("amazon-food-kitchen", folder.path(), 1);
    assert_eq!((imported.rows_in, imported.rows_dropped()), (5, 0));
    assert_eq!(imported.feeds, [1, 2, 2], "as many for validation as for test");
    assert_splits_follow_in_time(&feeds);
    let last = &feeds.last().unwrap().1;
    assert_eq!(last.products.age_s.last(), Some(&1.0), "the same day, one place earlier");
    assert_eq!(last.impressions(), 1, "the user has all other items: no negative is left");
}

#[test]
fn feeds_keep_the_newest_of_a_history() {
    let from = folder(&TRIVAGO);
    let feeds = |history: usize| {
        let mut feeds = Vec::new();
        let take = &mut |_, feed: &Feed| {
            feeds.push(feed.clone());
            Ok(())
        };
        importer("trivago").feeds(from.path(), Options { history, seed: 1 }, take).unwrap();
        feeds
    };
    let (all, one) = (feeds(50), feeds(1));
    assert_eq!(all.len(), one.len());
    assert!(all.iter().any(|feed| feed.products.age_s.len() > 1), "there is something to cut");
    for (all, one) in all.iter().zip(&one) {
        for (all, one) in [(&all.products, &one.products), (&all.channels, &one.channels)] {
            assert_eq!(one.age_s.as_slice(), &all.age_s[all.age_s.len().saturating_sub(1)..]);
        }
    }
}

#[test]
fn a_run_writes_what_feeds_hands_over() {
    let from = folder(&TRIVAGO);
    let out = tempfile::tempdir().unwrap();
    let out = out.path().join("trivago");
    let importer = importer("trivago");
    let imported = importer.run(from.path(), &out, Options::default()).unwrap();
    let (counted, feeds) = import("trivago", from.path(), 1);
    assert_eq!(imported, counted);
    let directory = FeedDirectory::open(&out).unwrap();
    assert_eq!(*directory.schema(), importer.schema());
    for split in Split::ALL {
        let read: Vec<Feed> = directory.read(split).unwrap().map(Result::unwrap).collect();
        assert_eq!(read, of_split(&feeds, split).cloned().collect::<Vec<_>>());
    }
}
