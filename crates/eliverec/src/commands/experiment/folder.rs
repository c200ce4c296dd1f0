//! The configs of a folder.

use std::collections::BTreeSet;
use std::fmt::{self, Display};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use eliverec_core::regular;
use eliverec_run::{Config, Error};

use super::tuned;
use crate::commands::fingerprint;

/// A folder of experiment files, read.
#[derive(Debug)]
pub(super) struct Folder {
    /// As `table3`.
    pub(super) name: String,
    /// Every row under every seed, row by row.
    pub(super) jobs: Vec<Job>,
    /// Names of what else lies there.
    pub(super) passed_over: Vec<String>,
    /// Models of which nothing tuned was found.
    pub(super) untuned: BTreeSet<&'static str>,
}

/// What of a folder is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) overrides: &'a [String],
    pub(super) seeds: u64,
    /// Their names; every row if there is none.
    pub(super) rows: &'a [String],
    /// A folder of `eliverec tune --write`.
    pub(super) tuned: Option<&'a Path>,
}

/// One run to make.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) row: String,
    pub(super) seed: u64,
    pub(super) config: Config,
    /// Of the config without its seed.
    pub(super) fingerprint: String,
    pub(super) overrides: Vec<String>,
}

impl Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} seed {}", self.row, self.seed)
    }
}

impl Folder {
    /// Reads and checks every file before anything runs.
    pub(super) fn read(path: &Path, wanted: Wanted<'_>) -> Result<Self, Error> {
        let wrong = |reason: &str| Error::Config {
            place: path.display().to_string(),
            reason: reason.into(),
        };
        let entries = fs_err::read_dir(path)
            .map_err(|_| wrong("cannot be read; give a folder of experiment files"))?;
        let (mut files, mut passed_over) = (Vec::new(), Vec::new());
        for entry in entries {
            let file = entry?.path();
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let is_toml = file.extension().is_some_and(|ending| ending == "toml");
            if name.starts_with(['.', '_']) || !is_toml {
                passed_over.push(name);
            } else {
                files.push(file);
            }
        }
        files.sort();
        passed_over.sort();
        if files.is_empty() {
            return Err(wrong("holds no .toml file; give a folder of experiment files"));
        }
        let name_of =
            |file: &PathBuf| file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(row) =
            wanted.rows.iter().find(|row| !files.iter().any(|file| name_of(file) == **row))
        {
            let known: Vec<String> = files.iter().map(name_of).collect();
            return Err(wrong(&format!("has no row {row:?}; its rows are {}", known.join(", "))));
        }
        files.retain(|file| wanted.rows.is_empty() || wanted.rows.contains(&name_of(file)));
        let (mut jobs, mut untuned) = (Vec::new(), BTreeSet::new());
        for file in files {
            let (place, row) = (file.display().to_string(), name_of(&file));
            let text = regular::read_to_string(&file).map_err(|error| {
                let reason = match error.kind() {
                    ErrorKind::NotFound => {
                        "is a link that leads nowhere; mend it or remove it".into()
                    }
                    ErrorKind::IsADirectory => regular::A_FOLDER.into(),
                    ErrorKind::NotSeekable => regular::NO_FILE.into(),
                    ErrorKind::InvalidData => "is not text".into(),
                    _ => error.to_string(),
                };
                Error::Config { place: place.clone(), reason }
            })?;
            let mut settings = Vec::new();
            if let Some(tuned) = wanted.tuned {
                let config = Config::parse(&text, &place, wanted.overrides);
                let model = config.map_err(|e| named(e, &place))?.model.name();
                match tuned::of_model(tuned, model)? {
                    Some(found) => settings = found,
                    None => drop(untuned.insert(model)),
                }
            }
            settings.extend_from_slice(wanted.overrides);
            for seed in 1..=wanted.seeds {
                let mut overrides = settings.clone();
                overrides.push(format!("seed={seed}"));
                let config =
                    Config::parse(&text, &place, &overrides).map_err(|e| named(e, &place))?;
                let fingerprint = fingerprint::of_config(&Config { seed: 0, ..config.clone() });
                jobs.push(Job { row: row.clone(), seed, config, fingerprint, overrides });
            }
        }
        let name = path.canonicalize()?;
        let name = name.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name, jobs, passed_over, untuned })
    }
}

/// An error that blames an override names the file whose config it does not fit.
fn named(error: Error, file: &str) -> Error {
    match error {
        Error::Config { place, reason } if !place.starts_with(file) => {
            Error::Config { place: format!("{file}: {place}"), reason }
        }
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The folders that hold experiment files, below `path`.
    fn folders(path: &Path) -> Vec<PathBuf> {
        let inside = fs_err::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
        let (below, files): (Vec<PathBuf>, Vec<PathBuf>) = inside.partition(|path| path.is_dir());
        let mut found: Vec<PathBuf> = below.iter().flat_map(|path| folders(path)).collect();
        // The spaces of searches are no experiments, nor is what they chose.
        let is_experiment = |file: &PathBuf| {
            file.extension().is_some_and(|ending| ending == "toml")
                && !file.parent().is_some_and(|folder| folder.ends_with("tune"))
                && !file.iter().any(|part| part == "tuned")
        };
        if files.iter().any(is_experiment) {
            found.push(path.into());
        }
        found
    }

    #[test]
    fn every_shipped_experiment_can_be_read() {
        let shipped = folders(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments"));
        assert!(shipped.len() > 5, "{shipped:?}");
        for path in shipped {
            let wanted = Wanted { overrides: &[], seeds: 1, rows: &[], tuned: None };
            Folder::read(&path, wanted).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        }
    }
}
