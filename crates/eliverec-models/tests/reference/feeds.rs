//! Whole models from the ids, numbers and ages of feeds: the maps of entities and of vocabularies, the query of the moment, match
//! features, the means of histories, and the terms about next events.

use std::collections::BTreeMap;

use burn::tensor::{Tensor, TensorData};
use eliverec_core::batch::{Batch, Values};
use eliverec_core::normalize::{Moments, Normalization};
use eliverec_core::schema::{Group, Schema};
use eliverec_core::unique::UniqueIds;
use eliverec_models::draws::Draws;
use eliverec_models::term::{Training, Turn};
use eliverec_models::trace::Trace;
use eliverec_models::zoo::elive::drawn_impressions;
use eliverec_models::{Model, Output, ops, parameters};

use super::batches::{batch, place};
use super::models::{reference_names, reference_term};
use super::{Reference, device, folder, settings};

#[test]
fn models_from_feeds() {
    let mut seen = 0;
    for entry in fs_err::read_dir(folder().join("feeds")).unwrap() {
        let reference = Reference::read(&entry.unwrap().path());
        for traced in [false, true] {
            check(&reference, traced);
        }
        seen += 1;
    }
    assert!(seen >= 6, "only {seen} files of reference values");
}

/// `traced`: recording, for which composed operations stand in for some of the fused ones.
fn check(r: &Reference, traced: bool) {
    let schema = Schema::parse(r.option("schema.toml")).unwrap();
    let settings = settings::of(r);
    let batch = batch(r, &schema, &normalization(r), settings.lengths());
    let unique = UniqueIds::of(&schema, &batch);
    let leaves = leaves(r, &schema, &unique);
    check_matches(r, &schema, &batch);
    let draws = Draws { seed: 1, step: r.number("update") };
    check_drawn(r, &batch, draws);

    let model = Model::new(&settings, &schema, 1, &device()).unwrap();
    let names = reference_names(&model, r);
    let model = parameters::update(model, |name, values| {
        values.copy_from_slice(r.values(&format!("param.{}", names[name])));
    });
    let training = Some(Training::whole(draws, Turn::All));
    let output = if traced {
        model.explain(&schema, &batch, &unique, &leaves, training, &mut Trace::on())
    } else {
        model.forward(&schema, &batch, &unique, &leaves, training)
    };
    let gradients = total(r, output).backward();
    let ours = parameters::gradients(&model, &gradients);
    for (name, reference) in &names {
        let gradient = ours.get(name).unwrap_or_else(|| panic!("{}: {name}", r.name));
        r.check_values(&format!("grad.{reference}"), gradient);
    }
    for ((vocabulary, ids), leaf) in schema.vocabulary.iter().zip(&unique.ids).zip(&leaves) {
        let name = format!("grad.input.rows.{}", vocabulary.name);
        let gradient = leaf.grad(&gradients);
        assert_eq!(gradient.is_some(), r.has(&name), "{}: {name}", r.name);
        let Some(gradient) = gradient else { continue };
        let [_, width] = leaf.dims();
        let mut by_id = vec![0.0; r.values(&name).len()];
        let rows = by_id.len() / width;
        let gradient: Vec<f32> = gradient.try_into_vec_as().unwrap();
        for (id, row) in ids.iter().zip(gradient.chunks(width)) {
            by_id[place(*id, rows) * width..][..width].copy_from_slice(row);
        }
        r.check_values(&name, &by_id);
    }
}

/// Compares logits and every loss; their sum.
fn total(r: &Reference, output: Output) -> Tensor<1> {
    r.check("output.logits", &output.logits);
    let rec = ops::binary_cross_entropy(output.logits, r.tensor("input.watched"));
    r.check("output.loss.rec", &rec);
    let mut total = rec;
    let mut terms = BTreeMap::from([("rec", 0.0), ("total", 0.0)]);
    for term in output.terms {
        total = total + term.value.clone() * term.weight;
        *terms.entry(reference_term(r, term.name)).or_default() += term.value.into_scalar::<f32>();
    }
    let theirs = r.tensors.keys().filter_map(|name| name.strip_prefix("output.loss."));
    assert_eq!(terms.keys().copied().collect::<Vec<_>>(), theirs.collect::<Vec<_>>(), "{}", r.name);
    for (name, ours) in terms.into_iter().filter(|(name, _)| !["rec", "total"].contains(name)) {
        r.check_values(&format!("output.loss.{name}"), &[ours]);
    }
    r.check("output.loss.total", &total);
    total
}

/// The moments that the file standardises its numbers with.
fn normalization(r: &Reference) -> Normalization {
    let moments = r.tensors.iter().filter_map(|(name, tensor)| {
        let name = name.strip_prefix("input.moments.")?;
        Some((name.to_owned(), Moments { mean: tensor.values[0], sd: tensor.values[1] }))
    });
    Normalization { dense: moments.collect(), ..Normalization::default() }
}

/// The rows of a batch's ids, one tensor per vocabulary.
fn leaves(r: &Reference, schema: &Schema, unique: &UniqueIds) -> Vec<Tensor<2>> {
    let vocabularies = schema.vocabulary.iter().zip(&unique.ids);
    let leaves = vocabularies.map(|(vocabulary, ids)| {
        let stored = &r.tensors[&format!("input.rows.{}", vocabulary.name)];
        let (rows, width) = (stored.shape[0], stored.shape[1]);
        let row = |id: &u64| &stored.values[place(*id, rows) * width..][..width];
        let values: Vec<f32> = ids.iter().flat_map(row).copied().collect();
        Tensor::from_data(TensorData::new(values, [ids.len(), width]), &device()).require_grad()
    });
    leaves.collect()
}

fn check_matches(r: &Reference, schema: &Schema, batch: &Batch) {
    let ours = &batch.values(Group::Target)[schema.target.len()..];
    assert_eq!(ours.len(), schema.matches.len());
    for (of, ours) in schema.matches.iter().zip(ours) {
        let Values::Numbers(ours) = ours else { panic!("match features are numbers") };
        r.check_values(&format!("output.match.{}", of.name), ours);
    }
}

/// What the reference takes for drawn is what this update draws.
fn check_drawn(r: &Reference, batch: &Batch, draws: Draws) {
    let say = "the constants in fixed_inputs.py must be what is on the right";
    let theirs = |name: &str| r.values(name).iter().map(|x| *x as usize).collect::<Vec<_>>();
    let sampled = drawn_impressions(&batch.candidates, &draws, 0);
    let sampled: Vec<usize> = sampled.iter().map(|row| *row as usize).collect();
    assert_eq!(theirs("input.sampled"), sampled, "{}: {say}", r.name);
    for name in r.tensors.keys() {
        let Some(term) = name.strip_prefix("input.drawn.") else { continue };
        let events = if term == "next_product" { &batch.products } else { &batch.channels };
        let mut random = draws.stream(term);
        let drawn = (0..theirs(name).len()).map(|_| random.below(events.total()));
        assert_eq!(theirs(name), drawn.collect::<Vec<_>>(), "{}: {term}: {say}", r.name);
    }
    if r.has("input.chosen") {
        let watched = &batch.known_labels().watched;
        let mut random = draws.stream("next_event watched");
        let watched = batch.candidates.ranges().filter_map(|range| {
            let watched: Vec<usize> = range.filter(|i| watched[*i] > 0.5).collect();
            (!watched.is_empty()).then(|| watched[random.below(watched.len())])
        });
        assert_eq!(theirs("input.chosen"), watched.collect::<Vec<_>>(), "{}: {say}", r.name);
    }
}
