use proptest::prelude::*;

use super::*;
use crate::batch::{BatchBuilder, Lengths, Values};
use crate::no_row::NO_ROW_NUMBER;
use crate::normalize::{Moments, Normalization, Normalizer};
use crate::seed::Random;
use crate::toy::{self, Counts};

/// Every kind of field on either side.
const SCHEMA: &str = r#"
    vocabulary = [{ name = "id" }, { name = "price" }, { name = "tag" }]
    channel = [
        { name = "channel_id", kind = "categorical", vocabulary = "id" },
        { name = "price", kind = "bucket", vocabulary = "price", boundaries = [30.0, 60.0] },
        { name = "tags", kind = "multi", vocabulary = "tag" },
    ]
    channel_event = [{ name = "bought", kind = "categorical", vocabulary = "id" }]
    target = [{ name = "on_sale", kind = "multi", vocabulary = "id" }]
    product = [
        { name = "product_id", kind = "categorical", vocabulary = "id" },
        { name = "price", kind = "bucket", vocabulary = "price", boundaries = [30.0, 60.0] },
        { name = "labels", kind = "multi", vocabulary = "tag" },
        { name = "tag", kind = "categorical", vocabulary = "tag" },
    ]
    match = [
        { name = "a", of = "channel_id", history = "channels", field = "channel_id", last = 2 },
        { name = "b", of = "price", history = "products", field = "price", half_life_s = 200.0 },
        { name = "c", of = "tags", history = "products", field = "labels" },
        { name = "d", of = "on_sale", history = "channels", field = "bought" },
        { name = "e", of = "tags", history = "products", field = "tag", last = 3, half_life_s = 50.0 },
        { name = "f", of = "on_sale", history = "products", field = "product_id" },
    ]
"#;

fn values(feed: &Feed, place: (Group, &str), schema: &Schema, row: usize) -> Vec<u64> {
    let field = schema.fields(place.0).iter().position(|f| f.name == place.1).unwrap();
    match &feed.columns(place.0)[field] {
        Column::Ids(ids) => vec![ids[row]],
        Column::Numbers(x) if is_no_number(x[row]) => vec![],
        Column::Numbers(x) => vec![u64::from(x[row] >= 30.0) + u64::from(x[row] >= 60.0)],
        Column::Lists { ends, ids } => {
            let start = if row == 0 { 0 } else { ends[row - 1] as usize };
            ids[start..ends[row] as usize].to_vec()
        }
    }
}

/// The definition, candidate by candidate and event by event.
fn slow(feed: &Feed, schema: &Schema, of: &Match) -> Vec<f64> {
    let group = |groups: [Group; 2], name: &str| {
        groups.into_iter().find(|g| schema.fields(*g).iter().any(|f| f.name == name)).unwrap()
    };
    let from = group([Group::Candidate, Group::Target], &of.of);
    let to = group(of.history.groups(), &of.field);
    let ages = feed.ages(of.history);
    let first = ages.len() - ages.len().min(of.last.unwrap_or(1000));
    (0..feed.impressions())
        .map(|i| {
            let mut sum = 0.0;
            for (event, age) in ages.iter().enumerate().skip(first) {
                let theirs = values(feed, (to, &of.field), schema, event);
                let ours = values(feed, (from, &of.of), schema, i);
                if ours.iter().any(|x| *x != NO_ROW_ID && theirs.contains(x)) {
                    sum += of
                        .half_life_s
                        .map_or(1.0, |h| 0.5_f64.powf(f64::from(*age) / f64::from(h)));
                }
            }
            sum
        })
        .collect()
}

fn draw(schema: &Schema, random: &mut Random) -> Feed {
    let mut counts = || random.below(7);
    let counts = Counts { products: counts(), channels: counts(), candidates: 1 + random.below(4) };
    let mut feed = toy::draw(schema, counts, 4, random);
    // Some that have no row.
    let Column::Ids(ids) = &mut feed.candidates.channel[0] else { panic!("ids") };
    ids.iter_mut().step_by(3).for_each(|id| *id = NO_ROW_ID);
    for columns in [&mut feed.channels.entity, &mut feed.products.entity] {
        if let Column::Ids(ids) = &mut columns[0] {
            ids.iter_mut().step_by(3).for_each(|id| *id = NO_ROW_ID);
        }
        if let Column::Numbers(x) = &mut columns[1] {
            x.iter_mut().step_by(4).for_each(|x| *x = NO_ROW_NUMBER);
        }
    }
    feed
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn a_batch_holds_what_the_slow_count_gives(seed: u64, without_products: bool) {
        let (schema, mut random) = (Schema::parse(SCHEMA).unwrap(), Random::new(seed));
        let feeds: Vec<Feed> = (0..5).map(|_| draw(&schema, &mut random)).collect();
        let mut normalizer = Normalizer::new(&schema);
        feeds.iter().for_each(|feed| normalizer.add(feed));
        let moments = normalizer.finish();
        // What the model's own truncation leaves of a history does not matter, only whether it reads it at all.
        let lengths = Lengths { products: usize::from(!without_products), channels: 1 };
        let mut builder = BatchBuilder::new(&schema, &moments, lengths);
        feeds.iter().for_each(|feed| builder.push(feed).unwrap());
        let batch = builder.finish().unwrap();
        let columns = schema.fields(Group::Target).len();
        for (i, of) in schema.matches.iter().enumerate() {
            let Values::Numbers(found) = &batch.values(Group::Target)[columns + i] else {
                panic!("numbers")
            };
            let counts: Vec<f64> = feeds.iter().flat_map(|f| slow(f, &schema, of)).collect();
            let logs: Vec<f64> = counts.iter().map(|count| count.ln_1p()).collect();
            let mean = logs.iter().sum::<f64>() / logs.len() as f64;
            let var = logs.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / logs.len() as f64;
            let sd = if var.sqrt() > 1e-6 { var.sqrt() } else { 1.0 };
            prop_assert_eq!(found.len(), logs.len());
            let unread = of.history == History::Products && without_products;
            for (found, log) in found.iter().zip(&logs) {
                let expected = if unread { 0.0 } else { (log - mean) / sd };
                prop_assert!((f64::from(*found) - expected).abs() < 1e-4, "{}: {found} {expected}", of.name);
            }
        }
    }
}

#[test]
fn what_is_wrong_is_said() {
    let wrong = |text: &str, told: &str| {
        let text = format!("{}{text}]", SCHEMA.trim_end().strip_suffix(']').unwrap());
        let message = Schema::parse(&text).unwrap_err().to_string();
        assert!(message.contains(told) && message.contains("match.x"), "{message}");
    };
    let field = |of: &str, history: &str, field: &str, rest: &str| {
        format!(
            "{{ name = \"x\", of = \"{of}\", history = \"{history}\", field = \"{field}\"{rest} }}"
        )
    };
    wrong(
        &field("chanel_id", "channels", "channel_id", ""),
        "one of channel_id, price, tags, on_sale",
    );
    wrong(
        &field("channel_id", "products", "channel_id", ""),
        "one of product_id, price, labels, tag",
    );
    wrong(&field("channel_id", "products", "tag", ""), "different vocabularies");
    wrong(&field("price", "products", "price", ", last = 0"), "last");
    wrong(&field("price", "products", "price", ", half_life_s = -1.0"), "half_life_s");
    wrong(&field("price", "products", "price", ", half_life_s = nan"), "half_life_s");
    let twice = field("price", "products", "price", "").replace('x', "on_sale");
    let text = format!("{}{twice}]", SCHEMA.trim_end().strip_suffix(']').unwrap());
    let message = Schema::parse(&text).unwrap_err().to_string();
    assert!(message.contains("on_sale"), "{message}");
}

/// Feeds do not hold them: with and without, they are the same feeds.
#[test]
fn they_are_no_part_of_what_feeds_have_in_common() {
    let with = Schema::parse(SCHEMA).unwrap();
    let without = Schema { matches: Vec::new(), ..with.clone() };
    assert_eq!(with.fingerprint(), without.fingerprint());
    assert!(with.differences(&without).is_empty() && with != without);
    assert_eq!(Schema::parse(&with.to_toml()).unwrap(), with);
    assert_eq!(Moments::default(), Normalization::default().matching("a"));
}
