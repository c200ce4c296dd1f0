//! The experiment file: what a run is asked to do, as plain values. Parsing does no I/O and builds nothing.
//!
//! Unknown keys are errors that name the file, the table and the nearest key. The resolved text is kept with the run.

use eliverec_core::adagrad::AdagradConfig;
use eliverec_core::{Schema, TableSpec};
use eliverec_models::ModelSettings;
use eliverec_models::heads::HeadsConfig;
use eliverec_models::registry::{MODELS, ModelConfig};
use eliverec_models::settings::{InputConfig, NextEventConfig, TowerConfig};
use eliverec_store::StoreConfig;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::error::Error;
use crate::overrides;
use crate::presets;
use crate::stop_metric::StopMetric;
use crate::suggestion::{nearest, suggestion};
use crate::tasks::{Mode, TasksConfig};

/// A whole experiment file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Every random decision of the run derives from it.
    pub seed: u64,
    /// `[model]`: the name and the model's own keys.
    pub model: ModelConfig,
    /// `[input]`: embedding width, domains, history lengths.
    #[serde(default)]
    pub input: InputConfig,
    /// `[tower]`: the dense layers of Eq. 11.
    #[serde(default)]
    pub tower: TowerConfig,
    /// `[store]`: embedding tables.
    #[serde(default)]
    pub store: StoreConfig,
    /// `[tasks]`: inter-channel tasks beside watching, and what balances them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tasks: TasksConfig,
    /// `[heads]`: their layers.
    #[serde(default, skip_serializing_if = "is_default")]
    pub heads: HeadsConfig,
    /// `[training]`: the loop.
    #[serde(default)]
    pub training: TrainingConfig,
}

/// The keys and tables at the top of a file.
const TABLES: [&str; 9] =
    [presets::KEY, "seed", "model", "input", "tower", "store", "tasks", "heads", "training"];

/// Tables that are left out where they say nothing.
fn is_default<T: Default + PartialEq>(table: &T) -> bool {
    *table == T::default()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_one(number: &usize) -> bool {
    *number == 1
}

/// `[training]` of an experiment file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainingConfig {
    /// A batch is whole feeds up to this many impressions.
    pub batch_impressions: usize,
    /// Parts that each batch is cut into by feeds, and the rows by their ids: so many processes can train one model together, and
    /// results do not depend on how many do.
    #[serde(skip_serializing_if = "is_one")]
    pub shards: usize,
    /// Passes over the training split.
    pub epochs: u64,
    /// Stop after this many updates, whatever `epochs` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_steps: Option<u64>,
    /// Of the dense parameters; the tables have their own in `[store]`.
    pub learning_rate: f32,
    /// The dense learning rate grows linearly over this many updates.
    pub warmup_steps: u64,
    /// Gradients of all parameters and rows together are scaled down to this norm. It bounds the gradient of the sum over
    /// the batch, so it goes with `batch_impressions`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f32>,
    /// Evaluations without improvement after which training stops; 0 never stops early.
    pub patience: u32,
    /// What early stopping watches on the validation split, and what chooses the best checkpoint.
    pub stop_metric: StopMetric,
    /// Updates between two evaluations; 0 evaluates after every epoch.
    pub evaluate_every_steps: u64,
    /// Updates between two checkpoints; 0 writes one only after evaluations that improve and at the end.
    pub checkpoint_every_steps: u64,
    /// Feeds in the shuffle buffer; more shuffle better and hold more memory.
    pub shuffle_buffer_feeds: usize,
    /// Updates between two lines of progress where the output is not a terminal.
    pub log_every_steps: u64,
    /// Worker threads; all cores if omitted. Results do not depend on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
    /// Where the model computes.
    pub device: ComputeDevice,
    /// Rule of the dense parameters, that of the tables is in `[store]`; a wide `elive` begins at 10 where no file says it.
    pub adagrad: AdagradConfig,
    /// `[training.next_event]`: which event comes next as a further signal, for any model; none if the table is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_event: Option<NextEventConfig>,
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            batch_impressions: 2_048,
            shards: 1,
            epochs: 5,
            max_steps: None,
            learning_rate: 0.01,
            warmup_steps: 0,
            clip_norm: None,
            patience: 2,
            stop_metric: StopMetric::GaucFeed,
            evaluate_every_steps: 0,
            checkpoint_every_steps: 500,
            shuffle_buffer_feeds: 8_192,
            log_every_steps: 50,
            threads: None,
            device: ComputeDevice::Cpu,
            adagrad: AdagradConfig::default(),
            next_event: None,
        }
    }
}

/// Where the model computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ComputeDevice {
    /// This machine's cores.
    Cpu,
    /// Any graphics card, needs the cargo feature `wgpu`.
    Wgpu,
    /// An NVIDIA card, needs the cargo feature `cuda`.
    Cuda,
}

impl Config {
    /// Reads the text of a config file, applies `key=value` overrides in order and fills in the [preset](presets). `place`
    /// names the file in errors.
    ///
    /// # Errors
    /// [`Error::Config`]: syntax, an unknown key, model or preset with its nearest known name, a wrong type or an impossible
    /// value.
    pub fn parse(text: &str, place: &str, assignments: &[String]) -> Result<Self, Error> {
        Self::read(text, place, assignments).map_err(|error| {
            // What is right without an override is the override's fault, and not the file's.
            let is_to_blame = |i: &usize| {
                let others = assignments.iter().enumerate().filter(|(j, _)| j != i);
                let others: Vec<String> = others.map(|(_, other)| other.clone()).collect();
                Self::read(text, place, &others).is_ok()
            };
            let all = || Self::read(text, place, &[]).is_ok();
            match ((0..assignments.len()).find(is_to_blame), error) {
                (Some(i), Error::Config { reason, .. }) => {
                    overrides::wrong(&assignments[i], reason)
                }
                (None, Error::Config { reason, .. }) if all() => {
                    overrides::wrong(&assignments.join(" "), reason)
                }
                (_, error) => error,
            }
        })
    }

    fn read(text: &str, place: &str, assignments: &[String]) -> Result<Self, Error> {
        let mut table = text.parse::<Table>().map_err(|e| syntax(&e, text, place))?;
        for assignment in assignments {
            overrides::apply(&mut table, assignment)?;
        }
        let wrong = |reason: String| Error::Config { place: place.into(), reason };
        if let Some(key) = table.keys().find(|key| !TABLES.contains(&key.as_str())) {
            return Err(wrong(format!(
                "unknown key `{key}`; {}",
                suggestion(key, TABLES.iter().copied())
            )));
        }
        let name = table.get("model").and_then(|model| model.get("name"));
        let known = MODELS.iter().map(|(name, _)| *name);
        let Some(name) = name.and_then(Value::as_str).map(str::to_string) else {
            let all = known.collect::<Vec<_>>().join(", ");
            return Err(wrong(format!("[model] needs a name, one of {all}")));
        };
        if !known.clone().any(|known| known == name) {
            let suggestion = suggestion(&name, known);
            return Err(wrong(format!("unknown model `{name}`; {suggestion}")));
        }
        presets::resolve(&mut table, &name).map_err(wrong)?;
        crate::accumulators::begin(&mut table, &name);
        let config = Self {
            seed: match table.get("seed") {
                Some(value) => deserialize(value.clone(), "seed", place)?,
                None => 1,
            },
            model: section(&table, "model", place)?,
            input: section(&table, "input", place)?,
            tower: section(&table, "tower", place)?,
            store: section(&table, "store", place)?,
            tasks: section(&table, "tasks", place)?,
            heads: section(&table, "heads", place)?,
            training: section(&table, "training", place)?,
        };
        config.training.check().map_err(wrong)?;
        config.tasks.check().map_err(wrong)?;
        config.tasks.check_shards(config.training.shards).map_err(wrong)?;
        config.settings().check().map_err(|e| wrong(e.to_string()))?;
        config.store.check().map_err(|e| wrong(e.to_string()))?;
        Ok(config)
    }

    /// The resolved config, which [`Config::parse`] reads back to an equal one.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a config always serialises")
    }

    /// What the model needs to know.
    pub fn settings(&self) -> ModelSettings {
        ModelSettings {
            model: self.model.clone(),
            input: self.input.clone(),
            tower: self.tower.clone(),
            heads: (self.tasks.mode != Mode::Single).then(|| self.heads.clone()),
            next_event: self.training.next_event.clone(),
        }
    }

    /// The embedding tables of a model on feeds of `schema`, as the store takes them.
    pub fn tables(&self, schema: &Schema) -> Vec<TableSpec> {
        self.settings().tables(schema)
    }

    /// The dotted keys in which two configs differ, empty for equal ones.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let table = |config: &Self| {
            Value::Table(config.to_toml().parse().expect("a resolved config parses"))
        };
        let mut differences = Vec::new();
        compare("", Some(&table(self)), Some(&table(other)), &mut differences);
        differences
    }
}

/// More threads than any machine has cores for would only wait for one another.
const MOST_THREADS: usize = 1024;
/// A batch has no more feeds than a few thousand.
const MOST_SHARDS: usize = 1024;

impl TrainingConfig {
    fn check(&self) -> Result<(), String> {
        let positive = [
            ("batch_impressions", self.batch_impressions as u64),
            ("shards", self.shards as u64),
            ("epochs", self.epochs),
            ("shuffle_buffer_feeds", self.shuffle_buffer_feeds as u64),
            ("log_every_steps", self.log_every_steps),
            ("max_steps", self.max_steps.unwrap_or(1)),
            ("threads", self.threads.unwrap_or(1) as u64),
        ];
        if let Some((key, _)) = positive.into_iter().find(|(_, value)| *value == 0) {
            return Err(format!("training.{key} must be at least 1"));
        }
        if self.shards > MOST_SHARDS {
            return Err(format!("training.shards is {}; write at most {MOST_SHARDS}", self.shards));
        }
        if let Some(threads) = self.threads.filter(|threads| *threads > MOST_THREADS) {
            return Err(format!("training.threads is {threads}; write at most {MOST_THREADS}"));
        }
        let rates = [("learning_rate", Some(self.learning_rate)), ("clip_norm", self.clip_norm)];
        for (key, value) in rates {
            if let Some(value) = value.filter(|v| !v.is_finite() || *v <= 0.0) {
                return Err(format!("training.{key} is {value}; it must be a positive number"));
            }
        }
        Ok(())
    }
}

fn section<T: DeserializeOwned>(table: &Table, name: &str, place: &str) -> Result<T, Error> {
    let value = table.get(name).cloned().unwrap_or_else(|| Value::Table(Table::new()));
    deserialize(value, name, place)
}

fn deserialize<T: DeserializeOwned>(value: Value, name: &str, place: &str) -> Result<T, Error> {
    value.try_into().map_err(|error: toml::de::Error| {
        let message = error.to_string();
        let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut quoted = message.split('`').skip(1).step_by(2);
        let nearest = match quoted.next() {
            Some(unknown) if message.contains("unknown field") => nearest(unknown, quoted),
            _ => None,
        };
        let hint = nearest.map_or(String::new(), |name| format!("; did you mean `{name}`?"));
        Error::Config { place: format!("{place}: [{name}]"), reason: format!("{message}{hint}") }
    })
}

fn syntax(error: &toml::de::Error, text: &str, place: &str) -> Error {
    let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
    let reason = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
    Error::Config { place: format!("{place}: line {line}"), reason }
}

fn compare(path: &str, ours: Option<&Value>, theirs: Option<&Value>, found: &mut Vec<String>) {
    match (ours, theirs) {
        (Some(Value::Table(a)), Some(Value::Table(b))) => {
            let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                compare(&path, a.get(key), b.get(key), found);
            }
        }
        (ours, theirs) if ours != theirs => {
            let text = |value: Option<&Value>| value.map_or("unset".into(), ToString::to_string);
            found.push(format!("{path} ({} to {})", text(ours), text(theirs)));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "seed = 3\n[model]\nname = \"elive\"\n[training]\nepochs = 2\n";

    fn message(text: &str, assignments: &[&str]) -> String {
        let assignments: Vec<String> = assignments.iter().map(|a| (*a).into()).collect();
        Config::parse(text, "quick.toml", &assignments).unwrap_err().to_string()
    }

    #[test]
    fn resolved_text_reads_back_equal() {
        let config = Config::parse(TEXT, "quick.toml", &["training.clip_norm=5".into()]).unwrap();
        assert_eq!(config.training.epochs, 2);
        assert_eq!(config.training.clip_norm, Some(5.0));
        assert_eq!(Config::parse(&config.to_toml(), "", &[]).unwrap(), config);
    }

    #[test]
    fn unknown_names_come_with_the_nearest_known_one() {
        let unknown_model = message(TEXT, &["model.name=elife"]);
        assert!(unknown_model.contains("did you mean `elive`"), "{unknown_model}");
        let unknown_key = message(TEXT, &["training.epohcs=2"]);
        for part in ["override \"training.epohcs=2\"", "did you mean `epochs`"] {
            assert!(unknown_key.contains(part), "{unknown_key}");
        }
        assert!(!unknown_key.contains("quick.toml"), "{unknown_key}");
        let two = message(TEXT, &["training.epohcs=2", "model.name=nope"]);
        assert!(two.starts_with("override \"training.epohcs=2 model.name=nope\""), "{two}");
        let of_the_file = message(&format!("{TEXT}epohcs = 2\n"), &["seed=2"]);
        for part in ["quick.toml", "[training]", "epohcs", "did you mean `epochs`"] {
            assert!(of_the_file.contains(part), "{of_the_file}");
        }
        let unknown_table = message(TEXT, &["trainin.epochs=2"]);
        assert!(unknown_table.contains("did you mean `training`"), "{unknown_table}");
        let unknown_model_key = message(TEXT, &["model.haeds=2"]);
        assert!(unknown_model_key.contains("model.haeds=2"), "{unknown_model_key}");
    }

    #[test]
    fn errors_are_one_line_and_name_the_place() {
        let syntax = message("seed = 3\n[model\n", &[]);
        assert!(syntax.contains("quick.toml: line 2"), "{syntax}");
        let wrong_type = message(TEXT, &["training.epochs=many"]);
        assert!(wrong_type.contains("override \"training.epochs=many\""), "{wrong_type}");
        let range = message(TEXT, &["training.batch_impressions=0"]);
        assert!(range.contains("batch_impressions"), "{range}");
        for message in [syntax, wrong_type, range] {
            assert_eq!(message.lines().count(), 1, "{message}");
        }
    }

    #[test]
    fn stop_metrics_are_written_as_reports_name_them() {
        for metric in ["auc", "gauc_user", "gauc_feed", "ndcg_at_10", "logloss"] {
            let assignment = format!("training.stop_metric={metric}");
            let config = Config::parse(TEXT, "", &[assignment]).unwrap();
            assert_eq!(config.training.stop_metric.name(), metric);
            assert!(eliverec_metrics::report::metric(metric).is_some());
        }
    }

    #[test]
    fn differences_name_the_dotted_key() {
        let ours = Config::parse(TEXT, "", &[]).unwrap();
        let theirs = Config::parse(TEXT, "", &["training.epochs=9".into()]).unwrap();
        assert_eq!(ours.differences(&theirs), ["training.epochs (2 to 9)"]);
        assert!(ours.differences(&ours).is_empty());
    }
}
