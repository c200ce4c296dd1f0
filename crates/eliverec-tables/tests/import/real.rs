//! The real sets: counts and model-free scores must be those that their READMEs state.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Write;
use std::path::{Path, PathBuf};

use eliverec_core::Feed;
use eliverec_core::schema::Group;
use eliverec_tables::Split;

use super::{assert_splits_follow_in_time, gauc_feed, ids, import, importer, numbers, of_split};

/// The folder of a real set; none, with a message, where the sets are not present. Where they are said to be, each has to be there.
fn data(name: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let named = std::env::var_os("ELIVEREC_DATA").map(PathBuf::from);
    let folder = named.clone().unwrap_or_else(beside).join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    let folder = folder.display();
    assert!(named.is_none(), "ELIVEREC_DATA: {folder} is not there");
    // Not by a macro, whose text the harness would keep to itself.
    let told = writeln!(
        std::io::stderr(),
        "skipped: {folder} is not here; set ELIVEREC_DATA to the data folder"
    );
    told.unwrap();
    None
}

fn assert_near(what: &str, value: f64, expected: f64, tolerance: f64) {
    assert!((value - expected).abs() <= tolerance, "{what}: {value:.4}, expected {expected}");
}

#[test]
fn ebnerd_has_the_counts_and_scores_of_its_readme() {
    let Some(folder) = data("ebnerd-demo") else { return };
    let (imported, feeds) = import("ebnerd", &folder, 1);
    let schema = importer("ebnerd").schema();
    assert_eq!((imported.rows_in, imported.rows_dropped()), (50_080, 0));
    assert_eq!(imported.feeds, [21_318, 3_406, 25_356]);
    assert_splits_follow_in_time(&feeds);
    let test = || of_split(&feeds, Split::Test);
    let newest = gauc_feed(test(), false, |feed| {
        ids(&schema, feed, Group::Candidate, "article_id").iter().map(|id| *id as f64).collect()
    });
    // The README's mean gives each feed one vote; the project's gAUC weighs feeds by impressions.
    assert_near("newest article first", newest, 0.562, 0.001);
    let field = |name| {
        gauc_feed(test(), true, |feed| {
            let numbers = numbers(&schema, feed, Group::Target, name);
            numbers.iter().map(|x| f64::from(*x)).collect()
        })
    };
    assert_near("clicks in the last hour", field("clicks_60m"), 0.620, 0.001);
    // The strongest score without a model: a model has to be above it.
    assert_near("click rate of the last hour", field("click_rate_60m"), 0.655, 0.001);
    let impressions: usize = feeds.iter().map(|(_, feed)| feed.impressions()).sum();
    assert_eq!(impressions, 583_054);
}

#[test]
fn driver_visited_before_scores_as_in_its_readme() {
    let Some(folder) = data("driver-live") else { return };
    let (imported, feeds) = import("driver-live", &folder, 1);
    let schema = importer("driver-live").schema();
    assert_eq!(imported.rows_in, 87_906);
    assert_eq!(imported.dropped["exact duplicate of an earlier row"], 8_334);
    assert_splits_follow_in_time(&feeds);
    for (_, feed) in &feeds {
        assert!((2..=8).contains(&feed.impressions()));
        let entries = numbers(&schema, feed, Group::Target, "entries_30m");
        assert!(entries.iter().all(|n| *n >= 1.0), "the positive must not stand out");
    }
    let visited = gauc_feed(of_split(&feeds, Split::Test), true, |feed| {
        let rooms = ids(&schema, feed, Group::Channel, "room_id");
        let shown = ids(&schema, feed, Group::Candidate, "room_id").iter();
        shown.map(|room| f64::from(u8::from(rooms.contains(room)))).collect()
    });
    assert_near("visited before", visited, 0.73, 0.02);
    assert_eq!(feeds, import("driver-live", &folder, 1).1);
}

#[test]
fn trivago_position_and_price_score_as_in_its_readme() {
    let Some(folder) = data("trivago-2019-sample") else { return };
    let (imported, feeds) = import("trivago", &folder, 1);
    let schema = importer("trivago").schema();
    assert_eq!((imported.rows_in, imported.rows_dropped()), (13_597, 0));
    assert_splits_follow_in_time(&feeds);
    let all = || feeds.iter().map(|(_, feed)| feed);
    let position = gauc_feed(all(), false, |feed| {
        feed.candidates.position.iter().map(|p| -f64::from(p.unwrap())).collect()
    });
    assert_near("position", position, 0.751, 0.002);
    let cheapest = gauc_feed(all(), false, |feed| {
        let ranks = ids(&schema, feed, Group::Target, "price_rank");
        ranks.iter().map(|rank| -(*rank as f64)).collect()
    });
    assert_near("cheapest first", cheapest, 0.591, 0.002);
}

/// gAUC on the test of how often an item was the positive before (train and validation).
fn popularity(name: &str, feeds: &[(Split, Feed)]) -> f64 {
    let schema = importer(name).schema();
    let mut counts: HashMap<u64, u32> = HashMap::new();
    for (split, feed) in feeds {
        let items = ids(&schema, feed, Group::Candidate, "channel_id");
        let positive =
            feed.candidates.labels.as_ref().unwrap().watched.iter().position(|w| *w).unwrap();
        if *split != Split::Test {
            *counts.entry(items[positive]).or_default() += 1;
        }
    }
    gauc_feed(of_split(feeds, Split::Test), true, |feed| {
        let items = ids(&schema, feed, Group::Candidate, "channel_id").iter();
        items.map(|item| f64::from(counts.get(item).copied().unwrap_or(0))).collect()
    })
}

/// Lists of 8 with one positive; no negative is ever an item of the user.
fn assert_sampled(name: &str, feeds: &[(Split, Feed)]) {
    let schema = importer(name).schema();
    let mut owned: BTreeMap<u64, HashSet<u64>> = BTreeMap::new();
    for (_, feed) in feeds {
        let positive =
            feed.candidates.labels.as_ref().unwrap().watched.iter().position(|w| *w).unwrap();
        let items = ids(&schema, feed, Group::Candidate, "channel_id");
        owned.entry(feed.user_id).or_default().insert(items[positive]);
    }
    for (_, feed) in feeds {
        let items = ids(&schema, feed, Group::Candidate, "channel_id");
        assert_eq!(items.iter().collect::<HashSet<_>>().len(), 8);
        let own = items.iter().filter(|item| owned[&feed.user_id].contains(item)).count();
        assert_eq!(own, 1);
    }
}

#[test]
fn food_kitchen_splits_by_time() {
    let Some(folder) = data("amazon-food-kitchen") else { return };
    let (imported, feeds) = import("amazon-food-kitchen", &folder, 1);
    assert_eq!(imported.rows_in, 86_392);
    assert_splits_follow_in_time(&feeds);
    assert_sampled("amazon-food-kitchen", &feeds);
    let [_, validation, test] = imported.feeds.map(|n| n as f64);
    assert!((validation / test - 1.0).abs() < 0.1, "{:?}", imported.feeds);
}

#[test]
fn food_kitchen_seq_popularity_scores_as_in_its_readme() {
    let Some(folder) = data("amazon-food-kitchen-seq") else { return };
    let name = "amazon-food-kitchen-seq";
    let (imported, feeds) = import(name, &folder, 1);
    assert_eq!(imported.rows_in, 337_811);
    assert!((9_000..=9_398).contains(&imported.feeds[2]), "{imported:?}");
    assert_sampled(name, &feeds);
    assert_near("popularity", popularity(name, &feeds), 0.722, 0.015);
}

#[test]
fn toy_game_seq_popularity_scores_as_in_its_readme() {
    let Some(folder) = data("amazon-toy-game-seq") else { return };
    let name = "amazon-toy-game-seq";
    let (imported, feeds) = import(name, &folder, 1);
    assert_eq!(imported.rows_in, 82_871);
    assert_sampled(name, &feeds);
    assert_near("popularity", popularity(name, &feeds), 0.712, 0.015);
    assert_eq!(feeds, import(name, &folder, 1).1);
}
