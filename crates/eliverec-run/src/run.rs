//! The run directory: where everything about a run lies, and the lock that keeps two processes apart.
//!
//! ```text
//! RUN/config.toml          resolved, with the overrides as a comment; written last, so it marks a run
//! RUN/schema.toml          of the feeds it was trained on
//! RUN/normalization.json   moments of dense fields, taken over the training split
//! RUN/feeds.toml           the files that it was trained on, so that it goes on with no others
//! RUN/metrics.jsonl        one line per update and evaluation
//! RUN/checkpoints/step-*/  weights, accumulators, rows
//! RUN/checkpoint.json      names the current and the best checkpoint, with checksums of all but rows: the one commit point
//! RUN/committed            empty; there since the first checkpoint.json, so that one that is gone is noticed
//! RUN/lock                 held while training
//! ```

use std::path::{Path, PathBuf};

use eliverec_core::{Normalization, Schema};

use crate::config::Config;
use crate::durable;
use crate::error::Error;
use crate::feeds_read::{FEEDS_READ_FILE, FeedsRead};
use crate::kept;

/// What stands in a run from its beginning and decides about its numbers.
pub(crate) const SETTLED_FILES: [&str; 4] =
    ["config.toml", "schema.toml", "normalization.json", FEEDS_READ_FILE];

/// The commit point.
pub(crate) const COMMIT_FILE: &str = "checkpoint.json";

/// The file of a checkpoint that holds all but rows.
pub(crate) const DENSE_FILE: &str = "dense.safetensors";

/// The paths of a run.
#[derive(Clone, Debug)]
pub struct RunDirectory {
    path: PathBuf,
}

impl RunDirectory {
    /// A run at `path`, which may not exist yet.
    pub fn at(path: &Path) -> Self {
        Self { path: path.into() }
    }

    /// A run that exists.
    ///
    /// # Errors
    /// [`Error::Run`] if there is none; the message says how to make one.
    pub fn existing(path: &Path) -> Result<Self, Error> {
        let run = Self::at(path);
        if run.exists() {
            return Ok(run);
        }
        Err(Error::Run {
            path: path.into(),
            reason:
                "holds no run (no config.toml); `eliverec train --config FILE --feeds DIR --out RUN` makes one"
                    .into(),
        })
    }

    /// Whether a run was begun here.
    pub fn exists(&self) -> bool {
        // Whatever stands there: what is no file is damage.
        self.config_file().symlink_metadata().is_ok()
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn config_file(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    /// Where updates and evaluations are logged.
    pub fn metrics_file(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }

    /// The commit point.
    pub fn commit_file(&self) -> PathBuf {
        self.path.join(COMMIT_FILE)
    }

    /// Says that there was a commit point.
    pub(crate) fn committed_file(&self) -> PathBuf {
        self.path.join("committed")
    }

    /// Holds one directory per checkpoint.
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    /// The run's resolved config.
    ///
    /// # Errors
    /// If the file cannot be read or was changed into something else.
    pub fn config(&self) -> Result<Config, Error> {
        let path = self.config_file();
        let parsed = Config::parse(&kept::text(&path)?, "does not parse", &[]);
        parsed.map_err(|error| Error::Damaged { path, reason: error.to_string() })
    }

    /// The schema of the feeds that the run was trained on.
    ///
    /// # Errors
    /// If the file cannot be read or was changed into something else.
    pub fn schema(&self) -> Result<Schema, Error> {
        let path = self.path.join("schema.toml");
        let parsed = Schema::parse(&kept::text(&path)?);
        parsed.map_err(|error| Error::Damaged { path, reason: eliverec_core::error::line(&error) })
    }

    /// Checks that feeds at `path` have the schema of the run.
    ///
    /// # Errors
    /// [`eliverec_core::Error::SchemaMismatch`] names the differing fields.
    pub fn check_schema(&self, schema: &Schema, path: &Path) -> Result<(), Error> {
        let differences = self.schema()?.differences(schema);
        if differences.is_empty() {
            return Ok(());
        }
        Err(eliverec_core::Error::SchemaMismatch {
            expected: self.path.display().to_string(),
            found: path.display().to_string(),
            differences: differences.join("; "),
        }
        .into())
    }

    /// The moments of the training split.
    ///
    /// # Errors
    /// If the file cannot be read or was changed into something else.
    pub fn normalization(&self) -> Result<Normalization, Error> {
        let path = self.path.join("normalization.json");
        serde_json::from_slice(&kept::bytes(&path)?)
            .map_err(|e| Error::Damaged { path, reason: e.to_string() })
    }

    /// The files that the run is trained on; `None` for a run of a program that did not keep them.
    ///
    /// # Errors
    /// If the file cannot be read or was changed into something else.
    pub fn feeds_read(&self) -> Result<Option<FeedsRead>, Error> {
        FeedsRead::open(&self.path.join(FEEDS_READ_FILE))
    }

    /// What a person is told if the run does not keep the files that it is trained on, which nothing can be compared with then.
    pub fn unknown_feeds(&self) -> Option<String> {
        (!self.path.join(FEEDS_READ_FILE).exists()).then(|| {
            format!(
                "{}: does not say which files it was begun with; whether these are the same is not checked",
                self.path.display()
            )
        })
    }

    /// Writes what a run has besides its config.
    ///
    /// # Errors
    /// What writing the files says.
    pub fn prepare(
        &self,
        schema: &Schema,
        normalization: &Normalization,
        feeds: &FeedsRead,
    ) -> Result<(), Error> {
        feeds.write(&self.path.join(FEEDS_READ_FILE))?;
        let normalization =
            serde_json::to_vec_pretty(normalization).map_err(std::io::Error::other)?;
        durable::write(&self.path.join("schema.toml"), schema.to_toml().as_bytes())?;
        Ok(durable::write(&self.path.join("normalization.json"), &normalization)?)
    }

    /// Writes the config, which makes the directory a run; `notes` become comments above it.
    ///
    /// # Errors
    /// What writing the file says.
    pub fn declare(&self, config: &Config, notes: &[String]) -> Result<(), Error> {
        let mut text = String::new();
        for note in notes {
            text.push_str("# ");
            text.push_str(note);
            text.push('\n');
        }
        text.push_str(&config.to_toml());
        Ok(durable::write(&self.config_file(), text.as_bytes())?)
    }

    /// Takes the run for this process until the lock is dropped, making the directory if needed.
    ///
    /// # Errors
    /// [`Error::Run`] if another process has it, or if the directory holds other things than a run.
    pub fn lock(&self) -> Result<RunLock<'_>, Error> {
        let wrong = |reason: &str| Error::Run { path: self.path.clone(), reason: reason.into() };
        if self.path.is_file() {
            return Err(wrong("is a file, where a directory should be; choose another --out"));
        }
        let missing = self.path.ancestors().take_while(|path| !path.exists());
        let made = Made { run: self, folders: missing.map(Path::to_path_buf).collect() };
        fs_err::create_dir_all(&self.path)?;
        if !self.exists() {
            // A run that was killed before it had a config has left some of these.
            const OURS: [&str; 8] = [
                "lock",
                "schema",
                "normalization",
                "feeds",
                "checkpoints",
                "checkpoint",
                "committed",
                "config",
            ];
            for entry in fs_err::read_dir(&self.path)? {
                let stem = Path::new(&entry?.file_name()).file_stem().map(ToOwned::to_owned);
                if !OURS.iter().any(|ours| stem.as_deref() == Some((*ours).as_ref())) {
                    return Err(wrong("is not empty and holds no run; choose another --out"));
                }
            }
        }
        let lock = self.path.join("lock");
        kept::check(&lock)?;
        let file =
            fs_err::OpenOptions::new().create(true).write(true).truncate(false).open(lock)?;
        match file.try_lock() {
            Ok(()) => Ok(RunLock { _file: file, _made: made }),
            Err(std::fs::TryLockError::WouldBlock) => Err(wrong(
                "another process is training this run; wait for it, stop it, or choose another --out",
            )),
            Err(std::fs::TryLockError::Error(error)) => Err(error.into()),
        }
    }
}

/// The run is ours while this lives; the system lets go of it even if the process is killed. If no run was begun until it is
/// dropped, what was made for it is gone.
#[derive(Debug)]
pub struct RunLock<'a> {
    _file: fs_err::File,
    _made: Made<'a>,
}

/// The folders that were made for a run, the innermost first.
#[derive(Debug)]
struct Made<'a> {
    run: &'a RunDirectory,
    folders: Vec<PathBuf>,
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        if self.folders.is_empty() || self.run.exists() {
            return;
        }
        // Best effort on the way out of an error; a folder that has something else in it stays.
        let _ = fs_err::remove_file(self.run.path.join("lock"));
        let _ = self.folders.iter().try_for_each(fs_err::remove_dir);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_is_refused_until_the_first_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let run = RunDirectory::at(&directory.path().join("run"));
        let lock = run.lock().unwrap();
        let message = run.lock().unwrap_err().to_string();
        assert!(message.contains("another process"), "{message}");
        drop(lock);
        run.lock().unwrap();
    }

    #[test]
    fn what_was_made_for_a_run_that_never_began_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let run = RunDirectory::at(&directory.path().join("runs/first/run"));
        drop(run.lock().unwrap());
        assert_eq!(fs_err::read_dir(directory.path()).unwrap().count(), 0);
        // What was there stays.
        fs_err::create_dir_all(run.path()).unwrap();
        drop(run.lock().unwrap());
        assert!(run.path().is_dir());
        fs_err::write(directory.path().join("file"), "").unwrap();
        let file = RunDirectory::at(&directory.path().join("file"));
        assert!(file.lock().unwrap_err().to_string().contains("is a file, where a directory"));
    }

    #[test]
    fn a_directory_with_other_things_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        fs_err::write(directory.path().join("thesis.tex"), "x").unwrap();
        let message = RunDirectory::at(directory.path()).lock().unwrap_err().to_string();
        assert!(message.contains("not empty"), "{message}");
        assert!(RunDirectory::existing(directory.path()).is_err());
    }
}
