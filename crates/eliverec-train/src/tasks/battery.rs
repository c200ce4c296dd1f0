//! Updates of every registered model, and of one that uses all of a trunk's interface, with everything on that an update can do:
//! adaptive weights in both scopes, L_reg's own steps, next events, clipping, warm-up, rows that drop out and rows that make room.

use eliverec_core::normalize::Moments;
use eliverec_core::unique::UniqueIds;
use eliverec_core::{Batch, BatchBuilder, Lengths, Normalization, toy};
use eliverec_models::parameters;
use eliverec_models::registry::{MODELS, ModelConfig};
use eliverec_models::zoo::probe::ProbeConfig;

use crate::checkpoint::{self, Saved};
use crate::learner::{Learner, Measured};
use crate::log::MetricsLog;
use crate::shards::Shards;
use crate::shards::cut::CutBatch;
use eliverec_run::checkpoint::{TrainingPosition, read_commit};
use eliverec_run::{Config, Prepared, RunDirectory};
use eliverec_store::RowReader;

fn every(mut check: impl FnMut(&Config)) {
    let models: Vec<&str> = MODELS.iter().map(|(name, _)| *name).chain(["probe"]).collect();
    for model in &models {
        for scope in ["representation", "parameters"] {
            for domain in ["both", "live"] {
                let config = config(model, scope, domain, "joint");
                if domain == "both" || !config.model.joins_domains() {
                    check(&config);
                }
            }
        }
    }
    for model in &models {
        check(&config(model, "parameters", "both", "alternating"));
        check(&config(model, "representation", "both", "alternating"));
    }
}

/// A config with everything on.
pub(crate) fn config(model: &str, scope: &str, domain: &str, schedule: &str) -> Config {
    let own = match model {
        "elive" => {
            "heads = 2\nblocks = 1\ntarget_product = true\nposition = \"recency\"\nseparate_specific = true"
        }
        "eta" => "heads = 2",
        _ => "",
    };
    let name = if model == "probe" { "din" } else { model };
    let text = format!(
        "seed = 4\n[model]\nname = \"{name}\"\n{own}\n[input]\nwidth = 8\ndomain = \"{domain}\"\n\
         [tower]\nwidths = [12, 6]\nintra_dynamic = true\n\
         [tasks]\nmode = \"adaptive\"\ngradient_scope = \"{scope}\"\nschedule = \"{schedule}\"\n\
         [store]\nid_dropout = 0.1\nmax_rows = 30\nmax_age_steps = 20\n\
         [training]\nclip_norm = 5\nwarmup_steps = 3\n[training.next_event]\nnegatives = 5\n"
    );
    let mut config = Config::parse(&text, "battery", &[]).unwrap();
    if model == "probe" {
        config.model = ModelConfig::Probe(ProbeConfig::default());
    }
    config
}

fn learner(config: &Config) -> Learner {
    learner_of(config, Shards::here(1))
}

/// One of some shards.
pub(crate) fn learner_of(config: &Config, shards: Shards) -> Learner {
    let durations = [("stay".to_owned(), Moments { mean: 2.0, sd: 1.5 })].into();
    let normalization = Normalization { durations, ..Normalization::default() };
    Learner::of_shards(config, &toy::schema(), &normalization, shards).unwrap()
}

fn prepared(batch: Batch) -> Prepared {
    Prepared { unique: UniqueIds::of(&toy::schema(), &batch), batch }
}

/// Update number `step` on a batch of the toy schema.
pub(crate) fn update(learner: &mut Learner, config: &Config, batch: Batch, step: u64) -> Measured {
    learner.update(config, &toy::schema(), &prepared(batch), step).unwrap().unwrap()
}

/// Everything that learns, as bits.
pub(crate) fn state(learner: &Learner) -> Vec<Vec<u32>> {
    let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect();
    let parameters = parameters::export(&learner.model);
    let mut all: Vec<Vec<u32>> = parameters.values().map(|p| bits(&p.values)).collect();
    all.extend(learner.optimizer.accumulators().values().map(|values| bits(values)));
    let mut weighting = learner.weighting.clone().unwrap();
    all.extend(weighting.state().values().map(|values| bits(values)));
    let rows = learner.store.gather(&prepared(toy::batch(80, 5)).unique);
    all.extend(rows.iter().map(|values| bits(values)));
    all
}

#[test]
fn batches_with_little_in_them_are_survived() {
    let build = |feeds: &[eliverec_core::feed::Feed], products, channels| {
        let (schema, normalization) = (toy::schema(), Normalization::default());
        let mut builder =
            BatchBuilder::new(&schema, &normalization, Lengths { products, channels });
        feeds.iter().for_each(|feed| builder.push(feed).unwrap());
        builder.finish().unwrap()
    };
    let feeds = toy::feeds(30, 5);
    let whole = || build(&feeds, 50, 50);
    let with = |change: fn(&mut Batch)| {
        let mut batch = whole();
        change(&mut batch);
        batch
    };
    every(|config| {
        let batches = [
            (whole(), 3),
            (build(&feeds[..1], 50, 50), usize::MAX),
            (build(&feeds, 0, 50), 3),
            (build(&feeds, 50, 0), 3),
            (build(&feeds, 0, 0), 3),
            (with(|batch| batch.labels.as_mut().unwrap().watched.fill(0.0)), 0),
            (with(|batch| batch.labels.as_mut().unwrap().watched.fill(1.0)), 3),
            (with(|batch| batch.labels.as_mut().unwrap().tasks[0].fill(f32::NAN)), 2),
        ];
        let mut learner = learner(config);
        for (step, (batch, tasks)) in (0..).zip(batches) {
            let measured = update(&mut learner, config, batch, step);
            let place = format!("{} {:?}, batch {step}", config.model.name(), config.tasks);
            assert!(measured.loss.is_finite() && measured.gradient_norm.is_finite(), "{place}");
            assert!(measured.tasks.len() == tasks || tasks == usize::MAX, "{place}");
            for task in &measured.tasks {
                assert!(task.weight > 0.0 && task.weight < 1.0, "{place}: {task:?}");
            }
            let all = state(&learner).into_iter().flatten();
            assert!(all.map(f32::from_bits).all(f32::is_finite), "{place}");
        }
    });
}

/// Where nobody watched there is nothing to learn for the tasks, and nothing of theirs changes.
#[test]
fn the_heads_rest_where_nobody_watched() {
    every(|config| {
        let mut learner = learner(config);
        update(&mut learner, config, toy::batch(30, 5), 1);
        let heads = |learner: &Learner| {
            let mut all = parameters::export(&learner.model);
            all.retain(|name, _| name.starts_with("heads."));
            assert!(!all.is_empty());
            (all, learner.weighting.clone())
        };
        let before = heads(&learner);
        let mut batch = toy::batch(30, 6);
        batch.labels.as_mut().unwrap().watched.fill(0.0);
        update(&mut learner, config, batch, 3);
        assert!(heads(&learner) == before, "{}", config.model.name());
    });
}

#[test]
fn a_checkpoint_between_two_updates_changes_no_bit() {
    every(|config| {
        let (directory, schema) = (tempfile::tempdir().unwrap(), toy::schema());
        let run = RunDirectory::at(directory.path());
        let mut unbroken = learner(config);
        for step in 0..6 {
            update(&mut unbroken, config, toy::batch(30, step), step);
            if step != 2 {
                continue;
            }
            let position = TrainingPosition { step: 3, ..TrainingPosition::default() };
            let saved = Saved {
                model: &unbroken.model,
                optimizer: &unbroken.optimizer,
                weighting: unbroken.weighting.as_ref(),
                store: &unbroken.store,
                position: &position,
                training_feeds: 30,
            };
            let mut log = MetricsLog::open(&run.metrics_file(), 0).unwrap();
            checkpoint::save(&run, &saved, Some(&mut log), true).unwrap();
        }
        let mut resumed = learner(config);
        let commit = read_commit(&run).unwrap().unwrap();
        checkpoint::load(&run.path().join(commit.current), config, &schema, &mut resumed).unwrap();
        assert!(state(&resumed) != state(&unbroken));
        for step in 3..6 {
            update(&mut resumed, config, toy::batch(30, step), step);
        }
        assert!(state(&resumed) == state(&unbroken), "{}", config.model.name());
    });
}

/// The first step of the iterative manner moves the trunk along L_reg, and nothing else; the second is that of the other terms.
#[test]
fn l_reg_moves_the_encoder_alone() {
    let iterative = config("elive", "representation", "both", "alternating");
    let schema = toy::schema();
    let mut learner = learner(&iterative);
    let prepared = prepared(toy::batch(30, 5));
    let rows = learner.store.gather(&prepared.unique);
    let before = parameters::export(&learner.model);
    let batch = CutBatch::new(&prepared, &schema, &Shards::here(1));
    let regularised = learner.regularise(&iterative, &schema, &batch, vec![rows], 0);
    let regularised = regularised.unwrap().unwrap();
    assert!(regularised.terms.iter().any(|(_, value)| *value != 0.0));
    let after = parameters::export(&learner.model);
    let moved = after.iter().filter(|(name, now)| now.values != before[*name].values);
    let moved: Vec<&String> = moved.map(|(name, _)| name).collect();
    assert!(!moved.is_empty() && moved.iter().all(|name| name.starts_with("trunk.")), "{moved:?}");

    // A whole update has both, whatever its number.
    for step in 0..2 {
        let measured = update(&mut learner, &iterative, toy::batch(30, step), step);
        let names: Vec<&str> = measured.terms.iter().map(|(name, _)| &**name).collect();
        assert!(names.contains(&"watch") && names.contains(&"correlation"), "{names:?}");
    }
}
