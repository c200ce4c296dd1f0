//! `metrics.jsonl`: one JSON object per update and per evaluation, in order, for plots and for comparing runs.
//!
//! Lines after the last checkpoint belong to work that a kill undid; resuming cuts them off, so every update has one line.

use std::collections::BTreeMap;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use eliverec_metrics::Report;
use eliverec_run::kept;
use serde::Serialize;

use crate::error::Error;
use crate::tasks::Weighed;

/// One line of `metrics.jsonl`.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Record<'a> {
    /// One update.
    Step {
        /// Updates made before this one.
        step: u64,
        /// From 0.
        epoch: u64,
        /// Impressions in the batch.
        impressions: usize,
        /// Sum of the weighted terms, a mean over the impressions.
        loss: f32,
        /// The terms, unweighted, by name.
        terms: BTreeMap<&'a str, f32>,
        /// What the model's own terms are for, by name.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        kinds: BTreeMap<&'a str, &'a str>,
        /// The inter-channel tasks with labels in the batch, by name.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        tasks: BTreeMap<&'a str, TaskRecord>,
        /// The model's own figures, by name, beside the keys above.
        #[serde(flatten)]
        figures: BTreeMap<&'a str, f32>,
        /// Norm of the gradient of the sum over the batch, before clipping.
        gradient_norm: f64,
        /// Rows in the store.
        rows: usize,
        /// Wall time of this update; the one number that differs between equal runs.
        seconds: f64,
    },
    /// One evaluation.
    Evaluation {
        /// Updates made before.
        step: u64,
        /// Epochs begun or finished before.
        epoch: u64,
        /// Which part of the data.
        split: &'a str,
        /// Whether it is the best so far.
        best: bool,
        /// The metrics.
        report: &'a Report,
        /// The model's own figures on the split's first batches, see [`crate::figures`]; reports know them as `intent`.
        #[serde(rename = "intent")]
        figures: BTreeMap<String, f64>,
    },
}

/// A task in one update.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct TaskRecord {
    /// Its loss, without the weight.
    pub loss: f32,
    /// Of its gradient and that of watching.
    pub cosine: f32,
    /// w_i
    pub weight: f32,
}

impl From<&Weighed> for TaskRecord {
    fn from(Weighed { signal, weight, .. }: &Weighed) -> Self {
        Self { loss: signal.loss, cosine: signal.cosine, weight: *weight }
    }
}

/// The open file. Each line is handed to the system as it is written.
#[derive(Debug)]
pub struct MetricsLog {
    file: fs_err::File,
    bytes: u64,
}

impl MetricsLog {
    /// Opens `path` and cuts it to `bytes`, the length at the last checkpoint; 0 starts anew.
    ///
    /// # Errors
    /// [`eliverec_run::Error::Damaged`] if the file is shorter than that.
    pub fn open(path: &Path, bytes: u64) -> Result<Self, Error> {
        kept::check(path)?;
        let mut file =
            fs_err::OpenOptions::new().create(true).write(true).truncate(false).open(path)?;
        let length = file.metadata()?.len();
        if length < bytes {
            let reason = format!("{length} bytes, the last checkpoint was made at {bytes}");
            return Err(eliverec_run::Error::Damaged { path: path.into(), reason }.into());
        }
        file.set_len(bytes)?;
        file.seek(SeekFrom::End(0))?;
        Ok(Self { file, bytes })
    }

    /// Appends a line.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write(&mut self, record: &Record<'_>) -> Result<(), Error> {
        let mut line = serde_json::to_vec(record).map_err(std::io::Error::other)?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        self.bytes += line.len() as u64;
        Ok(())
    }

    /// Flushes to disk and tells the length, which a checkpoint records.
    ///
    /// # Errors
    /// What the file system says.
    pub fn commit(&mut self) -> Result<u64, Error> {
        self.file.sync_data()?;
        Ok(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(step: u64) -> Record<'static> {
        Record::Step {
            step,
            epoch: 0,
            impressions: 4,
            loss: 0.5,
            terms: [("watch", 0.5)].into(),
            tasks: BTreeMap::new(),
            kinds: [("size", "regulariser")].into(),
            figures: [("floor", 0.5)].into(),
            gradient_norm: 1.0,
            rows: 2,
            seconds: 0.1,
        }
    }

    #[test]
    fn reopening_cuts_what_was_not_committed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("metrics.jsonl");
        let mut log = MetricsLog::open(&path, 0).unwrap();
        log.write(&record(0)).unwrap();
        let committed = log.commit().unwrap();
        log.write(&record(1)).unwrap();
        drop(log);
        let mut log = MetricsLog::open(&path, committed).unwrap();
        log.write(&record(7)).unwrap();
        let text = fs_err::read_to_string(&path).unwrap();
        let steps: Vec<u64> = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["step"].as_u64())
            .map(Option::unwrap)
            .collect();
        assert_eq!(steps, [0, 7]);
    }

    /// What a model logs of itself stands beside what every model has.
    #[test]
    fn figures_are_keys_of_the_line_and_terms_tell_what_they_are_for() {
        let line = serde_json::to_value(record(0)).unwrap();
        assert_eq!(line["floor"], 0.5);
        assert_eq!(line["kinds"]["size"], "regulariser");
        assert_eq!(line["terms"]["watch"], 0.5);
    }

    #[test]
    fn a_file_shorter_than_committed_is_damage() {
        let directory = tempfile::tempdir().unwrap();
        let error = MetricsLog::open(&directory.path().join("metrics.jsonl"), 10).unwrap_err();
        assert!(matches!(error, Error::Run(eliverec_run::Error::Damaged { .. })), "{error}");
    }
}
