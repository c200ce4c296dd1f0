//! From a finished run directory to the file that stays.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use eliverec_core::regular;
use eliverec_report::result::{USERS, file_name, users_to_json};
use eliverec_report::{Curve, RunResult};
use eliverec_run::{Scorer, durable};
use eliverec_tables::{FeedDirectory, Split};
use eliverec_train::disentangling::measure;
use eliverec_train::evaluate;
use serde_json::Value;

use super::folder::Job;
use crate::commands::causes::Causes;
use crate::commands::open_run;

/// Points of a curve.
const POINTS: usize = 120;

/// What the results of a folder have in common.
pub(super) struct Keeper {
    pub(super) experiment: String,
    pub(super) feeds: FeedDirectory,
    pub(super) data_fingerprint: String,
    pub(super) results: PathBuf,
    /// Why users did what they did, where they are simulated.
    pub(super) causes: Option<Causes>,
}

impl Keeper {
    /// Evaluates a finished run and writes its result; the users' side file first, so that a result never lacks it.
    pub(super) fn keep(&self, job: &Job, run: &Path, trained: Duration) -> anyhow::Result<()> {
        let begun = std::time::Instant::now();
        let (scorer, commit) = open_run(run)?;
        let detail = evaluate(&scorer, run, &self.feeds, Split::Test)?;
        let log = regular::read_to_string(&run.join("metrics.jsonl"))?;
        let log = Log::read(&log).with_context(|| format!("{}/metrics.jsonl", run.display()))?;
        let result = RunResult {
            experiment: self.experiment.clone(),
            row: job.row.clone(),
            seed: job.seed,
            config: job.config.to_toml(),
            config_fingerprint: job.fingerprint.clone(),
            data_fingerprint: self.data_fingerprint.clone(),
            product_length: job.config.settings().lengths().products,
            report: detail.report,
            validation: commit.position.best_value,
            steps: commit.position.step,
            parameters: scorer.parameters(),
            seconds: (trained + begun.elapsed()).as_secs_f64().round(),
            curves: log.curves,
            calibration: detail.calibration,
            intent: log.intent,
            truth: self.truth(&scorer, run)?,
            truth_fingerprint: self.causes.as_ref().map(|causes| causes.fingerprint.clone()),
        };
        let name = file_name(&job.row, job.seed);
        fs_err::create_dir_all(self.results.join(USERS))?;
        let users = users_to_json(&detail.users);
        durable::write(&self.results.join(USERS).join(&name), users.as_bytes())?;
        durable::write(&self.results.join(name), serde_json::to_string(&result)?.as_bytes())?;
        Ok(())
    }

    /// The run's intents against the truth, by figure.
    fn truth(&self, scorer: &Scorer, run: &Path) -> anyhow::Result<BTreeMap<String, f64>> {
        let Some(causes) = &self.causes else { return Ok(BTreeMap::new()) };
        let is_shared = |event| causes.is_shared(event);
        let measured = measure(scorer, run, &self.feeds, Split::Test, is_shared)?;
        let figures = measured.into_iter().flat_map(|(domain, found)| {
            let known =
                found.figures().into_iter().filter_map(|(name, value)| Some((name, value?)));
            known.map(move |(name, value)| (format!("{domain}.{name}"), value))
        });
        Ok(figures.collect())
    }
}

/// What of `metrics.jsonl` a report shows.
struct Log {
    curves: BTreeMap<String, Curve>,
    intent: BTreeMap<String, f64>,
}

impl Log {
    fn read(text: &str) -> anyhow::Result<Self> {
        let mut values: BTreeMap<String, Vec<(u64, f64)>> = BTreeMap::new();
        let mut intent = BTreeMap::new();
        for line in text.lines() {
            let line: Value = serde_json::from_str(line)?;
            if line["kind"] == "evaluation" {
                intent = serde_json::from_value(line["intent"].clone())?;
                continue;
            }
            let step = line["step"].as_u64().unwrap_or_default();
            let mut add = |name: String, value: &Value| {
                if let Some(value) = value.as_f64() {
                    values.entry(name).or_default().push((step, value));
                }
            };
            add("loss".into(), &line["loss"]);
            for (name, value) in line["terms"].as_object().into_iter().flatten() {
                add(name.clone(), value);
            }
            for (task, record) in line["tasks"].as_object().into_iter().flatten() {
                add(format!("weight.{task}"), &record["weight"]);
                add(format!("cosine.{task}"), &record["cosine"]);
            }
        }
        let curve = |(name, values): (String, Vec<(u64, f64)>)| (name, Curve::of(&values, POINTS));
        Ok(Self { curves: values.into_iter().map(curve).collect(), intent })
    }
}
