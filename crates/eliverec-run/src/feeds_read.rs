//! Which feeds something was made of: the one mechanism by which a run, an experiment's results and a search's trials tell other
//! feeds than their own, and name the file.
//!
//! A file is known by its split, its name below the split's folder, its size and a hash of all its bytes, not by its place:
//! a directory that was moved or copied is the same. Its footer alone would not do: files of the same feeds with other labels can
//! have one footer and one size.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use eliverec_core::regular;
use serde::{Deserialize, Serialize};

use crate::durable;
use crate::error::Error;
use crate::kept;

/// The name under which they are kept, in a run and beside results.
pub const FEEDS_READ_FILE: &str = "feeds.toml";

/// A file of feeds that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRead {
    /// The split that it belongs to.
    pub split: String,
    /// Below the folder of the split, with `/` between its parts.
    pub name: String,
    /// Rows.
    pub feeds: u64,
    /// Its size.
    pub bytes: u64,
    /// Of its content, in hexadecimal digits.
    pub hash: String,
}

/// All files of feeds that were read, in the order of the splits and of reading.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedsRead {
    /// How their columns write ids, `integers` or `text`; a column of a program that did not keep it is not there.
    #[serde(default)]
    pub ids: BTreeMap<String, String>,
    /// The files.
    #[serde(default)]
    pub file: Vec<FileRead>,
}

impl FeedsRead {
    /// Reads them; `None` if they were not kept.
    ///
    /// # Errors
    /// [`Error::Damaged`] if the file does not parse.
    pub fn open(path: &Path) -> Result<Option<Self>, Error> {
        let text = match regular::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(kept::of_the_run(path, e)),
        };
        let damaged = |e: toml::de::Error| Error::Damaged {
            path: path.into(),
            reason: format!("does not parse: {}", e.message()),
        };
        toml::from_str(&text).map(Some).map_err(damaged)
    }

    /// Keeps them.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let text = toml::to_string(self).map_err(std::io::Error::other)?;
        Ok(durable::write(path, text.as_bytes())?)
    }

    /// The first column of ids that `now`, of other feeds, writes in another way, where the same id would never be met: its name,
    /// how it is written there, and how here. Requests are only told apart, so any ids will do for them.
    pub fn other_ids<'a>(
        &'a self,
        now: &'a BTreeMap<String, String>,
    ) -> Option<(&'a str, &'a str, &'a str)> {
        let known = self.ids.iter().filter(|(column, _)| *column != "request_id");
        let mut both = known.filter_map(|(column, here)| Some((column, now.get(column)?, here)));
        let (column, there, here) = both.find(|(_, there, here)| there != here)?;
        Some((column, there, here))
    }

    /// The first file in which `now` is otherwise, and how; `None` if the feeds are the same.
    pub fn difference(&self, now: &Self) -> Option<String> {
        let by_name = |of: &'_ Self| -> BTreeMap<(String, String), FileRead> {
            let files = of.file.iter().cloned();
            files.map(|file| ((file.split.clone(), file.name.clone()), file)).collect()
        };
        let (before, now) = (by_name(self), by_name(now));
        let names: BTreeSet<_> = before.keys().chain(now.keys()).collect();
        names.into_iter().find_map(|name| {
            let file = format!("{}/{}", name.0, name.1);
            match (before.get(name), now.get(name)) {
                (Some(_), None) => Some(format!("{file} is not there")),
                (None, Some(_)) => Some(format!("{file} was not there")),
                (Some(a), Some(b)) if a.feeds != b.feeds => {
                    Some(format!("{file} has {} feeds, it had {}", b.feeds, a.feeds))
                }
                (a, b) => (a != b).then(|| format!("{file} has other content")),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(files: &[(&str, u64, &str)]) -> FeedsRead {
        let file = |(name, feeds, hash): &(&str, u64, &str)| FileRead {
            split: "train".into(),
            name: (*name).into(),
            feeds: *feeds,
            bytes: 7,
            hash: (*hash).into(),
        };
        FeedsRead { file: files.iter().map(file).collect(), ..FeedsRead::default() }
    }

    #[test]
    fn the_first_other_file_is_named() {
        let before = read(&[("a.parquet", 3, "1"), ("date=1/b.parquet", 3, "2")]);
        let difference = |files: &[(&str, u64, &str)]| before.difference(&read(files));
        assert_eq!(difference(&[("a.parquet", 3, "1"), ("date=1/b.parquet", 3, "2")]), None);
        for (files, words) in [
            (&[("a.parquet", 3, "1")][..], "train/date=1/b.parquet is not there"),
            (
                &[("a.parquet", 3, "1"), ("date=1/b.parquet", 3, "3")],
                "train/date=1/b.parquet has other content",
            ),
            (
                &[("a.parquet", 4, "3"), ("date=1/b.parquet", 3, "2")],
                "train/a.parquet has 4 feeds, it had 3",
            ),
            (
                &[("A.parquet", 3, "1"), ("a.parquet", 3, "1"), ("date=1/b.parquet", 3, "2")],
                "train/A.parquet was not there",
            ),
        ] {
            assert_eq!(difference(files).as_deref(), Some(words));
        }
    }

    #[test]
    fn ids_of_another_kind_are_found_by_column() {
        let of = |kinds: &[(&str, &str)]| -> BTreeMap<String, String> {
            kinds.iter().map(|(column, kind)| ((*column).into(), (*kind).into())).collect()
        };
        let kept = FeedsRead {
            ids: of(&[("request_id", "text"), ("user_id", "text"), ("user.city", "integers")]),
            ..FeedsRead::default()
        };
        assert_eq!(kept.other_ids(&kept.ids), None);
        assert_eq!(kept.other_ids(&of(&[("request_id", "integers"), ("more", "text")])), None);
        let now = of(&[("user_id", "text"), ("user.city", "text")]);
        assert_eq!(kept.other_ids(&now), Some(("user.city", "text", "integers")));
        assert_eq!(FeedsRead::default().other_ids(&now), None);
    }

    #[test]
    fn what_was_kept_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FEEDS_READ_FILE);
        assert_eq!(FeedsRead::open(&path).unwrap(), None);
        let mut feeds = read(&[("a.parquet", 3, "1")]);
        feeds.ids.insert("user_id".into(), "text".into());
        feeds.write(&path).unwrap();
        assert_eq!(FeedsRead::open(&path).unwrap(), Some(feeds));
        fs_err::write(&path, "file = 3").unwrap();
        assert!(matches!(FeedsRead::open(&path), Err(Error::Damaged { .. })));
    }
}
