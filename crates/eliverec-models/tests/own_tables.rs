//! What models make of tables of their own, against the equations in loops: WDL's wide part and CAN's co-action.

#![expect(clippy::unwrap_used, reason = "a fixture that fails fails its test")]

use std::ops::Range;

use burn::tensor::{Device, Tensor, TensorData};
use eliverec_core::batch::{Batch, Values};
use eliverec_core::feed::Column;
use eliverec_core::no_row::NO_ROW_ID;
use eliverec_core::schema::Group;
use eliverec_core::seed::{Random, stream};
use eliverec_core::toy;
use eliverec_core::unique::UniqueIds;
use eliverec_models::registry::ModelConfig;
use eliverec_models::trace::{Recorded, Trace};
use eliverec_models::{Model, ModelSettings, parameters};

/// A table's row of an id.
fn row(table: &str, id: u64, width: usize) -> Vec<f32> {
    let mut random = Random::new(stream(id, table));
    (0..width).map(|_| random.normal() as f32 * 0.4).collect()
}

/// A number of the wide part.
fn number(table: &str, id: u64) -> f64 {
    f64::from(row(&format!("wdl.{table}"), id, 1)[0])
}

fn ids(batch: &Batch, group: Group, field: usize) -> &[u64] {
    let Values::Ids(ids) = &batch.values(group)[field] else { panic!("ids") };
    ids
}

/// What a model records of toy feeds, some without any history, with every parameter of the trunk's own moved off zero.
fn recorded(name: &str, batch: &Batch) -> (Model, std::collections::BTreeMap<String, Recorded>) {
    let (schema, device) = (toy::schema(), Device::flex());
    let settings = ModelSettings { model: ModelConfig::of(name).unwrap(), ..Default::default() };
    let model = Model::new(&settings, &schema, 1, &device).unwrap();
    let model = parameters::update(model, |name, values| {
        if name == "trunk.bias" || name == "trunk.cross" {
            let mut random = Random::new(9);
            values.fill_with(|| random.normal() as f32);
        }
    });
    let unique = UniqueIds::of(&schema, batch);
    let leaf = |table: &eliverec_core::TableSpec| {
        let (ids, _) = unique.of_key(table.key).unwrap();
        let values: Vec<f32> =
            ids.iter().flat_map(|id| row(&table.name, *id, table.width)).collect();
        Tensor::from_data(TensorData::new(values, [ids.len(), table.width]), &device)
    };
    let leaves: Vec<Tensor<2>> = settings.tables(&schema).iter().map(leaf).collect();
    let mut trace = Trace::on();
    model.explain(&schema, batch, &unique, &leaves, None, &mut trace);
    (model, trace.into_recorded())
}

/// Every impression with the events of its feed in both domains, channels first.
fn impressions(batch: &Batch) -> impl Iterator<Item = (usize, usize, [Range<usize>; 2])> + '_ {
    let of_feed = |feed| {
        let past = [batch.channels.range(feed), batch.products.range(feed)];
        batch.candidates.range(feed).map(move |i| (feed, i, past.clone()))
    };
    (0..batch.feeds()).flat_map(of_feed)
}

fn close(found: f32, expected: f64, what: &str) {
    assert!((f64::from(found) - expected).abs() < 1e-5, "{what}: {found}, not {expected}");
}

#[test]
fn the_wide_part_equals_the_loop() {
    let mut feeds = toy::feeds(40, 3);
    // Some channels' categories are not known: they are not alike for that.
    for feed in feeds.iter_mut().take(9) {
        for column in [&mut feed.candidates.channel[1], &mut feed.channels.entity[1]] {
            let Column::Ids(ids) = column else { panic!("ids") };
            ids.iter_mut().take(1).for_each(|id| *id = NO_ROW_ID);
        }
    }
    let batch = toy::batch_of(&feeds);
    let (model, recorded) = recorded("wdl", &batch);
    let parameters = parameters::export(&model);
    let parameter =
        |name: &str, i: usize| f64::from(parameters[&format!("trunk.{name}")].values[i]);
    assert!(recorded["logit.0"].values.iter().all(|scale| *scale == 1.0));
    let id = |group, field, i: usize| ids(&batch, group, field)[i];
    for (feed, i, [channels, products]) in impressions(&batch) {
        let mut expected = parameter("bias", 0)
            + number("user.user", id(Group::User, 0, feed))
            + number("context.hour", id(Group::Context, 0, feed))
            + number("candidate.channel_id", id(Group::Candidate, 0, i))
            + number("candidate.category_id", id(Group::Candidate, 1, i));
        let mean = |past: &Range<usize>, of: &dyn Fn(usize) -> f64| {
            past.clone().map(of).sum::<f64>() / past.len().max(1) as f64
        };
        let domains = [
            (Group::Channel, &channels, ["channel.channel_id", "channel.category_id"]),
            (Group::Product, &products, ["product.product_id", "product.category_id"]),
        ];
        for (group, past, names) in domains {
            for (field, name) in names.iter().enumerate() {
                expected += mean(past, &|event| number(name, id(group, field, event)));
            }
        }
        let crosses = [
            (Group::Channel, 0, &channels),
            (Group::Channel, 1, &channels),
            (Group::Product, 1, &products),
        ];
        for (cross, (group, field, past)) in crosses.into_iter().enumerate() {
            let target = id(Group::Candidate, field, i);
            let same = |event: usize| {
                let same = id(group, field, event) == target && target != NO_ROW_ID;
                f64::from(u8::from(same))
            };
            expected += parameter("cross", cross) * mean(past, &same);
        }
        close(recorded["logit.1"].values[i], expected, &format!("impression {i}"));
    }
}

#[test]
fn co_action_equals_the_loop() {
    let batch = toy::batch(40, 3);
    let (_, recorded) = recorded("can", &batch);
    let domains = [
        (Group::Channel, "live", ["live.channel_id", "live.category_id"]),
        (Group::Product, "product", ["product.product_id", "product.category_id"]),
    ];
    for (domain, (group, name, fields)) in domains.into_iter().enumerate() {
        let found = &recorded[&format!("field.{name}_coaction")];
        assert_eq!(found.shape, [batch.impressions(), 72]);
        for (_, i, past) in impressions(&batch) {
            for (field, table) in fields.iter().enumerate() {
                let (net, by) = match group {
                    Group::Channel => (format!("can.{table}.net"), field),
                    _ => ("can.product.net".to_owned(), 0),
                };
                let net = row(&net, ids(&batch, Group::Candidate, by)[i], 160);
                let mut expected = [0.0; 36];
                for event in past[domain].clone() {
                    let feed =
                        row(&format!("can.{table}.feed"), ids(&batch, group, field)[event], 16);
                    for order in 0..3 {
                        let x = |p: usize| f64::from(feed[p]).tanh().powi(order as i32 + 1);
                        let x: Vec<f64> = (0..16).map(x).collect();
                        let layer = |j: usize| {
                            let terms = x.iter().enumerate();
                            terms.map(|(p, x)| x * f64::from(net[p * 8 + j])).sum::<f64>().tanh()
                        };
                        let h1: Vec<f64> = (0..8).map(layer).collect();
                        let weight = |p: usize, j: usize| f64::from(net[128 + p * 4 + j]);
                        let h2 = (0..4).map(|j| (0..8).map(|p| h1[p] * weight(p, j)).sum::<f64>());
                        let all = h1.iter().copied().chain(h2);
                        let sums = expected[order * 12..][..12].iter_mut();
                        sums.zip(all).for_each(|(sum, h)| *sum += h / past[domain].len() as f64);
                    }
                }
                let found = &found.values[i * 72 + field * 36..][..36];
                for (found, expected) in found.iter().zip(expected) {
                    close(*found, expected, &format!("{table}, impression {i}"));
                }
            }
        }
    }
}
