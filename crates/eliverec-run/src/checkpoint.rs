//! Checkpoints with one commit point, so that a kill at any moment leaves a run that loads.
//!
//! A checkpoint is written and flushed to disk under a new name; then `checkpoint.json` is replaced by one rename. It names
//! the current and the best checkpoint and holds the position in the data, so everything changes at once or not at all.
//! Directories that it does not name are leftovers and removed.

use std::path::Path;

use serde::{Deserialize, Serialize};

pub use crate::checkpoint_files::{
    Dense, create, load_dense, load_rows, map_store, write_dense, write_rows,
};
use crate::checksums::{self, Checksums};
use crate::durable;
use crate::error::Error;
use crate::kept;
use crate::run::RunDirectory;

/// Where training is: everything that the loop knows besides weights, accumulators and rows. Seeds are derived from it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainingPosition {
    /// Updates made.
    pub step: u64,
    /// Updates made before the run began, by the run that it goes on from.
    #[serde(default)]
    pub first_step: u64,
    /// Epochs finished.
    pub epoch: u64,
    /// Batches used in this epoch.
    pub batches: u64,
    /// Feeds in them.
    pub feeds: u64,
    /// Whether an evaluation comes before the next update.
    pub evaluation_due: bool,
    /// Step of the last evaluation.
    pub evaluated_step: Option<u64>,
    /// Best value of the stop metric so far, larger being better.
    pub best_value: Option<f64>,
    /// Evaluations since the best one.
    pub without_improvement: u32,
    /// Why training is over.
    pub finished: Option<Finish>,
}

impl TrainingPosition {
    /// Updates that the run itself made.
    pub const fn own_steps(&self) -> u64 {
        self.step - self.first_step
    }
}

/// Why training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// All epochs are done.
    Epochs,
    /// `training.max_steps` was reached.
    MaxSteps,
    /// `training.patience` evaluations brought nothing.
    Patience,
}

/// The content of `checkpoint.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Commit {
    /// Of this file.
    pub version: u32,
    /// Checkpoint to resume from, relative to the run.
    pub current: String,
    /// Checkpoint to evaluate and to explain with.
    pub best: String,
    /// Where training is.
    pub position: TrainingPosition,
    /// Length of `metrics.jsonl` at this moment.
    pub metrics_bytes: u64,
    /// Feeds of the training split, to notice other data.
    pub training_feeds: u64,
    /// Of weights, moments and settings; `None` for a run of a program that did not keep them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksums: Option<Checksums>,
}

/// The version that this code writes.
pub const VERSION: u32 = 1;

impl Commit {
    /// Takes over the checksums of the commit that it follows, and those of files that have come since.
    ///
    /// # Errors
    /// What the file system says.
    pub fn sealed(self, run: &RunDirectory, previous: Option<&Self>) -> Result<Self, Error> {
        let before = previous.and_then(|previous| previous.checksums.as_ref());
        let checksums = Checksums::of(run, before, &[&self.current, &self.best])?;
        Ok(Self { checksums: Some(checksums), ..self })
    }

    /// Compares the files of the run, and of these of its checkpoints, with their checksums, if it keeps any.
    ///
    /// # Errors
    /// [`Error::Damaged`] names the file that has changed.
    pub fn check_files(&self, run: &RunDirectory, checkpoints: &[&str]) -> Result<(), Error> {
        self.checksums.as_ref().map_or(Ok(()), |checksums| checksums.check(run, checkpoints))
    }

    /// What a person is told if the run keeps no checksums.
    pub fn unchecked(&self, run: &RunDirectory) -> Option<String> {
        let path = run.path().display();
        self.checksums.is_none().then(|| {
            format!("{path}: this run keeps no checksums; whether its weights and settings are whole is not checked")
        })
    }

    /// What stands in the file: with its own checksum among those that it holds, taken while that is empty.
    fn text(&self) -> Result<String, Error> {
        let with = |own: String| {
            let checksums = self.checksums.clone().map(|checksums| checksums.with_own(own));
            let commit = Self { checksums, ..self.clone() };
            serde_json::to_string_pretty(&commit).map_err(std::io::Error::other)
        };
        Ok(with(checksums::of_text(&with(String::new())?))?)
    }

    /// Makes it the commit point of a run.
    ///
    /// # Errors
    /// What the file system says; the earlier one holds then.
    pub fn write(&self, run: &RunDirectory) -> Result<(), Error> {
        durable::write(&run.commit_file(), self.text()?.as_bytes())?;
        let mark = run.committed_file();
        // After it, so that a run that is killed between them is not taken for one that has lost its commit point.
        if mark.exists() { Ok(()) } else { Ok(durable::write(&mark, b"")?) }
    }
}

/// Reads the commit point; `None` if nothing was committed yet.
///
/// # Errors
/// [`Error::Damaged`] if it does not parse, is of another version, or is gone after it was there.
pub fn read_commit(run: &RunDirectory) -> Result<Option<Commit>, Error> {
    let path = run.commit_file();
    let damaged = |reason: String| Error::Damaged { path: path.clone(), reason };
    if path.symlink_metadata().is_err() {
        return if run.committed_file().exists() {
            Err(damaged("is missing".into()))
        } else {
            Ok(None)
        };
    }
    let text = kept::text(&path)?;
    let commit: Commit = serde_json::from_str(&text).map_err(|e| damaged(e.to_string()))?;
    if commit.checksums.as_ref().is_some_and(|checksums| !checksums.are_of(&text)) {
        return Err(damaged("has changed since it was written (its checksum is wrong)".into()));
    }
    if commit.version != VERSION {
        return Err(damaged(format!("version {}, this program reads {VERSION}", commit.version)));
    }
    Ok(Some(commit))
}

/// Removes every checkpoint that the commit point does not name.
///
/// # Errors
/// What the file system says.
pub fn remove_leftovers(run: &RunDirectory, commit: Option<&Commit>) -> Result<(), Error> {
    if !run.checkpoints().exists() {
        return Ok(());
    }
    for entry in fs_err::read_dir(run.checkpoints())? {
        let path = entry?.path();
        let named = |commit: &Commit| {
            [&commit.current, &commit.best].iter().any(|n| run.path().join(n) == path)
        };
        if !commit.is_some_and(named) {
            fs_err::remove_dir_all(&path)?;
        }
    }
    Ok(())
}

/// The name, relative to the run, of the checkpoint after `step` updates.
pub fn name(step: u64) -> String {
    format!("checkpoints/step-{step:08}")
}

/// The number of updates in a checkpoint's name.
pub fn step_of(checkpoint: &str) -> Option<u64> {
    checkpoint.rsplit('-').next()?.parse().ok()
}

/// Makes a copy of another run's checkpoint the first one of a run, committed with `position`.
///
/// # Errors
/// What the file system says.
pub fn adopt(
    run: &RunDirectory,
    checkpoint: &Path,
    position: TrainingPosition,
    training_feeds: u64,
) -> Result<(), Error> {
    let current = name(position.step);
    let directory = run.path().join(&current);
    if directory.exists() {
        fs_err::remove_dir_all(&directory)?;
    }
    copy(checkpoint, &directory)?;
    durable::sync_directory(&run.checkpoints())?;
    let best = current.clone();
    let commit = Commit {
        version: VERSION,
        current,
        best,
        position,
        metrics_bytes: 0,
        training_feeds,
        checksums: None,
    };
    commit.sealed(run, None)?.write(run)
}

fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    fs_err::create_dir_all(to)?;
    for entry in fs_err::read_dir(from)? {
        let entry = entry?;
        let (source, copied) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy(&source, &copied)?;
        } else {
            fs_err::copy(&source, &copied)?;
            fs_err::File::open(&copied)?.sync_all()?;
        }
    }
    Ok(durable::sync_directory(to)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(current: &str, best: &str) -> Commit {
        Commit {
            version: VERSION,
            current: current.into(),
            best: best.into(),
            position: TrainingPosition {
                step: 7,
                finished: Some(Finish::Patience),
                ..TrainingPosition::default()
            },
            metrics_bytes: 12,
            training_feeds: 3,
            checksums: None,
        }
    }

    #[test]
    fn leftovers_go_and_named_checkpoints_stay() {
        let directory = tempfile::tempdir().unwrap();
        let run = RunDirectory::at(directory.path());
        for name in ["step-1", "step-2", "step-3"] {
            fs_err::create_dir_all(run.checkpoints().join(name)).unwrap();
        }
        remove_leftovers(&run, Some(&commit("checkpoints/step-3", "checkpoints/step-1"))).unwrap();
        assert!(run.checkpoints().join("step-1").exists());
        assert!(!run.checkpoints().join("step-2").exists());
        remove_leftovers(&run, None).unwrap();
        assert!(!run.checkpoints().join("step-1").exists());
    }

    #[test]
    fn a_damaged_commit_point_is_an_error_and_a_missing_one_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let run = RunDirectory::at(directory.path());
        assert!(read_commit(&run).unwrap().is_none());
        let written = commit("a", "b");
        fs_err::write(run.commit_file(), serde_json::to_vec(&written).unwrap()).unwrap();
        assert_eq!(read_commit(&run).unwrap(), Some(written));
        fs_err::remove_file(run.commit_file()).unwrap();
        assert!(read_commit(&run).unwrap().is_none());
        commit("a", "b").write(&run).unwrap();
        fs_err::remove_file(run.commit_file()).unwrap();
        let message = read_commit(&run).unwrap_err().to_string();
        assert!(message.contains("checkpoint.json: is missing; the run is damaged"), "{message}");
        let sealed = Commit { checksums: Some(Checksums::default()), ..commit("a", "b") };
        sealed.write(&run).unwrap();
        let text = fs_err::read_to_string(run.commit_file()).unwrap();
        assert_eq!(read_commit(&run).unwrap().unwrap().position, sealed.position);
        fs_err::write(run.commit_file(), text.replace("\"step\": 7", "\"step\": 5")).unwrap();
        let message = read_commit(&run).unwrap_err().to_string();
        assert!(message.contains("has changed since it was written"), "{message}");
        fs_err::write(run.commit_file(), "{\"version\": 1").unwrap();
        let message = read_commit(&run).unwrap_err().to_string();
        assert!(message.contains("checkpoint.json"), "{message}");
    }
}
