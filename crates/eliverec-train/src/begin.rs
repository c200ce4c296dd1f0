//! How a run begins: with values of its own, or from another run's best checkpoint on newer feeds, as production does:
//! long-lived embeddings are tuned on what happened since (Sec. VI-C.2 of the paper: the last month).
//!
//! A warm start copies that checkpoint as the new run's first commit, so everything that holds for resuming holds there.
//! Updates are counted on, because rows remember the update at which they were last seen and decayed.

use std::path::Path;

use eliverec_core::normalize::Normalizer;
use eliverec_run::checkpoint::{self, TrainingPosition};
use eliverec_run::feeds_read::FeedsRead;
use eliverec_run::{Config, RunDirectory};
use eliverec_tables::{FeedDirectory, Split};

use crate::error::Error;
use crate::feeds_read::check_fit;

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
        key.starts_with("training.")
            || key.starts_with("store.") && !key.starts_with("store.init_std")
    };
    let differences = source.config()?.differences(config);
    let differences: Vec<String> = differences.into_iter().filter(|key| !free(key)).collect();
    if !differences.is_empty() {
        let reason = format!(
            "was trained with another config: {}; only [training] and the limits of [store] may differ",
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
