//! The configs of a folder.

use std::fmt::Write as _;
use std::hash::{BuildHasher, Hasher};
use std::io::{BufRead, BufReader};
use std::path::Path;

use eliverec_core::id::{IdHash, text_id};
use eliverec_tables::{FeedDirectory, Split};
use eliverec_train::config::TrainingConfig;
use eliverec_train::{Config, Error};

/// A folder of experiment files, read.
#[derive(Debug)]
pub(super) struct Folder {
    /// As `table3`.
    pub(super) name: String,
    /// Every row under every seed, row by row.
    pub(super) jobs: Vec<Job>,
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

impl Job {
    /// Whether a run of that resolved config has the numbers of this one. A config written before an option existed means
    /// the option's default.
    pub(super) fn has_config(&self, resolved: &str) -> bool {
        Config::parse(resolved, "a result", &[])
            .is_ok_and(|found| numbers_of(&found).differences(&numbers_of(&self.config)).is_empty())
    }
}

impl Folder {
    /// Reads and checks every file before anything runs.
    pub(super) fn read(path: &Path, overrides: &[String], seeds: u64) -> Result<Self, Error> {
        let wrong = |reason: &str| Error::Config {
            place: path.display().to_string(),
            reason: reason.into(),
        };
        let entries = fs_err::read_dir(path)
            .map_err(|_| wrong("cannot be read; give a folder of experiment files"))?;
        let mut files = Vec::new();
        for entry in entries {
            let file = entry?.path();
            if file.extension().is_some_and(|ending| ending == "toml") {
                files.push(file);
            }
        }
        files.sort();
        if files.is_empty() {
            return Err(wrong("holds no .toml file; give a folder of experiment files"));
        }
        let mut jobs = Vec::new();
        for file in files {
            let text = fs_err::read_to_string(&file)?;
            let place = file.display().to_string();
            let row = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            for seed in 1..=seeds {
                let mut overrides = overrides.to_vec();
                overrides.push(format!("seed={seed}"));
                let config = Config::parse(&text, &place, &overrides)?;
                let fingerprint = fingerprint(&Config { seed: 0, ..config.clone() });
                jobs.push(Job { row: row.clone(), seed, config, fingerprint, overrides });
            }
        }
        let name = path.canonicalize()?;
        let name = name.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name, jobs })
    }
}

/// The config with what changes no number at its default.
fn numbers_of(config: &Config) -> Config {
    let mut config = config.clone();
    let defaults = TrainingConfig::default();
    config.training.threads = defaults.threads;
    config.training.log_every_steps = defaults.log_every_steps;
    config.training.checkpoint_every_steps = defaults.checkpoint_every_steps;
    config
}

fn fingerprint(config: &Config) -> String {
    format!("{:016x}", text_id(&numbers_of(config).to_toml()))
}

/// Of the schema and of every file's name, size and content.
pub(super) fn fingerprint_of_feeds(feeds: &FeedDirectory) -> Result<String, Error> {
    let mut text = feeds.schema().to_toml();
    for split in Split::ALL {
        let folder = feeds.path().join(split.name());
        if !folder.is_dir() {
            continue;
        }
        let mut files = Vec::new();
        for entry in fs_err::read_dir(folder)? {
            files.push(entry?.path());
        }
        files.sort();
        for file in files.iter().filter(|file| file.is_file()) {
            let mut hash = IdHash::default().build_hasher();
            let mut reader = BufReader::new(fs_err::File::open(file)?);
            loop {
                let bytes = reader.fill_buf()?;
                if bytes.is_empty() {
                    break;
                }
                hash.write(bytes);
                let read = bytes.len();
                reader.consume(read);
            }
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let _ = writeln!(text, "{}/{name} {:016x}", split.name(), hash.finish());
        }
    }
    Ok(format!("{:016x}", text_id(&text)))
}
