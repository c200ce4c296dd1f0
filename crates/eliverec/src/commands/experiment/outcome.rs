//! From a finished run directory to the file that stays.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use eliverec_core::regular;
use eliverec_report::results::{Cost, Curve, RESULTS_FILE, Results, RunResult};
use eliverec_run::{Scorer, durable};
use eliverec_tables::{FeedDirectory, Split};
use eliverec_train::disentangling::measure;
use eliverec_train::evaluate;
use eliverec_train::ranks::Alone;
use serde_json::Value;

use super::folder::Job;
use crate::commands::causes::Causes;
use crate::commands::open_run;

/// Points of a curve.
const POINTS: usize = 60;

/// The seed whose curves and calibration a report draws.
const DRAWN: u64 = 1;

/// What the results of a folder have in common.
pub(super) struct Keeper {
    pub(super) feeds: FeedDirectory,
    /// Where the results are kept.
    pub(super) directory: PathBuf,
    /// Those that are there.
    pub(super) results: Mutex<Results>,
    /// Why users did what they did, where they are simulated.
    pub(super) causes: Option<Causes>,
}

impl Keeper {
    /// Evaluates a finished run and writes its result into the file of all.
    pub(super) fn keep(&self, job: &Job, run: &Path, trained: Duration) -> anyhow::Result<()> {
        let begun = std::time::Instant::now();
        let (scorer, commit) = open_run(run)?;
        let scoring = std::time::Instant::now();
        let detail = evaluate(&scorer, run, &self.feeds, Split::Test, &Alone)?;
        let microseconds = scoring.elapsed().as_secs_f64() * 1e6;
        let log = regular::read_to_string(&run.join("metrics.jsonl"))?;
        let mut log =
            Log::read(&log).with_context(|| format!("{}/metrics.jsonl", run.display()))?;
        let candidates = detail.report.impressions as f64;
        let mut calibration = detail.calibration;
        if job.seed != DRAWN {
            log.curves.clear();
            calibration.clear();
        }
        let result = RunResult {
            row: job.row.clone(),
            seed: job.seed,
            config: job.config.to_toml(),
            config_fingerprint: job.fingerprint.clone(),
            product_length: job.config.settings().lengths().products,
            report: detail.report,
            validation: commit.position.best_value,
            steps: commit.position.step,
            parameters: scorer.parameters(),
            cost: Some(Cost {
                impressions_per_s: log.impressions_per_s.round(),
                microseconds_per_candidate: (microseconds / candidates * 10.0).round() / 10.0,
                sparse_parameters: scorer.rows.parameters(),
            }),
            seconds: (trained + begun.elapsed()).as_secs_f64().round(),
            curves: log.curves,
            calibration,
            intent: log.intent,
            truth: self.truth(&scorer, run)?,
            truth_fingerprint: self.causes.as_ref().map(|causes| causes.fingerprint.clone()),
            users: Vec::new(),
        };
        let mut results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        results.insert(result, Some(&detail.users))?;
        durable::write(&self.directory.join(RESULTS_FILE), &results.to_bytes()?)?;
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
    /// The median over the updates.
    impressions_per_s: f64,
}

impl Log {
    fn read(text: &str) -> anyhow::Result<Self> {
        let mut values: BTreeMap<String, Vec<(u64, f64)>> = BTreeMap::new();
        let mut intent = BTreeMap::new();
        let mut rates = Vec::new();
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
            if let (Some(impressions), Some(seconds)) =
                (line["impressions"].as_f64(), line["seconds"].as_f64())
            {
                rates.push(impressions / seconds.max(1e-9));
            }
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
        rates.sort_by(f64::total_cmp);
        let impressions_per_s = rates.get(rates.len() / 2).copied().unwrap_or_default();
        Ok(Self { curves: values.into_iter().map(curve).collect(), intent, impressions_per_s })
    }
}
