//! Learners over shards and ranks: the same function as in one piece, the same bits on any number of ranks, and whole runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use eliverec_core::{Batch, toy};
use eliverec_models::parameters;
use eliverec_models::registry::MODELS;
use eliverec_run::checkpoint::{TrainingPosition, read_commit};
use eliverec_run::{Config, RunDirectory};
use eliverec_tables::{FeedDirectory, FeedWriter, Split};

use super::Shards;
use crate::checkpoint::{self, Saved};
use crate::learner::Measured;
use crate::log::MetricsLog;
use crate::ranks::{Ranks, alone, threads::on_ranks};
use crate::tasks::battery::{config, learner_of, state, update};
use crate::{Progress, TrainingEnd, TrainingOrder, train};

/// Batches of all sizes, of fewer feeds than shards too.
fn batch(step: u64) -> Batch {
    toy::batch([30, 1, 17, 3][step as usize % 4], step)
}

fn with_shards(mut config: Config, shards: usize) -> Config {
    config.training.shards = shards;
    config
}

/// What is learnt by updates from one number on to another.
fn learnt(config: &Config, ranks: Ranks, updates: u64) -> (Vec<f32>, Vec<Vec<u32>>) {
    let shards = Shards::new(config.training.shards, ranks).unwrap();
    let mut learner = learner_of(config, shards);
    let losses = (0..updates).map(|step| update(&mut learner, config, batch(step), step).loss);
    (losses.collect(), state(&learner))
}

/// L_rec, tasks, weights, L_cor and L_nce over all feeds, clipping and rows: sums in another order, and nothing else.
#[test]
fn four_shards_are_the_function_of_one_piece() {
    for schedule in ["joint", "alternating"] {
        let mut config = config("elive", "representation", "both", schedule);
        // What is not the same function in shards: negatives drawn from the batch, and limits of rows for each shard.
        config.training.next_event = None;
        config.store.max_rows = None;
        let of = |shards: usize| {
            let config = with_shards(config.clone(), shards);
            let mut learner = learner_of(&config, Shards::here(shards));
            let measured = (0..12).map(|step| update(&mut learner, &config, batch(step), step));
            (measured.collect::<Vec<_>>(), parameters::export(&learner.model))
        };
        let (one, four) = (of(1), of(4));
        for (step, (one, four)) in one.0.iter().zip(&four.0).enumerate() {
            let close = |name: &str, one: f64, four: f64| {
                let bound = 1e-6 * one.abs().max(1.0);
                assert!((one - four).abs() < bound, "update {step}, {name}: {one} and {four}");
            };
            close("loss", one.loss.into(), four.loss.into());
            close("norm", one.gradient_norm, four.gradient_norm);
            assert_eq!((one.rows, one.tasks.len()), (four.rows, four.tasks.len()));
            let terms: BTreeMap<_, _> = four.terms.iter().cloned().collect();
            assert_eq!(terms.len(), one.terms.len());
            one.terms.iter().for_each(|(name, value)| {
                close(name, f64::from(*value), f64::from(terms[name]));
            });
            for (one, four) in one.tasks.iter().zip(&four.tasks) {
                close("cosine", one.signal.cosine.into(), four.signal.cosine.into());
                close("weight", one.weight.into(), four.weight.into());
            }
            // In one piece the step of L_reg and that of the other terms both log the figures.
            let figures = |of: &Measured| of.figures.iter().copied().collect::<BTreeMap<_, _>>();
            assert_eq!(figures(one), figures(four));
        }
        for (name, one) in &one.1 {
            for (one, four) in one.values.iter().zip(&four.1[name].values) {
                assert!((one - four).abs() < 1e-5, "{name}: {one} and {four}");
            }
        }
    }
}

/// With everything on that an update can do.
#[test]
fn any_number_of_ranks_has_the_bits_of_one() {
    for (schedule, updates) in [("joint", 24), ("alternating", 9)] {
        let config = with_shards(config("elive", "representation", "both", schedule), 4);
        let (losses, one) = learnt(&config, alone(), updates);
        for ranks in 2..=4 {
            let all = on_ranks(ranks, |ranks| learnt(&config, ranks, updates));
            assert_eq!(all[0].0, losses, "{ranks} ranks");
            assert!(all.iter().all(|(_, state)| *state == one), "{ranks} ranks");
        }
    }
}

#[test]
fn so_has_every_model() {
    for (model, _) in MODELS.iter().chain(&[("probe", "")]) {
        let config = with_shards(config(model, "representation", "both", "joint"), 3);
        let (losses, one) = learnt(&config, alone(), 4);
        let all = on_ranks(2, |ranks| learnt(&config, ranks, 4));
        assert_eq!(all[0].0, losses, "{model}");
        assert!(all.iter().all(|(_, state)| *state == one), "{model}");
    }
}

#[test]
fn a_checkpoint_goes_on_with_another_number_of_ranks() {
    let config = with_shards(config("elive", "representation", "both", "joint"), 4);
    let (_, unbroken) = learnt(&config, alone(), 8);
    let directory = tempfile::tempdir().unwrap();
    let run = RunDirectory::at(directory.path());
    on_ranks(4, |ranks| {
        let shards = Shards::new(4, ranks).unwrap();
        let is_first = shards.is_first();
        let mut learner = learner_of(&config, shards);
        (0..5).for_each(|step| drop(update(&mut learner, &config, batch(step), step)));
        let position = TrainingPosition { step: 5, ..TrainingPosition::default() };
        let saved = Saved {
            model: &learner.model,
            optimizer: &learner.optimizer,
            weighting: learner.weighting.as_ref(),
            store: &learner.store,
            position: &position,
            training_feeds: 30,
        };
        let mut log = is_first.then(|| MetricsLog::open(&run.metrics_file(), 0).unwrap());
        checkpoint::save(&run, &saved, log.as_mut(), true).unwrap();
    });
    let commit = read_commit(&run).unwrap().unwrap();
    for ranks in 1..=3 {
        let states = on_ranks(ranks, |ranks| {
            let mut learner = learner_of(&config, Shards::new(4, ranks).unwrap());
            let path = run.path().join(&commit.current);
            checkpoint::load(&path, &config, &toy::schema(), &mut learner).unwrap();
            (5..8).for_each(|step| drop(update(&mut learner, &config, batch(step), step)));
            state(&learner)
        });
        assert!(states.iter().all(|state| *state == unbroken), "{ranks} ranks");
    }
}

fn write_feeds(path: &Path) {
    let mut writer = FeedWriter::create(path, &toy::schema()).unwrap();
    for (i, feed) in toy::feeds(150, 3).iter().enumerate() {
        let split = if i < 120 { Split::Train } else { Split::Validation };
        writer.push(split, feed).unwrap();
    }
    writer.finish().unwrap();
}

/// Every file of a run by its name; of the log's lines, all but the time.
fn files(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let (mut files, mut waiting) = (BTreeMap::new(), vec![run.to_path_buf()]);
    while let Some(folder) = waiting.pop() {
        for entry in fs_err::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
                continue;
            }
            let name = path.strip_prefix(run).unwrap().display().to_string();
            let mut bytes = fs_err::read(&path).unwrap();
            if name == "metrics.jsonl" {
                let line = |line| {
                    let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
                    line.as_object_mut().unwrap().remove("seconds");
                    line.to_string()
                };
                let text = String::from_utf8(bytes).unwrap();
                bytes = text.lines().map(line).collect::<Vec<_>>().join("\n").into_bytes();
            }
            // It has a checksum of nothing else that differs, but of the length of the log, which the times change.
            if name != "checkpoint.json" {
                files.insert(name, bytes);
            }
        }
    }
    files
}

/// Reading, evaluations, early stopping's decisions, checkpoints, the log.
#[test]
fn whole_runs_on_several_ranks_leave_the_files_of_one() {
    let folder = tempfile::tempdir().unwrap();
    write_feeds(&folder.path().join("feeds"));
    let mut config = with_shards(config("elive", "representation", "both", "joint"), 4);
    let training = &mut config.training;
    (training.batch_impressions, training.epochs, training.threads) = (64, 2, Some(1));
    (training.evaluate_every_steps, training.checkpoint_every_steps) = (4, 3);
    (training.shuffle_buffer_feeds, training.patience) = (50, 0);
    let run = |name: &str, ranks: Ranks| {
        let order = TrainingOrder {
            config: Some(config.clone()),
            overrides: Vec::new(),
            feeds: FeedDirectory::open(folder.path().join("feeds")).unwrap(),
            run: folder.path().join(name),
            resume: false,
            init_from: None,
            ranks,
        };
        train(&order, Progress::Silent, &AtomicBool::new(false)).unwrap()
    };
    let one = run("one", alone());
    assert!(matches!(one, TrainingEnd::Finished { traffic: None, .. }), "{one:?}");
    let expected = files(&folder.path().join("one"));
    assert!(expected.keys().any(|name| name.contains("store/shard-0003-of-0004/")));
    for ranks in [2, 3] {
        let name = format!("run{ranks}");
        for end in on_ranks(ranks, |ranks| run(&name, ranks)) {
            let TrainingEnd::Finished { traffic: Some(traffic), .. } = end else {
                panic!("{end:?}")
            };
            assert!(traffic.all_reduce > 0.0 && traffic.rows > 0.0 && traffic.gather > 0.0);
        }
        assert!(files(&folder.path().join(&name)) == expected, "{ranks} ranks");
    }
}
