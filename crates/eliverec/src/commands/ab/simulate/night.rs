//! The night: both models learn from the day that is over, each from where it was, and become bundles.

use std::path::{Path, PathBuf};

use eliverec_run::durable;
use eliverec_samples::RECIPE_FILE;
use eliverec_tables::Split;
use eliverec_tables::layout::SCHEMA_FILE;

use super::arm::BOTH;
use super::folder::{Folder, MODELS, clear};
use super::settings::Settings;
use super::steps::Step;
use crate::commands::demo;

/// A model on its way to a bundle.
pub(super) struct Fit<'a> {
    pub(super) feeds: &'a Path,
    pub(super) run: PathBuf,
    /// A run of the same model, from whose best checkpoint this one goes on.
    pub(super) goes_on_from: Option<PathBuf>,
    /// For the tables of the bundle.
    pub(super) log: &'a Path,
    /// What the bundle is measured on.
    pub(super) split: &'static str,
    pub(super) bundle: PathBuf,
    /// What keeps what commands print begins with this.
    pub(super) told: String,
}

/// Both models side by side, one thread each.
pub(super) fn each(work: impl Fn(&str) -> anyhow::Result<()> + Sync) -> anyhow::Result<()> {
    std::thread::scope(|scope| {
        let work = &work;
        let working = MODELS.map(|model| scope.spawn(move || work(model)));
        working.map(joined).into_iter().collect()
    })
}

/// Trains and exports, as far as that was not done before.
pub(super) fn fit(
    folder: &Folder,
    settings: &Settings,
    model: &str,
    fit: &Fit<'_>,
) -> anyhow::Result<()> {
    // A bundle appears whole or not at all.
    if fit.bundle.exists() {
        return Ok(());
    }
    let config = folder.config(model);
    let experiment = demo::MODELS.into_iter().find(|(name, _)| *name == model);
    durable::write(&config, experiment.map_or("", |(_, text)| text).as_bytes())?;
    let mut train = Step::new("train")
        .with("--config", &config)
        .with("--feeds", fit.feeds)
        .with("--out", &fit.run)
        .words(["--resume", "--quiet", "training.threads=1"])
        .words([format!("seed={}", settings.seed)])
        .words(&settings.overrides);
    if let Some(from) = &fit.goes_on_from {
        // Once over the new day, which has no validation split.
        train = train.with("--init-from", from);
        train = train.words(["training.epochs=1", "training.patience=0"]);
    }
    train.run(folder, &format!("{}-train", fit.told))?;
    fs_err::create_dir_all(fit.bundle.parent().unwrap_or(Path::new(".")))?;
    Step::new("export")
        .with("--run", &fit.run)
        .with("--feeds", fit.feeds)
        .with("--logs", fit.log)
        .with("--split", fit.split)
        .with("--out", &fit.bundle)
        .run(folder, &format!("{}-export", fit.told))
}

/// Makes the bundles of the day after `day`, counted from 0, of the log that the experiment's service has written.
pub(super) fn train(folder: &Folder, settings: &Settings, day: u32) -> anyhow::Result<()> {
    if MODELS.iter().all(|model| folder.bundle(day + 1, model).exists()) {
        return Ok(());
    }
    let log = folder.log(BOTH, day);
    let feeds = folder.night(day, "feeds");
    if !feeds.exists() {
        let samples = Step::new("samples").with("--logs", &log).with("--out", folder.feeds());
        let samples = samples.with("--from", settings.day(0)?.to_string());
        let samples = samples.with("--to", settings.day(day)?.to_string());
        samples.run(folder, &format!("night-{day}-samples"))?;
        cut(folder, settings, day)?;
    }
    each(|model| {
        let earlier = match day.checked_sub(1) {
            Some(earlier) => folder.night(earlier, model),
            None => folder.before(model),
        };
        fit(
            folder,
            settings,
            model,
            &Fit {
                feeds: &feeds,
                run: folder.night(day, model),
                goes_on_from: Some(earlier),
                log: &log,
                split: "train",
                bundle: folder.bundle(day + 1, model),
                told: format!("night-{day}-{model}"),
            },
        )
    })
}

/// The feeds of one day alone, as those that are trained on.
fn cut(folder: &Folder, settings: &Settings, day: u32) -> anyhow::Result<()> {
    let (all, feeds) = (folder.feeds(), folder.night(day, "feeds"));
    let partial = feeds.with_extension("partial");
    clear(&partial)?;
    let training = partial.join(Split::Train.name());
    fs_err::create_dir_all(&training)?;
    for file in [SCHEMA_FILE, RECIPE_FILE] {
        fs_err::copy(all.join(file), partial.join(file))?;
    }
    let name = format!("{}.parquet", settings.day(day)?);
    let places = Split::ALL.map(|split| all.join(split.name()).join(&name));
    let made = places.iter().find(|place| place.exists());
    let made = made.ok_or_else(|| anyhow::anyhow!("{}: no feeds of {name}", all.display()))?;
    fs_err::copy(made, training.join(&name))?;
    Ok(fs_err::rename(&partial, &feeds)?)
}

/// What a thread gave; a panic is an error.
pub(super) fn joined<T>(
    thread: std::thread::ScopedJoinHandle<'_, anyhow::Result<T>>,
) -> anyhow::Result<T> {
    thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a thread of the simulation panicked")))
}
