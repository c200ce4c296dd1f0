//! Entities that no table has: counted and told, and their fields never those of another entity.

use eliverec_core::feed::Column;
use eliverec_core::no_row::{NO_ROW_ID, NO_ROW_NUMBER};
use eliverec_core::schema::Group;
use eliverec_core::{Event, Feed};
use eliverec_samples::replay;
use eliverec_tables::check::Level;
use eliverec_tables::{FeedDirectory, Split};

use crate::logs::{CHANNELS, PRODUCTS, Shape, Site, USERS, config, events};

const SHAPE: Shape = Shape { requests: 200, events: 600, days: 3, grain_ms: 1_000 };

type IdOf = fn(&Event) -> Option<u64>;

#[test]
fn events_without_a_row_are_counted_by_table() {
    let log = events(SHAPE, 4);
    let site = Site::new(&log);
    let findings = site.run(&config()).checked.findings;
    let ids: [(&str, u64, IdOf); 3] = [
        ("user", USERS, |event| event.user_id),
        ("product", PRODUCTS, |event| event.product_id),
        ("channel", CHANNELS, |event| event.channel_id),
    ];
    assert_eq!(findings.len(), 3, "{findings:?}");
    for (name, last, id_of) in ids {
        let with = log.iter().filter_map(id_of);
        let without = with.clone().filter(|id| *id == last).count() as u64;
        let place = format!("{name}s.parquet");
        let found = findings.iter().find(|finding| finding.place == place).unwrap();
        assert_eq!((found.count, found.of), (without, with.count() as u64), "{found:?}");
        assert_eq!((found.check, found.level), ("ids_without_row", Level::Warning));
        let says = format!("name {name}s without a row, such as {last}");
        assert!(found.says.ends_with(&says), "{found}");
    }
    // Whatever finds it: the online driver's log and the rerun that keeps all days.
    let replayed = replay(&site.logs(), &site.feeds(), false, |_| ()).unwrap();
    assert_eq!((replayed.differing, &replayed.checked.findings[..3]), (0, &findings[..]));
    assert_eq!(site.run(&config()).checked.findings, findings);
}

#[test]
fn their_fields_are_no_other_entitys() {
    let site = Site::new(&events(SHAPE, 5));
    site.run(&config());
    let directory = FeedDirectory::open(site.feeds()).unwrap();
    let mut seen = [0; 3];
    for feed in Split::ALL.into_iter().flat_map(|split| directory.read(split).unwrap()) {
        let feed: Feed = feed.unwrap();
        let [ids, brands, prices] = &feed.products.entity[..] else { panic!("three fields") };
        let (Column::Ids(ids), Column::Ids(brands), Column::Numbers(prices)) =
            (ids, brands, prices)
        else {
            panic!("two of ids, one of numbers")
        };
        for ((id, brand), price) in ids.iter().zip(brands).zip(prices) {
            let is_last = *id == PRODUCTS;
            assert_eq!((*brand == NO_ROW_ID, *price == NO_ROW_NUMBER), (is_last, is_last), "{id}");
            seen[0] += u64::from(is_last);
        }
        for group in [Group::Channel, Group::Candidate] {
            let [Column::Ids(ids), Column::Ids(anchors)] = &feed.columns(group)[..2] else {
                panic!("two of ids")
            };
            for (id, anchor) in ids.iter().zip(anchors) {
                assert_eq!(*anchor == NO_ROW_ID, *id == CHANNELS, "{id}");
                seen[1] += u64::from(*anchor == NO_ROW_ID);
            }
        }
        // The product on sale, and its brand: neither if there is none, its brand alone if it has no row.
        let [Column::Ids(brands), Column::Ids(products)] = &feed.columns(Group::Target)[..2] else {
            panic!("two of ids")
        };
        for (brand, product) in brands.iter().zip(products) {
            let no_brand = [NO_ROW_ID, PRODUCTS].contains(product);
            assert_eq!(*brand == NO_ROW_ID, no_brand, "{product}");
            assert_ne!(*product, 0);
            seen[2] += u64::from(*product == NO_ROW_ID);
        }
    }
    assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
}
