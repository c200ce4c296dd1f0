//! What the model saw and did for one request: intent weights and attention over both histories, and every intermediate.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use eliverec_core::{BatchBuilder, Feed};
use eliverec_models::trace::Recorded;
use eliverec_run::{Explained, Prepared, RunDirectory, Scorer, Scores};
use eliverec_tables::{FeedDirectory, Split, WrittenId, WrittenIds};
use serde::Serialize;

use crate::error::Error;
use crate::explain_tensors::Tensors;
use crate::feeds_read::check_fit;

/// Where [`explain`] writes what the scores were computed from and by.
#[derive(Clone, Copy, Debug)]
pub struct TensorFile<'a> {
    /// The file.
    pub path: &'a Path,
    /// Whether the trunk's terms of the loss are wanted, too. A term takes more than one feed: it is that of the batch in which
    /// evaluation of the split has the request, with the random numbers of the first update.
    pub regularisers: bool,
}

/// One request, explained.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// Which request, as the feeds write it.
    pub request_id: WrittenId,
    /// Who asked, as the feeds write it.
    pub user_id: WrittenId,
    /// Where it was found.
    pub split: Split,
    /// Which model explains.
    pub model: String,
    /// Which checkpoint of the run, relative to it.
    pub checkpoint: String,
    /// What the model saw and did.
    #[serde(flatten)]
    pub explained: Explained,
}

/// Explains the request `id`, written as the feeds write it, with the best checkpoint of the run at `path`; with `tensors`, writes all that the scores were computed
/// from and by to that file, in which the tables of the file `explain_tensors.rs` say what is what, unless
/// `accept` refuses the explanation.
///
/// # Errors
/// [`Error::Run`] if no split of `feeds` holds the request; what `accept` says; what opening the run or reading the feeds gives.
pub fn explain(
    path: &Path,
    feeds: &FeedDirectory,
    id: &str,
    tensors: Option<TensorFile<'_>>,
    accept: impl FnOnce(&Explanation) -> Result<(), eliverec_run::Error>,
) -> Result<Explanation, Error> {
    if let Some(TensorFile { path, .. }) = tensors {
        refuse_other_files(path)?;
    }
    let (scorer, commit) = Scorer::open(path)?;
    check_fit(&RunDirectory::at(path), feeds)?;
    let (split, place, feed) = find(feeds, id)?;
    let written = feeds.written_ids(split, place)?;
    let (prepared, (explained, _, recorded)) = explain_feed(&scorer, &feed, &written)?;
    let explanation = Explanation {
        request_id: written.request_id(),
        user_id: written.user_id(),
        split,
        model: scorer.config.model.name().into(),
        checkpoint: commit.best,
        explained,
    };
    accept(&explanation)?;
    if let Some(TensorFile { path, regularisers }) = tensors {
        let mut tensors = Tensors::of(&scorer, &prepared, &recorded);
        if regularisers {
            tensors.add_terms(&scorer, feeds, split, feed.request_id)?;
        }
        tensors.write(path, &scorer)?;
    }
    Ok(explanation)
}

/// What a model saw and did for a feed whose ids are written so, its scores, and what was recorded on the way.
type ExplainedFeed = (Prepared, (Explained, Scores, BTreeMap<String, Recorded>));

/// Explains a feed.
///
/// # Errors
/// A feed that does not fit the schema.
pub(crate) fn explain_feed(
    scorer: &Scorer,
    feed: &Feed,
    written: &WrittenIds,
) -> Result<ExplainedFeed, Error> {
    let (schema, scoring) = (&scorer.schema, scorer.scoring());
    let lengths = scorer.config.settings().lengths();
    let mut builder = BatchBuilder::new(schema, &scorer.normalization, lengths);
    builder.push(feed)?;
    let batch = builder.finish().expect("one feed was added");
    let prepared = Prepared::of(schema, batch);
    let ids = |group, field: &str, i| written.of(group, field, i).unwrap_or_default().join(" ");
    let explained = Explained::of(&scoring, feed, &prepared, &ids);
    Ok((prepared, explained))
}

/// A file of tensors may be replaced, no other one: a header in JSON follows the eight bytes of its length.
fn refuse_other_files(path: &Path) -> Result<(), Error> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        let reason = format!("{} is no folder; make it or choose another name", folder.display());
        return Err(eliverec_run::Error::Run { path: path.into(), reason }.into());
    }
    let mut start = Vec::new();
    if path.is_file() {
        fs_err::File::open(path)?.take(9).read_to_end(&mut start)?;
    }
    if path.is_dir() || !start.is_empty() && start.get(8) != Some(&b'{') {
        let reason = "is there and no file of tensors; remove it or choose another name";
        return Err(eliverec_run::Error::Run { path: path.into(), reason: reason.into() }.into());
    }
    Ok(())
}

/// The feed of a request, its split and its place there.
fn find(feeds: &FeedDirectory, written: &str) -> Result<(Split, u64, Feed), Error> {
    let id = feeds.request_id(written)?;
    for split in [Split::Test, Split::Validation, Split::Train] {
        if feeds.feeds(split)? == 0 {
            continue;
        }
        for (place, feed) in feeds.read(split)?.enumerate() {
            let feed = feed?;
            if feed.request_id == id {
                return Ok((split, place as u64, feed));
            }
        }
    }
    let reason = format!("no split holds request {written}; the request_id column lists them");
    Err(eliverec_run::Error::Run { path: feeds.path().into(), reason }.into())
}
