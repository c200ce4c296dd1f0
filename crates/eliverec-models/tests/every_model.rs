//! What must hold for every registered model. A new model is tested by being in the registry.
//!
//! This file is long because it is one list: what must hold, one test after the other, over the same models.

#![expect(clippy::unwrap_used, reason = "a fixture that fails fails its test")]

use burn::tensor::{Device, Tensor, TensorData};
use eliverec_core::batch::{Batch, BatchBuilder};
use eliverec_core::feed::{Column, Feed};
use eliverec_core::matching::{History, Match};
use eliverec_core::seed::Random;
use eliverec_core::unique::UniqueIds;
use eliverec_core::{Lengths, Normalization, Schema, TaskKind, toy};
use eliverec_models::blocks::EvolutionAttention;
use eliverec_models::draws::Draws;
use eliverec_models::heads::HeadsConfig;
use eliverec_models::model::Output;
use eliverec_models::registry::{MODELS, ModelConfig};
use eliverec_models::rows::indices;
use eliverec_models::settings::{Domain, Maps, NextEventConfig};
use eliverec_models::term::{TermKind, Training, Turn};
use eliverec_models::trace::Trace;
use eliverec_models::zoo::can::{CanConfig, CoactionFields};
use eliverec_models::zoo::conet::ConetConfig;
use eliverec_models::zoo::dasl::{DaslConfig, DualAttention};
use eliverec_models::zoo::ddtcdr::{DdtcdrConfig, Features};
use eliverec_models::zoo::dien::DienConfig;
use eliverec_models::zoo::dtcdr::{Combine, DtcdrConfig};
use eliverec_models::zoo::elive::{EliveConfig, EncoderKind, PrototypeSource};
use eliverec_models::zoo::minet::{InterestWeight, MinetConfig};
use eliverec_models::zoo::probe::ProbeConfig;
use eliverec_models::zoo::wdl::{Sequence, WdlConfig};
use eliverec_models::{Model, ModelSettings, ops, parameters};

const WIDTH: usize = 8;

/// The toy schema with match features.
fn schema() -> Schema {
    let of = |name: &str, history, half_life_s| Match {
        name: name.into(),
        of: "category_id".into(),
        history,
        field: "category_id".into(),
        last: None,
        half_life_s,
    };
    let matches =
        vec![of("clicked", History::Products, None), of("watched", History::Channels, Some(100.0))];
    Schema { matches, ..toy::schema() }
}

/// Every model of the registry, and one that uses all of a trunk's interface.
fn models() -> Vec<ModelConfig> {
    let registered = MODELS.iter().map(|(name, _)| ModelConfig::of(name).unwrap());
    let probe = |own_logit| ProbeConfig { own_logit, ..ProbeConfig::default() };
    registered.chain([false, true].map(|own| ModelConfig::Probe(probe(own)))).collect()
}

fn settings(model: ModelConfig, domain: Domain) -> ModelSettings {
    let mut settings = ModelSettings { model, ..ModelSettings::default() };
    settings.input.width = WIDTH;
    settings.input.domain = domain;
    settings.tower.widths = vec![16, 8];
    settings
}

/// What a model can be trained on.
fn domains(model: &ModelConfig) -> &'static [Domain] {
    if model.joins_domains() { &[Domain::Both] } else { &[Domain::Live, Domain::Both] }
}

fn every(mut check: impl FnMut(&ModelSettings)) {
    for model in models() {
        for domain in domains(&model).iter().copied() {
            check(&settings(model.clone(), domain));
            check(&with_heads(settings(model.clone(), domain)));
        }
    }
    let elive = EliveConfig::default;
    let unit = EvolutionAttention::Unit;
    for model in [
        ModelConfig::Elive(EliveConfig { target_product: true, ..elive() }),
        ModelConfig::Elive(EliveConfig { encoder: EncoderKind::Din, ..elive() }),
        ModelConfig::Elive(EliveConfig { encoder: EncoderKind::Hgn, ..elive() }),
        ModelConfig::Elive(EliveConfig { encoder: EncoderKind::Gru, ..elive() }),
        ModelConfig::Elive(EliveConfig { prototypes: PrototypeSource::Matched, ..elive() }),
        ModelConfig::Wdl(WdlConfig { sequence: Sequence::Mean, ..WdlConfig::default() }),
        ModelConfig::Dien(DienConfig { attention: unit, ..DienConfig::default() }),
        ModelConfig::Minet(MinetConfig {
            interest_weight: InterestWeight::Sigmoid,
            product_weight: 0.0,
        }),
        ModelConfig::Dasl(DaslConfig { attention: DualAttention::Own, ..DaslConfig::default() }),
        ModelConfig::Dasl(DaslConfig { product_weight: 0.0, ..DaslConfig::default() }),
        ModelConfig::Conet(ConetConfig { product_weight: 0.0, ..ConetConfig::default() }),
        ModelConfig::Dtcdr(DtcdrConfig {
            combine: Combine::Gate,
            target_product: true,
            ..DtcdrConfig::default()
        }),
        ModelConfig::Dtcdr(DtcdrConfig {
            combine: Combine::Mean,
            product_weight: 0.0,
            ..DtcdrConfig::default()
        }),
        ModelConfig::Ddtcdr(DdtcdrConfig {
            features: Features::Both,
            learn_alpha: true,
            ..DdtcdrConfig::default()
        }),
        ModelConfig::Ddtcdr(DdtcdrConfig {
            features: Features::Both,
            alpha: 0.5,
            product_weight: 0.0,
            ..DdtcdrConfig::default()
        }),
        ModelConfig::Can(CanConfig { fields: CoactionFields::Identity, ..CanConfig::default() }),
    ] {
        let variant = settings(model, Domain::Both);
        check(&variant);
        check(&with_heads(variant));
    }
    for model in models() {
        let mut variant = settings(model, Domain::Both);
        variant.input.maps = Maps::Vocabulary;
        variant.tower.history_means = true;
        variant.next_event = Some(NextEventConfig { negatives: 9, ..NextEventConfig::default() });
        check(&variant);
        check(&with_heads(variant));
    }
}

/// The same with the tasks inside the channel, and with e_d in the tower as well.
fn with_heads(mut settings: ModelSettings) -> ModelSettings {
    settings.heads = Some(HeadsConfig::default());
    settings.tower.intra_dynamic = true;
    settings
}

fn batch(settings: &ModelSettings, feeds: &[Feed]) -> Batch {
    let (schema, normalization) = (schema(), Normalization::default());
    let mut builder = BatchBuilder::new(&schema, &normalization, settings.lengths());
    feeds.iter().for_each(|feed| builder.push(feed).unwrap());
    builder.finish().unwrap()
}

/// Rows that depend on table and id only, as the store's do.
fn leaves(settings: &ModelSettings, unique: &UniqueIds, device: &Device) -> Vec<Tensor<2>> {
    let tables = settings.tables(&schema()).into_iter().enumerate();
    tables
        .map(|(v, table)| {
            let (width, (ids, _)) = (table.width, unique.of_key(table.key).unwrap());
            let row = |id: &u64| {
                let mut random = Random::new(id.wrapping_mul(31).wrapping_add(v as u64 + 1));
                (0..width).map(move |_| (random.normal() * 0.3) as f32)
            };
            let values: Vec<f32> = ids.iter().flat_map(row).collect();
            Tensor::from_data(TensorData::new(values, [ids.len(), width]), device)
        })
        .collect()
}

/// What update number `step` asks for.
fn training(step: u64) -> Training {
    Training::whole(Draws { seed: 3, step }, Turn::All)
}

/// Everything that the model says of the impressions, one after the other: of watching, then of each task it has.
fn scores(model: &Model, settings: &ModelSettings, feeds: &[Feed]) -> Vec<Vec<f32>> {
    let batch = batch(settings, feeds);
    let unique = UniqueIds::of(&schema(), &batch);
    let leaves = leaves(settings, &unique, &Device::flex());
    let output = model.forward(&schema(), &batch, &unique, &leaves, None);
    assert_eq!(output.tasks.is_some(), settings.heads.is_some());
    let all = std::iter::once(output.logits).chain(output.tasks.into_iter().flatten());
    all.map(|scores| scores.try_into_vec_as().unwrap()).collect()
}

/// What training minimises, but for the trunk's own terms: every task on the impressions that were watched, if any.
fn loss(output: &Output, batch: &Batch, device: &Device) -> Tensor<1> {
    let labels = Tensor::<1>::from_floats(batch.known_labels().watched.as_slice(), device);
    let watching = ops::binary_cross_entropy(output.logits.clone(), labels);
    let watched = (0..batch.impressions()).filter(|i| batch.known_labels().watched[*i] > 0.0);
    let watched: Vec<u32> = watched.map(|i| i as u32).collect();
    let (Some(tasks), false) = (&output.tasks, watched.is_empty()) else { return watching };
    let kinds = schema().task.into_iter().map(|task| task.kind);
    let tasks = kinds.enumerate().zip(tasks);
    tasks.fold(watching, |sum, ((task, kind), output)| {
        let labels = &batch.known_labels().tasks[task];
        let labels: Vec<f32> = watched.iter().map(|i| labels[*i as usize]).collect();
        let labels = Tensor::<1>::from_floats(labels.as_slice(), device);
        let output = output.clone().select(0, indices(watched.clone(), device));
        sum + match kind {
            // About standardised.
            TaskKind::Duration => (output - labels.log1p() + 4.8).square().mean(),
            TaskKind::Binary => ops::binary_cross_entropy(output, labels),
        }
    })
}

fn plain(settings: &ModelSettings) -> Model {
    Model::new(settings, &schema(), 7, &Device::flex()).unwrap()
}

fn assert_close(a: &[f32], b: &[f32], what: &str) {
    assert_eq!(a.len(), b.len(), "{what}");
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        assert!((a - b).abs() < 1e-5, "{what}: score {i} is {a} and {b}");
    }
}

fn columns(candidates: &mut eliverec_core::feed::Candidates) -> impl Iterator<Item = &mut Column> {
    candidates.channel.iter_mut().chain(&mut candidates.target).chain(&mut candidates.dynamic)
}

#[test]
fn loss_falls_and_every_parameter_gets_a_gradient() {
    every(|settings| {
        let (schema, device) = (schema(), Device::flex().autodiff());
        let batch = batch(settings, &toy::feeds(60, 1));
        let unique = UniqueIds::of(&schema, &batch);
        let mut model = Model::new(settings, &schema, 1, &device).unwrap();
        let leaves: Vec<Tensor<2>> =
            leaves(settings, &unique, &device).into_iter().map(Tensor::require_grad).collect();
        let (mut losses, mut auxiliary) = (Vec::new(), Vec::new());
        // More losses make larger gradients.
        let rate = if settings.heads.is_some() { 0.05 } else { 0.3 };
        for step in 0..30 {
            let output = model.forward(&schema, &batch, &unique, &leaves, Some(training(step)));
            let loss = loss(&output, &batch, &device);
            losses.push(loss.clone().into_scalar::<f32>());
            // The toy users' histories are drawn event by event: there is nothing to learn of what comes next.
            let drawn = [
                "next_live",
                "watched_live",
                "next_product",
                "watched_product",
                "auxiliary_live",
                "auxiliary_product",
            ];
            let others = output
                .terms
                .iter()
                .filter(|term| term.kind == TermKind::Auxiliary && !drawn.contains(&term.name));
            auxiliary.push(others.map(|term| term.value.clone().into_scalar::<f32>()).sum::<f32>());
            let terms = output.terms.into_iter().map(|term| term.value * term.weight);
            let gradients = terms.fold(loss, |sum, term| sum + term).backward();
            if step == 0 {
                let tables = settings.tables(&schema);
                for (v, (table, leaf)) in tables.iter().zip(&leaves).enumerate() {
                    let gradient = leaf.grad(&gradients);
                    let gradient: Vec<f32> =
                        gradient.map_or(vec![], |found| found.try_into_vec_as().unwrap());
                    assert!(gradient.iter().all(|g| g.is_finite()), "table {}", table.name);
                    let own = v >= schema.vocabulary.len();
                    let some = gradient.iter().any(|g| *g != 0.0);
                    assert!(some || !own, "table {} has no gradient", table.name);
                }
            }
            let gradients = parameters::gradients(&model, &gradients);
            if step == 0 {
                for (name, parameter) in parameters::export(&model) {
                    // e_d is an input of the heads and, if asked for, of the tower; DIN's last bias cancels in its softmax.
                    let unread = settings.heads.is_none() && name.starts_with("entities.dynamic");
                    // The linear model reads fields, not entities; what it gives the tasks is made of them all the same.
                    let fields = settings.model.name() == "linear" && name.starts_with("entities.");
                    if unread || fields || name.ends_with("score.bias") {
                        continue;
                    }
                    let gradient =
                        gradients.get(&name).unwrap_or_else(|| panic!("{name} has no gradient"));
                    assert_eq!(gradient.len(), parameter.values.len());
                    assert!(gradient.iter().all(|g| g.is_finite()), "{name}");
                    assert!(gradient.iter().any(|g| *g != 0.0), "{name} has a zero gradient");
                }
            }
            model = parameters::update(model, |name, values| {
                if let Some(gradient) = gradients.get(name) {
                    values.iter_mut().zip(gradient).for_each(|(x, g)| *x -= rate * g);
                }
            });
        }
        assert!(losses[29] < losses[0] - 0.005, "{}: {losses:?}", settings.model.name());
        // Negatives are drawn anew in each step, so one step says little.
        let (first, last) = (&auxiliary[..10], &auxiliary[20..]);
        let falls = last.iter().sum::<f32>() < first.iter().sum::<f32>();
        assert!(
            falls || auxiliary.iter().all(|term| *term == 0.0),
            "{}: {auxiliary:?}",
            settings.model.name()
        );
    });
}

#[test]
fn permuting_impressions_permutes_scores() {
    every(|settings| {
        let model = plain(settings);
        let feeds = toy::feeds(8, 2);
        let mut reversed = feeds.clone();
        for feed in &mut reversed {
            for column in columns(&mut feed.candidates) {
                match column {
                    Column::Ids(ids) => ids.reverse(),
                    Column::Numbers(numbers) => numbers.reverse(),
                    Column::Lists { ends, ids } => {
                        let (old_ends, old_ids) = (std::mem::take(ends), std::mem::take(ids));
                        for i in (0..old_ends.len()).rev() {
                            let start = if i == 0 { 0 } else { old_ends[i - 1] };
                            ids.extend(&old_ids[start as usize..old_ends[i] as usize]);
                            ends.push(ids.len() as u32);
                        }
                    }
                }
            }
        }
        let (ours, theirs) =
            (scores(&model, settings, &feeds), scores(&model, settings, &reversed));
        for (ours, theirs) in ours.iter().zip(&theirs) {
            let mut start = 0;
            for feed in &feeds {
                let end = start + feed.impressions();
                let back: Vec<f32> = theirs[start..end].iter().rev().copied().collect();
                assert_close(&ours[start..end], &back, settings.model.name());
                start = end;
            }
        }
    });
}

/// A feed's scores do not depend on its batch mates, so padding has no influence either.
#[test]
fn feeds_alone_score_as_in_company() {
    every(|settings| {
        let model = plain(settings);
        let feeds = toy::feeds(12, 3);
        let together = scores(&model, settings, &feeds);
        let alone = feeds.iter().map(|feed| scores(&model, settings, std::slice::from_ref(feed)));
        let alone: Vec<Vec<Vec<f32>>> = alone.collect();
        for (output, together) in together.iter().enumerate() {
            let alone: Vec<f32> = alone.iter().flat_map(|feed| feed[output].clone()).collect();
            assert_close(together, &alone, settings.model.name());
        }
    });
}

#[test]
fn users_without_any_history_get_finite_scores() {
    every(|settings| {
        let mut feeds = toy::feeds(3, 4);
        let empty = Feed::empty(&schema());
        for feed in &mut feeds {
            feed.products = empty.products.clone();
            feed.channels = empty.channels.clone();
        }
        let scores = scores(&plain(settings), settings, &feeds);
        assert!(
            scores.iter().flatten().all(|score| score.is_finite()),
            "{}",
            settings.model.name()
        );
    });
}

/// Regularisers and tasks must survive batches in which nobody has a history, nobody watches, or one feed is all there is.
#[test]
fn training_survives_small_and_empty_batches() {
    every(|settings| {
        let (schema, device) = (schema(), Device::flex().autodiff());
        let model = Model::new(settings, &schema, 1, &device).unwrap();
        let mut lonely = toy::feeds(2, 9);
        let empty = Feed::empty(&schema);
        lonely[1].products = empty.products.clone();
        lonely[1].channels = empty.channels;
        let no_products: Vec<Feed> = toy::feeds(6, 5)
            .into_iter()
            .map(|feed| Feed { products: empty.products.clone(), ..feed })
            .collect();
        let mut unwatched = toy::feeds(6, 5);
        unwatched
            .iter_mut()
            .for_each(|feed| feed.candidates.labels.as_mut().unwrap().watched.fill(false));
        for feeds in [&lonely[..1], &lonely[1..], &lonely[..], &no_products[..], &unwatched[..]] {
            let batch = batch(settings, feeds);
            let unique = UniqueIds::of(&schema, &batch);
            let leaves = leaves(settings, &unique, &device);
            let output = model.forward(&schema, &batch, &unique, &leaves, Some(training(1)));
            let loss = loss(&output, &batch, &device);
            let terms = output.terms.into_iter().map(|term| term.value * term.weight);
            let loss = terms.fold(loss, |sum, term| sum + term);
            let gradients = parameters::gradients(&model, &loss.backward());
            assert!(
                gradients.values().flatten().all(|g| g.is_finite()),
                "{}",
                settings.model.name()
            );
        }
    });
}

#[test]
fn same_seed_same_values_and_stored_values_come_back() {
    every(|settings| {
        let (first, again) =
            (parameters::export(&plain(settings)), parameters::export(&plain(settings)));
        assert_eq!(first, again);
        let other = Model::new(settings, &schema(), 8, &Device::flex()).unwrap();
        let feeds = toy::feeds(5, 6);
        let expected = scores(&plain(settings), settings, &feeds);
        // The linear model starts at zero, whatever the seed.
        if settings.model.name() != "linear" {
            assert_ne!(scores(&other, settings, &feeds), expected);
        }
        let loaded = parameters::import(other, &first).unwrap();
        assert_eq!(scores(&loaded, settings, &feeds), expected);
    });
}

#[test]
fn parameters_of_another_model_are_refused_by_name() {
    let of = |name: &str| plain(&settings(ModelConfig::of(name).unwrap(), Domain::Both));
    let error = parameters::import(of("eta"), &parameters::export(&of("din"))).unwrap_err();
    let error = error.to_string();
    assert!(error.starts_with("parameter t") && error.contains("the model has"), "{error}");
}

#[test]
fn histories_matter_up_to_their_length_only() {
    every(|settings| {
        // It sees histories by match features alone, which count all that a feed has.
        if settings.model.name() == "linear" {
            return;
        }
        let mut short = settings.clone();
        short.input.channel_length = 1;
        assert_eq!(short.lengths(), Lengths { channels: 1, ..settings.lengths() });
        let feeds = toy::feeds(10, 7);
        let model = plain(settings);
        assert_ne!(
            scores(&model, settings, &feeds),
            scores(&model, &short, &feeds),
            "{}",
            settings.model.name()
        );
    });
}

/// Name and width of every field.
#[test]
fn fields_are_those_of_the_shape() {
    every(|settings| {
        let (schema, device, model) = (schema(), Device::flex(), plain(settings));
        let batch = batch(settings, &toy::feeds(5, 8));
        let unique = UniqueIds::of(&schema, &batch);
        let leaves = leaves(settings, &unique, &device);
        let represented = model.represent(&schema, &batch, &unique, &leaves, None);
        let found = represented.fields.iter().map(|(name, field)| (*name, field.dims()[1]));
        assert_eq!(found.collect::<Vec<_>>(), model.shape(), "{}", settings.model.name());
        assert!(represented.terms.is_empty() && represented.figures.is_empty());

        let names: Vec<&str> = model.shape().iter().map(|(name, _)| *name).collect();
        let distinct: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len(), "{names:?}");
        let mut trace = Trace::on();
        model.explain(&schema, &batch, &unique, &leaves, None, &mut trace);
        let recorded = trace.into_recorded();
        assert!(names.iter().all(|name| recorded.contains_key(&format!("field.{name}"))));
        assert!(model.observe(&recorded).iter().all(|figure| figure.sum.is_finite()));
    });
}

/// A term is computed in its turn only, and is the same then.
#[test]
fn terms_have_their_turns() {
    every(|settings| {
        let (schema, device, model) = (schema(), Device::flex(), plain(settings));
        let batch = batch(settings, &toy::feeds(12, 8));
        let unique = UniqueIds::of(&schema, &batch);
        let leaves = leaves(settings, &unique, &device);
        let terms = |terms: Turn| {
            let training = Training::whole(Draws { seed: 3, step: 5 }, terms);
            let output = model.forward(&schema, &batch, &unique, &leaves, Some(training));
            let all = output.terms.into_iter();
            all.map(|term| (term.name, term.kind, term.value.into_scalar::<f32>()))
                .collect::<Vec<_>>()
        };
        let all = terms(Turn::All);
        for kind in [TermKind::Regulariser, TermKind::Auxiliary] {
            let own: Vec<_> = all.iter().filter(|(_, of, _)| *of == kind).copied().collect();
            assert_eq!(terms(Turn::Only(kind)), own, "{}", settings.model.name());
        }
        assert!(terms(Turn::Rest).is_empty());
    });
}

#[test]
fn a_cross_domain_model_says_what_it_needs() {
    let probe = ModelConfig::Probe(ProbeConfig { cross_domain: true, ..ProbeConfig::default() });
    let (schema, device) = (schema(), Device::flex());
    let without_products = Schema {
        product: Vec::new(),
        product_event: Vec::new(),
        matches: Vec::new(),
        ..toy::schema()
    };
    let new = |settings: &ModelSettings, schema| Model::new(settings, schema, 1, &device);
    let mut named = Vec::new();
    for model in models().into_iter().chain([probe]) {
        let [live, both] = [Domain::Live, Domain::Both].map(|of| settings(model.clone(), of));
        assert!(new(&both, &schema).is_ok(), "{}", model.name());
        for refused in [new(&live, &schema), new(&both, &without_products)] {
            assert_eq!(refused.is_err(), model.joins_domains(), "{}", model.name());
            let Err(error) = refused else { continue };
            let error = error.to_string();
            assert!(error.contains("input.domain") && error.contains("[[product]]"), "{error}");
        }
        named.extend(model.joins_domains().then(|| model.name()));
    }
    assert_eq!(named, ["minet", "dasl", "conet", "dtcdr", "ddtcdr", "probe"]);
}
