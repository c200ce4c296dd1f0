//! A run that goes on from another run's best checkpoint on newer feeds, as production does: long-lived embeddings are tuned on
//! what happened since (Sec. VI-C.2 of the paper: the last month).
//!
//! The new run begins with a copy of that checkpoint as its own first commit, so everything that holds for resuming holds here.
//! Updates are counted on, because rows remember the update at which they were last seen and decayed.

use std::path::Path;

use eliverec_tables::{FeedDirectory, Split};

use crate::checkpoint::{self, Position};
use crate::config::Config;
use crate::error::Error;
use crate::run::{self, RunDirectory};

/// Makes `new` a run that goes on from the best checkpoint of the run at `from`. The moments that standardise dense fields are
/// those of `from`: its weights were trained with them.
///
/// # Errors
/// No checkpoint, feeds of another schema, a config whose model, inputs, tasks, seed or initial rows differ.
pub fn begin(
    new: &RunDirectory,
    config: &Config,
    notes: &[String],
    feeds: &FeedDirectory,
    from: &Path,
) -> Result<(), Error> {
    let source = RunDirectory::existing(from)?;
    run::check_schema(&source, feeds)?;
    let wrong = |reason: String| Error::Run { path: from.into(), reason };
    let free = |key: &str| {
        key.starts_with("training.")
            || key.starts_with("store.") && !key.starts_with("store.init_std")
    };
    let differences = source.config()?.differences(config);
    let differences: Vec<String> = differences.into_iter().filter(|key| !free(key)).collect();
    if !differences.is_empty() {
        return Err(wrong(format!(
            "was trained with another config: {}; only [training] and the limits of [store] may differ",
            differences.join(", ")
        )));
    }
    let commit = checkpoint::read_commit(&source)?
        .ok_or_else(|| wrong("has no checkpoint yet; train it first".into()))?;
    let step = checkpoint::step_of(&commit.best)
        .ok_or_else(|| wrong(format!("names a checkpoint {:?} without a number", commit.best)))?;
    let position = Position {
        step,
        first_step: step,
        evaluation_due: feeds.feeds(Split::Validation)? > 0,
        ..Position::default()
    };
    let training_feeds = feeds.feeds(Split::Train)?;
    new.prepare(feeds.schema(), &source.normalization()?)?;
    checkpoint::adopt(new, &from.join(&commit.best), position, training_feeds)?;
    let mut notes = notes.to_vec();
    notes.push(format!("warm start from {}, {}", from.display(), commit.best));
    new.declare(config, &notes)
}
