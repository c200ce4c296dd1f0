//! How a run begins: with values of its own, or from another run's best checkpoint on newer feeds, as production does:
//! long-lived embeddings are tuned on what happened since (Sec. VI-C.2 of the paper: the last month).
//!
//! A warm start copies that checkpoint as the new run's first commit, so everything that holds for resuming holds there.
//! Updates are counted on, because rows remember the update at which they were last seen and decayed.

use std::path::Path;
use std::sync::Arc;

use eliverec_core::normalize::Normalizer;
use eliverec_run::checkpoint::{self, TrainingPosition, read_commit};
use eliverec_run::feeds_read::FeedsRead;
use eliverec_run::run::RunLock;
use eliverec_run::{Config, RunDirectory};
use eliverec_tables::{FeedDirectory, Split};
use rayon::ThreadPool;

use crate::error::Error;
use crate::feeds_read::check_fit;
use crate::order::TrainingOrder;
use crate::ranks::first_alone;
use crate::shards::Shards;
use crate::training_split;

/// A run that is there to be opened, and what people are to hear of it.
pub(crate) struct Begun<'a> {
    pub(crate) config: Config,
    pub(crate) pool: ThreadPool,
    pub(crate) lines: Vec<String>,
    _lock: Option<RunLock<'a>>,
}

/// Finds a run that may go on, or begins one, before any rank opens it.
///
/// # Errors
/// Bad configs, feeds and runs, of the first rank: it checks for all, while they wait.
pub(crate) fn begin<'a>(order: &TrainingOrder, run: &'a RunDirectory) -> Result<Begun<'a>, Error> {
    first_alone(&*order.ranks, || match order.ranks.rank() {
        0 => Begun::by_the_first(order, run),
        _ => Begun::by_another(order, run),
    })
}

impl<'a> Begun<'a> {
    /// Checks that the run may go on, and begins it if there is none.
    fn by_the_first(order: &TrainingOrder, run: &'a RunDirectory) -> Result<Self, Error> {
        let feeds = &order.feeds;
        let wrong = |reason: String| wrong(&order.run, reason);
        if order.config.is_none() && !run.exists() {
            return Err(wrong("holds no run to resume; give a --config".into()));
        }
        let lock = run.lock()?;
        if feeds.holds(run.path())? {
            return Err(wrong("lies among the feeds; choose another --out".into()));
        }
        let commit = if run.exists() { read_commit(run)? } else { None };
        if let Some(commit) = commit.as_ref().filter(|_| order.resume) {
            // Before anything is read that a damage could have changed.
            commit.check_files(run, &[&commit.current, &commit.best])?;
        }
        let config = match (&order.config, run.exists()) {
            (Some(config), false) => config.clone(),
            (_, true) if !order.resume => {
                let advice =
                    "already holds a run; add --resume to go on with it, or choose another --out";
                return Err(wrong(advice.into()));
            }
            (asked, _) => resumed_config(run, asked.as_ref()).map_err(wrong)?,
        };
        Shards::new(config.training.shards, Arc::clone(&order.ranks))?;
        if run.exists() {
            run.check_schema(feeds.schema(), feeds.path())?;
        }
        let has_validation = feeds.feeds(Split::Validation)? > 0;
        training_split::require_labels(feeds, has_validation)?;
        if !has_validation && config.training.patience > 0 {
            let advice = "has no validation feeds, which early stopping needs; set training.patience=0 to train without";
            let path = feeds.path().into();
            return Err(eliverec_run::Error::Run { path, reason: advice.into() }.into());
        }
        let pool = pool(&config)?;
        let lines = pool.install(|| {
            let (read, unknown) = training_split::read(run, feeds)?;
            let mut lines = Vec::from_iter(unknown);
            lines.extend(commit.and_then(|commit| commit.unchecked(run)));
            if !run.exists() {
                lines.extend(training_split::check_labels(feeds, &config)?);
                let notes = order.overrides.iter();
                let notes: Vec<String> =
                    notes.map(|override_| format!("override: {override_}")).collect();
                match &order.init_from {
                    None => fresh(run, &config, &notes, feeds, &read)?,
                    Some(from) => warm(run, &config, &notes, (feeds, &read), from)?,
                }
            }
            Ok::<_, Error>(lines)
        })?;
        Ok(Self { config, pool, lines, _lock: Some(lock) })
    }

    /// The first rank has checked and begun it.
    fn by_another(order: &TrainingOrder, run: &'a RunDirectory) -> Result<Self, Error> {
        let config = resumed_config(run, order.config.as_ref());
        let config = config.map_err(|reason| wrong(&order.run, reason))?;
        Ok(Self { pool: pool(&config)?, config, lines: Vec::new(), _lock: None })
    }
}

fn wrong(run: &Path, reason: String) -> Error {
    Error::Run(eliverec_run::Error::Run { path: run.into(), reason })
}

fn pool(config: &Config) -> Result<ThreadPool, Error> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(config.training.threads.unwrap_or(0));
    Ok(pool.build().map_err(std::io::Error::other)?)
}

/// The config of a run that exists. What was asked for must equal it, but for what changes no number.
fn resumed_config(run: &RunDirectory, asked: Option<&Config>) -> Result<Config, String> {
    let mut own = run.config().map_err(|e| e.to_string())?;
    let Some(asked) = asked else { return Ok(own) };
    own.training.threads = asked.training.threads;
    own.training.log_every_steps = asked.training.log_every_steps;
    own.training.checkpoint_every_steps = asked.training.checkpoint_every_steps;
    let differences = own.differences(asked);
    if differences.is_empty() {
        return Ok(own);
    }
    Err(format!(
        "was begun with another config: {}; leave --config and the overrides out to go on with the run's own, or choose another --out",
        differences.join(", ")
    ))
}

/// Makes the directory a run: schema, moments of the training split, which files were `read`, and last the config.
pub fn fresh(
    run: &RunDirectory,
    config: &Config,
    notes: &[String],
    feeds: &FeedDirectory,
    read: &FeedsRead,
) -> Result<(), Error> {
    let schema = config.input.seen(feeds.schema());
    let mut normalizer = Normalizer::new(&schema);
    for feed in feeds.read(Split::Train)? {
        normalizer.add(&feed?);
    }
    run.prepare(&schema, &normalizer.finish(), read)?;
    Ok(run.declare(config, notes)?)
}

/// Makes `new` a run that goes on from the best checkpoint of the run at `from`. The moments that standardise dense fields are
/// those of `from`: its weights were trained with them.
///
/// # Errors
/// No checkpoint, feeds of another schema, a config whose model, inputs, tasks, seed or initial rows differ.
pub fn warm(
    new: &RunDirectory,
    config: &Config,
    notes: &[String],
    (feeds, read): (&FeedDirectory, &FeedsRead),
    from: &Path,
) -> Result<(), Error> {
    let source = RunDirectory::existing(from)?;
    let wrong = |reason: String| eliverec_run::Error::Run { path: from.into(), reason };
    let commit = checkpoint::read_commit(&source)?
        .ok_or_else(|| wrong("has no checkpoint yet; train it first".into()))?;
    commit.check_files(&source, &[&commit.best])?;
    check_fit(&source, feeds)?;
    let free = |key: &str| {
        key.starts_with("training.") && !key.starts_with("training.shards ")
            || key.starts_with("store.") && !key.starts_with("store.init_std")
    };
    let differences = source.config()?.differences(config);
    let differences: Vec<String> = differences.into_iter().filter(|key| !free(key)).collect();
    if !differences.is_empty() {
        let reason = format!(
            "was trained with another config: {}; only [training] without its shards, and the limits of [store] may differ",
            differences.join(", ")
        );
        return Err(wrong(reason).into());
    }
    let step = checkpoint::step_of(&commit.best)
        .ok_or_else(|| wrong(format!("names a checkpoint {:?} without a number", commit.best)))?;
    let position = TrainingPosition {
        step,
        first_step: step,
        evaluation_due: feeds.feeds(Split::Validation)? > 0,
        ..TrainingPosition::default()
    };
    let training_feeds = feeds.feeds(Split::Train)?;
    // Damaged rows are those of the run that has them, not of a copy that nobody has asked for.
    checkpoint::map_store(&from.join(&commit.best), &source.config()?, &source.schema()?)?;
    new.prepare(&source.schema()?, &source.normalization()?, read)?;
    checkpoint::adopt(new, &from.join(&commit.best), position, training_feeds)?;
    let mut notes = notes.to_vec();
    notes.push(format!("warm start from {}, {}", from.display(), commit.best));
    Ok(new.declare(config, &notes)?)
}
