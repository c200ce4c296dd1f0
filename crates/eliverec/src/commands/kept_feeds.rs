//! The feeds that kept results were made on: their fingerprint stands in every result, their files in one file beside them.

use std::path::{Path, PathBuf};

use eliverec_run::feeds_read::{FEEDS_READ_FILE, FeedsRead};
use eliverec_tables::check::{Checked, promises};
use eliverec_tables::{FeedDirectory, Split};
use eliverec_train::{Error, feeds_hashed};

use super::fingerprint;

/// The feeds of results on their way.
#[derive(Debug)]
pub(super) struct KeptFeeds {
    now: FeedsRead,
    /// Of all splits and the schema.
    pub(super) fingerprint: String,
    file: PathBuf,
    /// What the runs read.
    pub(super) checked: Checked,
}

impl KeptFeeds {
    /// Reads feeds whose results are kept in a folder; training and the `measured` splits are what the runs read.
    pub(super) fn of(
        feeds: &FeedDirectory,
        results: &Path,
        measured: &[Split],
    ) -> Result<Self, Error> {
        let read = [&[Split::Train], measured].concat();
        let checked = promises(feeds, &read, measured)?;
        let (now, hashes) = feeds_hashed(feeds)?;
        let fingerprint = fingerprint::of_feeds(feeds, &hashes);
        Ok(Self { now, fingerprint, file: results.join(FEEDS_READ_FILE), checked })
    }

    /// Refuses the result at a path, if it is on other feeds, and names the file in which they differ.
    pub(super) fn check(&self, path: &Path, fingerprint: &str) -> Result<(), Error> {
        if fingerprint == self.fingerprint {
            return Ok(());
        }
        let difference = match FeedsRead::open(&self.file)? {
            // Results from before the files were kept.
            None => String::new(),
            Some(before) => {
                let other = || {
                    "schema.toml or a file that is not read is another, or the result is from elsewhere"
                        .into()
                };
                format!(" ({})", before.difference(&self.now).unwrap_or_else(other))
            }
        };
        let reason = format!("was made on other feeds{difference}; choose another --out");
        Err(eliverec_run::Error::Run { path: path.into(), reason }.into())
    }

    /// Keeps their files beside the results, which are all on them. What was begun on other feeds is refused, whether it has a result
    /// yet or not.
    pub(super) fn keep(&self) -> Result<(), Error> {
        if let Some(difference) =
            FeedsRead::open(&self.file)?.and_then(|before| before.difference(&self.now))
        {
            let reason = format!(
                "what is here was begun on other feeds ({difference}); choose another --out, or remove this file if there is nothing \
                 to go on with"
            );
            return Err(eliverec_run::Error::Run { path: self.file.clone(), reason }.into());
        }
        Ok(self.now.write(&self.file)?)
    }
}
