//! Where the parts of an experiment lie.
//!
//! ```text
//! OUT/simulate.toml             the settings of the first start
//! OUT/MODEL.toml, serve.toml    configs of the models and of the services
//! OUT/before/logs, feeds, MODEL log, feeds and runs of the time before the experiment
//! OUT/before/state              the state of a service that has heard of all of it
//! OUT/bundles/DAY/MODEL         what answers on a day of the experiment, counted from 0
//! OUT/experiments/ARM-DAY.toml  who is answered by what
//! OUT/arms/ARM/DAY/state        the state of the arm's service at the end of the day, its log in state/days; of the last day only
//! OUT/arms/ARM/DAY/rankings     what was shown, by which the world finds its way back to the end of the day
//! OUT/feeds, OUT/nights/DAY     feeds of the experiment's days; feeds and runs of a night
//! OUT/told                      what commands printed
//! ```

use std::path::{Path, PathBuf};

/// The models by their buckets, the control first.
pub(super) const MODELS: [&str; 2] = ["eta", "elive"];
/// The layer of the experiment.
pub(super) const LAYER: &str = "ranker";

/// The directory of an experiment.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// With the folders in which files are written.
    pub(super) fn new(path: &Path) -> std::io::Result<Self> {
        for name in ["before", "bundles", "experiments", "arms", "nights", "told"] {
            fs_err::create_dir_all(path.join(name))?;
        }
        // Bundles and programs are named from elsewhere, too.
        Ok(Self { path: fs_err::canonicalize(path)? })
    }

    pub(super) fn before(&self, what: &str) -> PathBuf {
        self.path.join("before").join(what)
    }

    pub(super) fn config(&self, model: &str) -> PathBuf {
        self.path.join(model).with_extension("toml")
    }

    pub(super) fn bundle(&self, day: u32, model: &str) -> PathBuf {
        self.path.join("bundles").join(day.to_string()).join(model)
    }

    pub(super) fn experiments(&self, arm: &str, day: u32) -> PathBuf {
        self.path.join("experiments").join(format!("{arm}-{day}.toml"))
    }

    pub(super) fn arm(&self, arm: &str) -> PathBuf {
        self.path.join("arms").join(arm)
    }

    /// The log that an arm's service wrote up to the end of a day.
    pub(super) fn log(&self, arm: &str, day: u32) -> PathBuf {
        self.arm(arm).join(day.to_string()).join("state").join("days")
    }

    pub(super) fn feeds(&self) -> PathBuf {
        self.path.join("feeds")
    }

    pub(super) fn night(&self, day: u32, what: &str) -> PathBuf {
        self.path.join("nights").join(day.to_string()).join(what)
    }

    pub(super) fn told(&self, name: &str) -> PathBuf {
        self.path.join("told").join(name).with_extension("txt")
    }
}

/// Copies a directory under a name that is free.
pub(super) fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs_err::create_dir_all(to)?;
    for entry in fs_err::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            fs_err::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

/// Removes a directory that a stopped run may have left half done.
pub(super) fn clear(path: &Path) -> std::io::Result<()> {
    match fs_err::remove_dir_all(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}
