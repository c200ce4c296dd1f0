//! Where training reads its feeds from: the feed directory, or, where the order of its files would outlast the shuffle, a
//! directory in the run over which they are spread while training lasts.

use std::io::ErrorKind;
use std::path::PathBuf;

use eliverec_core::seed::stream;
use eliverec_run::checkpoint::TrainingPosition;
use eliverec_run::feeds_read::FeedsRead;
use eliverec_run::tasks::Mode;
use eliverec_run::{Config, RunDirectory};
use eliverec_tables::{FeedDirectory, Shuffle, Split};

use crate::error::Error;
use crate::feeds_read::feeds_read;

/// Which files the run is trained on. A run that exists goes on with the files that it was begun with; the line is for the
/// person, if that cannot be told.
pub(crate) fn read(
    run: &RunDirectory,
    feeds: &FeedDirectory,
) -> Result<(FeedsRead, Option<String>), Error> {
    let now = feeds_read(feeds, &[Split::Train, Split::Validation])?;
    if !run.exists() {
        return Ok((now, None));
    }
    let Some(before) = run.feeds_read()? else {
        return Ok((now, run.unknown_feeds()));
    };
    match before.difference(&now) {
        None => Ok((now, None)),
        Some(difference) => {
            let reason = format!(
                "not the feeds that the run {} was begun with: {difference}; resume it with the same feeds, or begin a run on \
                 these with another --out (--init-from goes on from what a run has learnt)",
                run.path().display()
            );
            Err(eliverec_run::Error::Run { path: feeds.path().into(), reason }.into())
        }
    }
}

/// Refuses feeds without labels.
pub(crate) fn require_labels(feeds: &FeedDirectory, has_validation: bool) -> Result<(), Error> {
    feeds.require_labels(Split::Train, "training")?;
    if has_validation {
        feeds.require_labels(Split::Validation, "training")?;
    }
    Ok(())
}

/// Refuses labels from which nothing can be learnt: candidates that were all watched, or none of them. Gives a line for each task
/// that is trained and whose label is known of no candidate. Reads no further than it must to find one of each.
pub(crate) fn check_labels(feeds: &FeedDirectory, config: &Config) -> Result<Vec<String>, Error> {
    let tasks = if config.tasks.mode == Mode::Single { &[][..] } else { &feeds.schema().task };
    let (mut watched, mut unwatched) = (false, false);
    let mut unknown: Vec<usize> = (0..tasks.len()).collect();
    for feed in feeds.read(Split::Train)? {
        let Some(labels) = feed?.candidates.labels else { continue };
        watched |= labels.watched.contains(&true);
        unwatched |= labels.watched.contains(&false);
        unknown.retain(|task| labels.tasks[*task].iter().all(Option::is_none));
        if watched && unwatched && unknown.is_empty() {
            break;
        }
    }
    if !(watched && unwatched) {
        let what = if watched { "every candidate" } else { "no candidate" };
        let reason = format!(
            "{what} of the train split was watched, from which nothing can be learnt; give the candidates that were shown, with \
             watched as it was of each"
        );
        return Err(eliverec_run::Error::Run { path: feeds.path().into(), reason }.into());
    }
    let line = |task: usize| {
        let (name, label) = (&tasks[task].name, tasks[task].column());
        format!(
            "{}: no candidate of the train split has the label {label} of the task {name}, which learns nothing then; write the \
             column candidates.{label}, or leave the task out of schema.toml",
            feeds.path().display()
        )
    };
    Ok(unknown.into_iter().map(line).collect())
}

/// The directory of the training split, spread before if need be and if training goes on; `tell` gets a line then.
pub(crate) fn open(
    run: &RunDirectory,
    config: &Config,
    feeds: &FeedDirectory,
    position: &TrainingPosition,
    tell: impl FnOnce(&str),
) -> Result<FeedDirectory, Error> {
    if position.finished.is_some() {
        close(run)?;
        return Ok(feeds.clone());
    }
    let shuffle = Shuffle {
        seed: stream(config.seed, "spread"),
        buffer_feeds: config.training.shuffle_buffer_feeds,
    };
    let spread = feeds.spread(Split::Train, shuffle, &folder(run), tell)?;
    Ok(spread.unwrap_or_else(|| feeds.clone()))
}

/// Removes what [`open`] has made.
pub(crate) fn close(run: &RunDirectory) -> Result<(), Error> {
    match fs_err::remove_dir_all(folder(run)) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e.into()),
        _ => Ok(()),
    }
}

fn folder(run: &RunDirectory) -> PathBuf {
    run.path().join("spread")
}
