//! Bundles: what goes in comes out bit for bit, and what is not what went in is refused by name. This file is long because one
//! fixture, which trains, serves every way of damaging a bundle.

#![expect(clippy::unwrap_used, reason = "a fixture that fails fails its test")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use eliverec_core::dimensions::Value;
use eliverec_core::event::Scalar;
use eliverec_core::feed::Column;
use eliverec_core::schema::Group;
use eliverec_core::seed::{Random, stream};
use eliverec_core::{Dimension, Dimensions, FeedColumns, IdKinds, toy};
use eliverec_features::FeatureConfig;
use eliverec_models::parameters;
use eliverec_models::registry::MODELS;
use eliverec_run::{Config, Scorer, Scores, Scoring};
use eliverec_serve::bundle::{About, MadeOf, Manifest, OfflineMetrics, Precision};
use eliverec_serve::{Bundle, BundleWriter, Error};
use eliverec_tables::{FeedDirectory, FeedWriter, Split};
use eliverec_train::compare::compare;
use eliverec_train::evaluate::batches;
use eliverec_train::{Progress, TrainingOrder, ranks, train};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

const CONFIG: &str = "seed = 5\n[input]\nwidth = 8\ndomain = \"both\"\n[tower]\nwidths = [12, 6]\n\
                      [training]\nbatch_impressions = 64\nmax_steps = 12\npatience = 0\n";

/// Toy feeds and a short run on them.
struct Fixture {
    folder: TempDir,
    feeds: FeedDirectory,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("feeds");
        let mut writer = FeedWriter::create(&path, &toy::schema()).unwrap();
        for (i, feed) in toy::feeds(160, 3).iter().enumerate() {
            let split = [Split::Train, Split::Validation, Split::Test][i.saturating_sub(40) / 40];
            writer.push(split, feed).unwrap();
        }
        writer.finish().unwrap();
        Self { feeds: FeedDirectory::open(path).unwrap(), folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn train(&self, model: &str, run: &str, mode: &str) -> Scorer {
        let text = format!("{CONFIG}[model]\nname = \"{model}\"\n[tasks]\nmode = \"{mode}\"\n");
        let order = TrainingOrder {
            config: Some(Config::parse(&text, "config", &[]).unwrap()),
            overrides: Vec::new(),
            feeds: self.feeds.clone(),
            run: self.path(run),
            resume: false,
            init_from: None,
            ranks: ranks::alone(),
        };
        train(&order, Progress::Silent, &AtomicBool::new(false)).unwrap();
        Scorer::open(&self.path(run)).unwrap().0
    }

    fn export(&self, scorer: &Scorer, out: &str, precision: Precision) -> Result<Manifest, Error> {
        let mut writer = BundleWriter::create(&self.path(out), false, scorer, precision)?;
        let mut golden = FeedColumns::empty(&scorer.schema);
        for feed in self.feeds.read(Split::Validation).unwrap().take(12) {
            let mut feed = feed.unwrap();
            feed.candidates.labels = None;
            golden.push(&scorer.schema, &feed).unwrap();
        }
        writer.write_golden(golden, "validation")?;
        writer.write_features(&FeatureConfig { bag_products: 77, ..FeatureConfig::default() })?;
        // As of a log in which a row has changed.
        let mut tables = dimensions();
        tables.users.upsert(3, 1_000, &[Value::Id(9)]).unwrap();
        writer.write_dimensions(&tables)?;
        let both = [&scorer.scoring(), &writer.model().scoring()];
        let compared = compare(both, &self.feeds, Split::Test, |_| ()).unwrap();
        let [run, bundle] = compared.reports.unwrap().map(Some);
        writer.write_metrics(&OfflineMetrics {
            split: "test".into(),
            feeds: compared.feeds,
            impressions: compared.impressions,
            changes: compared.changes,
            run,
            bundle,
        })?;
        writer.write("retrieval/neighbours.bin", b"another engine's")?;
        let made_of = MadeOf {
            run: "run".into(),
            checkpoint: "checkpoints/step-0000012".into(),
            step: 12,
            feeds: "f".into(),
            other_feeds: None,
            tables: None,
        };
        let (version, program) = ("first".into(), "a test".into());
        let ids = IdKinds::default();
        writer.publish(About { version, created_ms: 1_700_000_000_000, program, made_of, ids })
    }

    fn scores(&self, scoring: &Scoring<'_>) -> Vec<Scores> {
        let all = batches(scoring, &self.feeds, Split::Test).unwrap();
        all.map(|prepared| scoring.score(&prepared.unwrap())).collect()
    }
}

fn dimensions() -> Dimensions {
    let schema = toy::schema();
    let rows = |ids: std::ops::Range<u64>| ids.map(|id| (id, [Scalar::Id(id % 5)]));
    Dimensions {
        users: Dimension::from_rows(&schema, Group::User, rows(0..40)).unwrap(),
        products: Dimension::from_rows(&schema, Group::Product, rows(0..30)).unwrap(),
        channels: Dimension::from_rows(&schema, Group::Channel, rows(0..0)).unwrap(),
    }
}

#[test]
fn every_registered_model_scores_as_its_run_where_run_and_feeds_are_gone() {
    let fixture = Fixture::new();
    for (name, _) in MODELS {
        for mode in ["single", "vanilla"] {
            let run = format!("{name}-{mode}");
            let scorer = fixture.train(name, &run, mode);
            let expected = fixture.scores(&scorer.scoring());
            let manifest = fixture.export(&scorer, "exported", Precision::Float32).unwrap();
            drop(scorer);
            fs_err::remove_dir_all(fixture.path(&run)).unwrap();
            // Nothing in a bundle says where it lies.
            let elsewhere = tempfile::tempdir().unwrap();
            let path = elsewhere.path().join("bundle");
            fs_err::rename(fixture.path("exported"), &path).unwrap();
            let bundle = Bundle::open(&path).unwrap();
            assert_eq!(bundle.manifest, manifest);
            assert_eq!(manifest.model, *name);
            assert_eq!(manifest.golden.requests, 12);
            assert_eq!(bundle.features.unwrap().bag_products, 77);
            let tables = bundle.dimensions.as_ref().unwrap();
            let Dimensions { products, channels, .. } = dimensions();
            assert_eq!((&tables.products, &tables.channels), (&products, &channels));
            let row = tables.users.row(3).unwrap();
            let Column::Ids(values) = &tables.users.columns()[0] else { panic!("ids") };
            assert_eq!((values[row], tables.users.ids().len()), (9, 40));
            assert_eq!(bundle.file("retrieval/neighbours.bin"), Some(&b"another engine's"[..]));
            let metrics = bundle.metrics.as_ref().unwrap();
            assert!(metrics.changes.values().all(|change| change.max == 0.0), "{name}");
            assert_eq!((metrics.auc_change(), &metrics.run), (Some(0.0), &metrics.bundle));
            let outputs = if mode == "single" { 1 } else { 4 };
            assert_eq!(metrics.changes.len(), outputs);
            assert_eq!(fixture.scores(&bundle.model.scoring()), expected, "{name} {mode}");
        }
    }
}

#[test]
fn fewer_bits_are_smaller_and_change_scores_by_little_which_is_told() {
    let fixture = Fixture::new();
    let scorer = fixture.train("elive", "run", "vanilla");
    let expected = fixture.scores(&scorer.scoring());
    let mut bytes = u64::MAX;
    for (precision, bound) in
        [(Precision::Float32, 0.0), (Precision::Float16, 1e-3), (Precision::Int8, 2e-2)]
    {
        let manifest = fixture.export(&scorer, precision.name(), precision).unwrap();
        assert!(manifest.rows.bytes < bytes);
        bytes = manifest.rows.bytes;
        let bundle = Bundle::open(&fixture.path(precision.name())).unwrap();
        let found = fixture.scores(&bundle.model.scoring());
        let pairs = expected.iter().zip(&found).flat_map(|(a, b)| a.p_watch.iter().zip(&b.p_watch));
        let largest = pairs.map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max);
        let told = bundle.metrics.as_ref().unwrap().changes["p_watch"];
        assert!((told.max - largest).abs() < 1e-7, "{told:?}, found {largest}");
        assert!(told.mean <= told.max && told.max <= bound, "{told:?} in {}", precision.name());
        assert_eq!(told.max > 0.0, precision != Precision::Float32);
    }
}

/// Every file by its name, folders aside.
fn contents(bundle: &Path) -> BTreeMap<String, Vec<u8>> {
    let (mut files, mut waiting) = (BTreeMap::new(), vec![bundle.to_path_buf()]);
    while let Some(folder) = waiting.pop() {
        for entry in fs_err::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let name = path.strip_prefix(bundle).unwrap().display().to_string();
                files.insert(name, fs_err::read(&path).unwrap());
            }
        }
    }
    files
}

fn restore(bundle: &Path, files: &BTreeMap<String, Vec<u8>>) {
    fs_err::remove_dir_all(bundle).unwrap();
    for (name, content) in files {
        let path = bundle.join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, content).unwrap();
    }
}

fn flip(content: &mut [u8], random: &mut Random) {
    let bit = random.below(8 * content.len());
    content[bit / 8] ^= 1 << (bit % 8);
}

#[test]
fn a_thousand_corruptions_are_refused_by_name() {
    let fixture = Fixture::new();
    let scorer = fixture.train("elive", "run", "vanilla");
    fixture.export(&scorer, "bundle", Precision::Float16).unwrap();
    let path = fixture.path("bundle");
    let files = contents(&path);
    restore(&path, &files);
    Bundle::open(&path).unwrap();
    let names: Vec<&String> = files.keys().collect();
    let mut random = Random::new(stream(7, "corruptions"));
    for case in 0..1_000 {
        let name = names[random.below(names.len())];
        let content = &files[name];
        let at = path.join(name);
        // The files of which one must be named.
        let mut blamed = vec![name.clone()];
        let what = random.below(8);
        match what {
            0 => {
                let mut content = content.clone();
                flip(&mut content, &mut random);
                fs_err::write(at, content).unwrap();
            }
            1 => fs_err::write(at, &content[..random.below(content.len())]).unwrap(),
            2 => fs_err::remove_file(at).unwrap(),
            3 => {
                let other = names[random.below(names.len())];
                if files[other] == *content {
                    continue;
                }
                fs_err::write(at, &files[other]).unwrap();
                fs_err::write(path.join(other), content).unwrap();
                blamed.push(other.clone());
            }
            4 => {
                let added =
                    ["rows/999.rows", "note.txt", "weights.tmp", "tables/x"][random.below(4)];
                fs_err::write(path.join(added), content).unwrap();
                blamed = vec![added.into()];
            }
            5 => {
                // An edit that parses, as somebody who wants another version or tolerance would make it.
                let text = str::from_utf8(&files["manifest.json"]).unwrap();
                let edits = [
                    ("\"first\"", "\"other\""),
                    ("\"tolerance\": 0.00001", "\"tolerance\": 1"),
                    ("\"format\": 1", "\"format\": 2"),
                    ("\"elive\"", "\"eta\""),
                    ("float16", "float32"),
                    ("config.toml", "konfig.toml"),
                ];
                let (from, to) = edits[random.below(edits.len())];
                assert!(text.contains(from), "{from}");
                fs_err::write(path.join("manifest.json"), text.replace(from, to)).unwrap();
                blamed = vec!["manifest.json".into()];
            }
            6 => fs_err::write(at, [content, &b" "[..]].concat()).unwrap(),
            _ => {
                fs_err::remove_file(&at).unwrap();
                fs_err::create_dir(at).unwrap();
            }
        }
        let message = Bundle::open(&path).expect_err(&format!("case {case}: {what} {name}"));
        let message = message.to_string();
        let no_bundle = blamed.iter().any(|name| name == "manifest.json");
        assert!(
            blamed.iter().any(|name| message.contains(name.as_str())),
            "case {case} ({what}) of {blamed:?}: {message}"
        );
        assert!(no_bundle || message.contains("the bundle is refused"), "{message}");
        restore(&path, &files);
    }
    Bundle::open(&path).unwrap();
}

/// Puts the right sizes and hashes of changed files into the manifest, and its own, as the docs say that they are made.
fn sign(files: &mut BTreeMap<String, Vec<u8>>, mut edit: impl FnMut(&mut serde_json::Value)) {
    let digits = |bytes: &[u8]| -> String {
        let digit = |half: u8| char::from_digit(half.into(), 16).unwrap();
        let hash = Sha256::digest(bytes);
        hash.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
    };
    let mut manifest: Manifest = serde_json::from_slice(&files["manifest.json"]).unwrap();
    for entry in &mut manifest.files {
        let content = &files[&entry.name];
        (entry.bytes, entry.sha256) = (content.len() as u64, digits(content));
    }
    let mut manifest = serde_json::to_value(manifest).unwrap();
    edit(&mut manifest);
    let text = serde_json::to_string_pretty(&manifest).unwrap();
    let body = text.strip_suffix("\n}").unwrap();
    let text = format!("{body},\n  \"sha256\": \"{}\"\n}}\n", digits(body.as_bytes()));
    files.insert("manifest.json".into(), text.into());
}

#[test]
fn what_is_signed_and_nonsense_is_refused_by_its_content_and_none_panics() {
    let fixture = Fixture::new();
    let scorer = fixture.train("elive", "run", "vanilla");
    fixture.export(&scorer, "bundle", Precision::Int8).unwrap();
    let path = fixture.path("bundle");
    let files = contents(&path);
    let open = |changed: &BTreeMap<String, Vec<u8>>| {
        restore(&path, changed);
        Bundle::open(&path)
    };
    let mut signed = files.clone();
    sign(&mut signed, |_| ());
    open(&signed).unwrap();

    let mut random = Random::new(stream(8, "corruptions"));
    let names: Vec<&String> = files.keys().filter(|name| *name != "manifest.json").collect();
    let mut refused = 0;
    for _ in 0..400 {
        let mut changed = files.clone();
        let name = names[random.below(names.len())];
        let content = changed.get_mut(name).unwrap();
        if random.below(3) == 0 {
            content.truncate(random.below(content.len()));
        } else {
            // Headers and counts stand at the beginning.
            let head = if random.below(2) == 0 { content.len() } else { content.len().min(200) };
            flip(&mut content[..head], &mut random);
        }
        sign(&mut changed, |_| ());
        if let Err(error) = open(&changed) {
            let message = error.to_string();
            let known = message.contains(name.as_str()) || message.contains("golden.safetensors");
            // A changed config or schema asks others of the other files.
            let asks = ["config.toml", "schema.toml"].contains(&name.as_str());
            assert!(known || asks, "{name}: {message}");
            refused += 1;
        }
    }
    assert!(refused > 200, "{refused}");

    let message = |edit: &dyn Fn(&mut serde_json::Value)| {
        let mut changed = files.clone();
        sign(&mut changed, edit);
        open(&changed).expect_err("edited").to_string()
    };
    let of =
        |key: &str, value: serde_json::Value| message(&|manifest| manifest[key] = value.clone());
    assert!(of("schema", "0".into()).contains("the manifest names 0"));
    assert!(of("model", "eta".into()).contains("names the model eta, the config elive"));
    assert!(of("format", 2.into()).contains("has format 2, this program reads 1"));
    let without = |name: &'static str| {
        message(&|manifest| {
            let files = manifest["files"].as_array_mut().unwrap();
            files.retain(|file| file["name"] != name);
        })
    };
    assert!(without("weights.safetensors").contains("weights.safetensors: is not in the manifest"));

    // A model that scores otherwise.
    let mut changed = files.clone();
    let weights = changed.get_mut("weights.safetensors").unwrap();
    let last = weights.len() - 1;
    weights[last] ^= 0x41;
    sign(&mut changed, |_| ());
    let error = open(&changed).expect_err("other weights").to_string();
    assert!(
        error.contains("golden.safetensors: request ") && error.contains(" must get "),
        "{error}"
    );
}

#[test]
fn a_run_whose_scores_are_no_numbers_becomes_no_bundle() {
    let fixture = Fixture::new();
    let mut scorer = fixture.train("din", "run", "single");
    scorer.model = parameters::update(scorer.model, |_, values| values.fill(f32::NAN));
    let error = fixture.export(&scorer, "bundle", Precision::Float32).unwrap_err().to_string();
    assert!(error.contains("gives p_watch = NaN for request "), "{error}");
    assert_eq!(fs_err::read_dir(fixture.path("")).unwrap().count(), 2, "feeds and run");
}

#[test]
fn names_in_a_bundle_are_plain_and_taken_once() {
    let fixture = Fixture::new();
    let scorer = fixture.train("eta", "run", "single");
    let out = fixture.path("bundle");
    let mut writer = BundleWriter::create(&out, false, &scorer, Precision::Float32).unwrap();
    for name in ["../x", "config.toml", "manifest.json", "a//b", ""] {
        assert!(writer.write(name, b"x").is_err(), "{name}");
    }
    let about = About {
        version: String::new(),
        created_ms: 0,
        program: String::new(),
        made_of: MadeOf {
            run: String::new(),
            checkpoint: String::new(),
            step: 0,
            feeds: String::new(),
            other_feeds: None,
            tables: None,
        },
        ids: IdKinds::default(),
    };
    let error = writer.publish(about).unwrap_err().to_string();
    assert!(error.contains("does not list golden.safetensors"), "{error}");
    assert!(!out.exists());
    assert!(matches!(Bundle::open(&out), Err(Error::Bundle { .. })));
}
