//! What an experiment keeps: one small file for all rows and seeds, enough for every table, verdict and plot, without checkpoints.
//!
//! `results.jsonl.zst` is JSON by lines, packed (`zstdcat results.jsonl.zst | jq`): first [`Head`], then one [`RunResult`] per line, by row and
//! seed. It is written anew with each run that ends; lines that are there already stay what they are, to the byte.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

use eliverec_core::regular;
use eliverec_metrics::shares::{BY_USER, grouped};
use eliverec_metrics::{Report, UserShares};
use serde::{Deserialize, Serialize};

use crate::Error;

/// The file's name in the directory of results.
pub const RESULTS_FILE: &str = "results.jsonl.zst";

/// Groups of users whose values are kept, so that a file stays small however many users there are.
pub const GROUPS: usize = 200;

/// A group's value is kept in this many parts of one.
const PARTS: f64 = 10_000.0;

/// What the results of a folder have in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// The folder, as `table3`.
    pub experiment: String,
    /// Of schema and files of the feeds.
    pub data_fingerprint: String,
    /// Weights of the groups of users in each metric of [`BY_USER`]; empty until a run with users' values is kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weights: Vec<Vec<u64>>,
}

/// One row of a folder under one seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// The file without its ending, as `wo-c`.
    pub row: String,
    /// Of initial values, shuffles and draws.
    pub seed: u64,
    /// The resolved config, as TOML.
    pub config: String,
    /// Of the resolved config: two runs with one fingerprint differ in nothing that was chosen.
    pub config_fingerprint: String,
    /// History length n of the product domain, for the sweep of Fig. 6.
    pub product_length: usize,
    /// Test split, best checkpoint.
    pub report: Report,
    /// Best validation value of the stop metric.
    pub validation: Option<f64>,
    /// Updates made.
    pub steps: u64,
    /// Dense parameters.
    pub parameters: u64,
    /// Wall time of training and evaluation, on whatever else the machine did.
    pub seconds: f64,
    /// What it takes; `None` of runs that were kept without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// By name: `loss`, the terms, `weight.TASK`, `cosine.TASK`. Of seed 1 alone, whose curves are drawn.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub curves: BTreeMap<String, Curve>,
    /// Mean predicted, share watched and impressions of every bin that has any; of seed 1 alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calibration: Vec<(f64, f64, u64)>,
    /// Statistics of the intents at the last evaluation.
    pub intent: BTreeMap<String, f64>,
    /// Of a simulated world: how well the intents find what users meant, on the test split.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub truth: BTreeMap<String, f64>,
    /// Of the truth that the intents were compared with, if they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truth_fingerprint: Option<String>,
    /// The groups' values in each metric of [`BY_USER`], in parts of ten thousand; empty where users' values were not kept.
    /// [`Results::insert`] puts them in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<Vec<u16>>,
}

/// What a model takes, on whatever else the machine did.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Impressions that training takes in a second: the median over the updates.
    pub impressions_per_s: f64,
    /// Time of a candidate of the test split in scoring.
    pub microseconds_per_candidate: f64,
    /// Numbers in rows of embedding tables.
    pub sparse_parameters: u64,
}

/// A number over the updates, a mean per stretch of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Middle of each stretch.
    pub steps: Vec<f64>,
    /// Mean over it.
    pub values: Vec<f64>,
}

impl Curve {
    /// From one value per update that has one, at most `points` stretches.
    pub fn of(values: &[(u64, f64)], points: usize) -> Self {
        let stretch = values.len().div_ceil(points.max(1)).max(1);
        let mut curve = Self::default();
        for chunk in values.chunks(stretch) {
            let n = chunk.len() as f64;
            curve.steps.push(chunk.iter().map(|(step, _)| *step as f64).sum::<f64>() / n);
            let mean = chunk.iter().map(|(_, value)| value).sum::<f64>() / n;
            // Six digits are more than a plot shows.
            curve.values.push((mean * 1e6).round() / 1e6);
        }
        curve
    }
}

/// The results of a directory.
#[derive(Clone, Debug)]
pub struct Results {
    /// What they have in common.
    pub head: Head,
    /// By row and seed, each with its line of the file.
    runs: Vec<(RunResult, String)>,
}

impl Results {
    /// None yet.
    pub fn new(experiment: &str, data_fingerprint: &str) -> Self {
        let head = Head {
            experiment: experiment.into(),
            data_fingerprint: data_fingerprint.into(),
            weights: Vec::new(),
        };
        Self { head, runs: Vec::new() }
    }

    /// Reads those of a directory; `None` if it has none.
    ///
    /// # Errors
    /// A file that is damaged, with the line.
    pub fn read(directory: &Path) -> Result<Option<Self>, Error> {
        let path = directory.join(RESULTS_FILE);
        if !path.exists() {
            return Ok(None);
        }
        let damaged = |reason: String| Error::Damaged { path: path.clone(), reason };
        let mut text = String::new();
        let packed = read(&path)?;
        zstd::Decoder::new(&*packed)
            .and_then(|mut unpacking| unpacking.read_to_string(&mut text))
            .map_err(|e| damaged(e.to_string()))?;
        let mut lines = text.lines();
        let at = |line: usize, e: serde_json::Error| damaged(format!("line {line}: {e}"));
        let head = lines.next().ok_or_else(|| damaged("is empty".into()))?;
        let head: Head = serde_json::from_str(head).map_err(|e| at(1, e))?;
        let groups: Vec<usize> = head.weights.iter().map(Vec::len).collect();
        let mut runs = Vec::new();
        for (number, line) in lines.enumerate() {
            let run: RunResult = serde_json::from_str(line).map_err(|e| at(number + 2, e))?;
            let values: Vec<usize> = run.users.iter().map(Vec::len).collect();
            if !values.is_empty() && values != groups {
                let reason = "has users' values of other groups than the first line has weights";
                return Err(damaged(format!("line {}: {reason}", number + 2)));
            }
            runs.push((run, line.to_owned()));
        }
        Ok(Some(Self { head, runs }))
    }

    /// All of them, by row and seed.
    pub fn runs(&self) -> impl Iterator<Item = &RunResult> {
        self.runs.iter().map(|(run, _)| run)
    }

    /// The result of a row under a seed.
    pub fn find(&self, row: &str, seed: u64) -> Option<&RunResult> {
        self.runs().find(|run| run.row == row && run.seed == seed)
    }

    /// Adds a run, in place of that of the same row and seed, with its users' values in groups where they are known.
    ///
    /// # Errors
    /// Users with other weights than those of the runs before: another split.
    pub fn insert(
        &mut self,
        mut run: RunResult,
        users: Option<&[UserShares]>,
    ) -> Result<(), Error> {
        if let Some(users) = users {
            let all = grouped(users, GROUPS);
            if self.head.weights.is_empty() {
                self.head.weights.clone_from(&all.weights);
            }
            if self.head.weights != all.weights {
                return Err(Error::OtherUsers { row: run.row, seed: run.seed });
            }
            let parts = |value: &f64| (value * PARTS).round() as u16;
            run.users = all.values.iter().map(|group| group.iter().map(parts).collect()).collect();
        }
        let line = serde_json::to_string(&run).map_err(std::io::Error::from)?;
        let place = self
            .runs
            .binary_search_by(|(other, _)| (&other.row, other.seed).cmp(&(&run.row, run.seed)));
        match place {
            Ok(place) => self.runs[place] = (run, line),
            Err(place) => self.runs.insert(place, (run, line)),
        }
        Ok(())
    }

    /// The bytes of the file.
    ///
    /// # Errors
    /// What the packer says.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let mut packing = zstd::Encoder::new(Vec::new(), 19)?;
        packing.include_checksum(true)?;
        let head = serde_json::to_string(&self.head).map_err(std::io::Error::from)?;
        writeln!(packing, "{head}")?;
        for (_, line) in &self.runs {
            writeln!(packing, "{line}")?;
        }
        Ok(packing.finish()?)
    }
}

/// Reads whatever is kept of a run as JSON.
///
/// # Errors
/// A file that does not parse, and a folder in its place.
pub fn parse<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, Error> {
    serde_json::from_slice(&read(path)?)
        .map_err(|e| Error::Damaged { path: path.into(), reason: e.to_string() })
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    regular::read(path).map_err(|error| {
        let reason = match error.kind() {
            ErrorKind::IsADirectory => regular::A_FOLDER,
            ErrorKind::NotSeekable => regular::NO_FILE,
            _ => return error.into(),
        };
        Error::Damaged { path: path.into(), reason: reason.into() }
    })
}

impl RunResult {
    /// The values of the groups of users in a metric of [`BY_USER`]; `None` where they were not kept.
    pub fn users(&self, metric: &str) -> Option<Vec<f64>> {
        let place = BY_USER.iter().position(|name| *name == metric)?;
        Some(self.users.get(place)?.iter().map(|parts| f64::from(*parts) / PARTS).collect())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use eliverec_metrics::Evaluation;
    use eliverec_metrics::shares::Share;

    /// A run with these metrics and nothing else.
    pub(crate) fn run(row: &str, seed: u64, auc: f64) -> RunResult {
        let report = Evaluation::new().finish();
        let report = Report { auc: Some(auc), gauc_user: Some(auc), gauc_feed: None, ..report };
        RunResult {
            row: row.into(),
            seed,
            config: "seed = 1".into(),
            config_fingerprint: "c".into(),
            product_length: 50,
            report,
            validation: None,
            steps: 1,
            parameters: 2,
            seconds: 0.1 + 0.2,
            cost: None,
            curves: BTreeMap::new(),
            calibration: Vec::new(),
            intent: BTreeMap::new(),
            truth: BTreeMap::new(),
            truth_fingerprint: None,
            users: Vec::new(),
        }
    }

    /// Users with equal weights and these values in every metric.
    pub(crate) fn users(values: impl IntoIterator<Item = f64>) -> Vec<UserShares> {
        let shares = |value: f64| [Share { weight: 2, value }; BY_USER.len()];
        (0..).zip(values).map(|(user, value)| UserShares { user, shares: shares(value) }).collect()
    }

    #[test]
    fn a_curve_keeps_the_mean_of_every_stretch() {
        let values: Vec<(u64, f64)> = (0..10).map(|i| (i, i as f64)).collect();
        let curve = Curve::of(&values, 2);
        assert_eq!(curve.steps, [2.0, 7.0]);
        assert_eq!(curve.values, [2.0, 7.0]);
        assert_eq!(Curve::of(&[], 5), Curve::default());
    }

    #[test]
    fn results_come_back_to_the_byte_in_any_order_of_their_making() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Results::read(folder.path()).unwrap().is_none());
        let own = users([0.123_44, 0.5]);
        let mut results = Results::new("table3", "d");
        results.insert(run("b", 2, 0.7), None).unwrap();
        results.insert(run("a", 10, 0.1 + 0.2), Some(&own)).unwrap();
        results.insert(run("a", 9, 0.3), Some(&own)).unwrap();
        let mut otherwise = Results::new("table3", "d");
        for (row, seed, auc) in [("a", 9, 0.1), ("a", 10, 0.1 + 0.2), ("a", 9, 0.3)] {
            otherwise.insert(run(row, seed, auc), Some(&own)).unwrap();
        }
        otherwise.insert(run("b", 2, 0.7), None).unwrap();
        let bytes = results.to_bytes().unwrap();
        assert_eq!(otherwise.to_bytes().unwrap(), bytes);

        fs_err::write(folder.path().join(RESULTS_FILE), &bytes).unwrap();
        let read = Results::read(folder.path()).unwrap().unwrap();
        assert_eq!(read.to_bytes().unwrap(), bytes);
        let order: Vec<_> = read.runs().map(|run| (&*run.row, run.seed)).collect();
        assert_eq!(order, [("a", 9), ("a", 10), ("b", 2)]);
        let kept = read.find("a", 10).unwrap().users("gauc_feed").unwrap();
        assert_eq!(kept.len(), 2);
        assert!(kept.contains(&0.1234) && kept.contains(&0.5), "{kept:?}");
        assert_eq!(read.find("b", 2).unwrap().users("auc"), None);
        let mut read = read;
        let other = read.insert(run("c", 1, 0.5), Some(&users([0.5]))).unwrap_err().to_string();
        assert!(other.contains("c seed 1") && other.contains("other users"), "{other}");
    }

    #[test]
    fn no_flipped_bit_changes_a_result() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(RESULTS_FILE);
        let mut results = Results::new("table3", "d");
        results.insert(run("a", 1, 0.5), Some(&users([0.25, 0.75]))).unwrap();
        let bytes = results.to_bytes().unwrap();
        let (mut told, mut flipped) = (0, 0);
        for bit in (0..8 * bytes.len()).step_by(7) {
            flipped += 1;
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            fs_err::write(&path, damaged).unwrap();
            match Results::read(folder.path()) {
                // The packer leaves a few bits without a meaning.
                Ok(read) => assert_eq!(read.unwrap().to_bytes().unwrap(), bytes, "{bit}"),
                Err(error) => {
                    assert!(error.to_string().contains("results.jsonl.zst: "), "{bit}: {error}");
                    told += 1;
                }
            }
        }
        assert!(told * 100 > 98 * flipped, "{told} of {flipped}");
        fs_err::write(&path, zstd::encode_all(&b"{}"[..], 1).unwrap()).unwrap();
        let told = Results::read(folder.path()).unwrap_err().to_string();
        assert!(told.contains("line 1: missing field"), "{told}");
    }
}
