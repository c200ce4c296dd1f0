//! Which files of a folder are read: one rule for the splits of feed directories and the days of event logs.
//!
//! Beside them, in the root, lie parts that have names of their own; what looks like data there and has none of these is refused
//! by name, and other files and folders are passed over.
//!
//! Names that begin with `.` or `_` are passed over, as writers and query engines mean them; Parquet files are read, and
//! so are the files of partition folders (`name=value`, within one another, too), in the order of their names. Whatever
//! else lies there is refused by name: nobody can tell whether it was meant to be read.

use std::path::Path;

use eliverec_core::regular;

use crate::error::Error;
use crate::layout::SCHEMA_FILE;

/// How deep partition folders may lie within one another; more are links that lead back.
const DEEPEST: usize = 16;

/// Why a path of the local disk that is there is neither a file nor a folder, or no link to one: opening a pipe would wait forever.
pub(crate) fn unreadable(path: &Path) -> Option<&'static str> {
    match fs_err::metadata(path) {
        Ok(of) if of.is_file() || of.is_dir() => None,
        Ok(_) => Some(regular::NO_FILE),
        Err(_) => path.is_symlink().then_some("is a link that leads nowhere; mend it or remove it"),
    }
}

/// The files below a folder, by what the rule says of them.
#[derive(Debug)]
pub(crate) struct Files<F> {
    /// Those that are read, in order.
    pub(crate) read: Vec<F>,
    /// Names of those, and of the folders, that the rule passes over.
    pub(crate) skipped: Vec<String>,
}

/// What lies right in a folder: its name below the root, with `/` between its parts, and what it is if it is no folder.
#[derive(Debug)]
pub(crate) struct Entry<F> {
    pub(crate) name: String,
    pub(crate) file: Option<F>,
}

/// Gives what lies right in a folder.
type List<'a, F> = dyn FnMut(&str) -> Result<Vec<Entry<F>>, Error> + 'a;

/// What is said of a folder in the place of a part that is a file.
const NO_FILE: &str = "is a folder, where a file should be; rename it or move it away";

/// What the rule says of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Read,
    Enter,
    Skip,
    Refuse(&'static str),
}

/// Whether a name is one of those that are passed over, as those of unfinished writers are.
pub(crate) fn is_hidden(name: &str) -> bool {
    last_part(name).starts_with(['.', '_'])
}

fn last_part(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

fn fate(name: &str, is_folder: bool) -> Fate {
    let last = last_part(name);
    let is_parquet = last.strip_suffix(".parquet").is_some_and(|stem| !stem.is_empty());
    let partition = last.split_once('=');
    match is_folder {
        _ if is_hidden(name) => Fate::Skip,
        false if is_parquet => Fate::Read,
        false => Fate::Refuse(
            "is no .parquet file; move it away, or begin its name with _ to have it passed over",
        ),
        true if is_parquet => Fate::Refuse(
            "is a folder, where a file should be; give its files the place that it has, or make it a partition folder \
             (name=value)",
        ),
        true if partition.is_some_and(|(key, value)| !key.is_empty() && !value.is_empty()) => {
            Fate::Enter
        }
        true => Fate::Refuse(
            "is a folder, but no partition (name=value); move its files up, rename it, or begin its name with _ to \
             have it passed over",
        ),
    }
}

/// All files below `folder`; `refuse` makes the error of a name.
pub(crate) fn walk<F>(
    folder: &str,
    list: &mut List<'_, F>,
    refuse: &dyn Fn(&str, &str) -> Error,
) -> Result<Files<F>, Error> {
    let mut files = Files { read: Vec::new(), skipped: Vec::new() };
    enter(folder, 0, list, refuse, &mut files)?;
    Ok(files)
}

/// What a part of feeds or of a log, which has its name in the root, has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PartKind {
    File,
    /// A folder whose files are found by the rule.
    Folder,
    /// The folder of rows that were set aside, which nothing reads.
    SetAside,
}

/// What lies in the root of feeds or of a log beside the parts that have their names there: the names that are passed
/// over. A folder with a schema of its own is another directory of data, and is passed over, too.
///
/// # Errors
/// A Parquet file, and a folder that holds one: nobody can tell whether it was meant to be read. A part that is a folder where a file
/// should be, or a file where a folder should be.
pub(crate) fn beside<F>(
    part: &dyn Fn(&str) -> Option<PartKind>,
    list: &mut List<'_, F>,
    refuse: &dyn Fn(&str, &str) -> Error,
) -> Result<Vec<String>, Error> {
    let mut entries = list("")?;
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    for Entry { name, file } in &entries {
        let is_folder = file.is_none();
        match part(name) {
            Some(PartKind::File) if is_folder => return Err(refuse(name, NO_FILE)),
            Some(PartKind::Folder | PartKind::SetAside) if !is_folder => {
                return Err(refuse(name, "is a file; expected a folder with Parquet files"));
            }
            Some(PartKind::SetAside) => no_folder_in(name, list, refuse)?,
            _ => {}
        }
        if is_hidden(name) || part(name).is_some() {
            continue;
        }
        if !is_folder && fate(name, is_folder) == Fate::Read {
            return Err(refuse(
                name,
                "lies beside the parts that are read, and would not be; move it where it belongs or away, or begin its name \
                 with _ to have it passed over",
            ));
        }
        if is_folder && is_data(name, list)? {
            return Err(refuse(
                name,
                "holds Parquet files and is none of the folders that are read; rename it or move it away, or begin its name \
                 with _ to have it passed over",
            ));
        }
    }
    let names = entries.into_iter().map(|entry| entry.name);
    Ok(names.filter(|name| part(name).is_none()).collect())
}

/// Refuses folders of the names of files.
fn no_folder_in<F>(
    folder: &str,
    list: &mut List<'_, F>,
    refuse: &dyn Fn(&str, &str) -> Error,
) -> Result<(), Error> {
    let mut entries = list(folder)?;
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    let of_a_file =
        |entry: &&Entry<F>| entry.file.is_none() && fate(&entry.name, false) == Fate::Read;
    entries.iter().find(of_a_file).map_or(Ok(()), |entry| Err(refuse(&entry.name, NO_FILE)))
}

/// Whether a folder holds a Parquet file at any depth, and is no directory with a schema of its own.
fn is_data<F>(folder: &str, list: &mut List<'_, F>) -> Result<bool, Error> {
    let mut ahead = vec![(folder.to_owned(), 0)];
    while let Some((folder, depth)) = ahead.pop() {
        let entries = list(&folder)?;
        let is_schema = |entry: &Entry<F>| last_part(&entry.name) == SCHEMA_FILE;
        if entries.iter().any(is_schema) {
            continue;
        }
        for Entry { name, file } in entries {
            match file {
                _ if is_hidden(&name) => {}
                Some(_) if fate(&name, false) == Fate::Read => return Ok(true),
                // Deeper ones are links that lead back.
                None if depth < DEEPEST => ahead.push((name, depth + 1)),
                Some(_) | None => {}
            }
        }
    }
    Ok(false)
}

fn enter<F>(
    folder: &str,
    depth: usize,
    list: &mut List<'_, F>,
    refuse: &dyn Fn(&str, &str) -> Error,
    files: &mut Files<F>,
) -> Result<(), Error> {
    if depth > DEEPEST {
        return Err(refuse(folder, "lies too deep; does a link lead back?"));
    }
    let mut entries = list(folder)?;
    // Stores list them in any order.
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    for entry in entries {
        match (fate(&entry.name, entry.file.is_none()), entry.file) {
            (Fate::Skip, _) => files.skipped.push(entry.name),
            (Fate::Read, Some(file)) => files.read.push(file),
            (Fate::Refuse(reason), _) => return Err(refuse(&entry.name, reason)),
            (Fate::Read | Fate::Enter, _) => enter(&entry.name, depth + 1, list, refuse, files)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_has_one_fate() {
        for name in ["_SUCCESS", ".part-0.parquet.partial", "a=1/.x.parquet", "_delta_log"] {
            assert_eq!((fate(name, false), fate(name, true)), (Fate::Skip, Fate::Skip), "{name}");
        }
        for name in ["part-0.parquet", "date=1/date=2.parquet", "a.b.parquet"] {
            assert_eq!(fate(name, false), Fate::Read, "{name}");
            assert!(matches!(fate(name, true), Fate::Refuse(reason) if reason.contains("a file")));
        }
        for name in ["date=2024-01-02", "a=b/hour=05", "key=a=b"] {
            assert_eq!(fate(name, true), Fate::Enter, "{name}");
            assert!(matches!(fate(name, false), Fate::Refuse(_)), "{name}");
        }
        for name in ["old", "=1", "date=", "notes.txt", "part-0.PARQUET", "part-0.parquet.crc"] {
            for is_folder in [false, true] {
                assert!(matches!(fate(name, is_folder), Fate::Refuse(_)), "{name}");
            }
        }
    }

    /// What lies in a folder of the trees that the test makes, by name.
    fn entries(paths: &[String], folder: &str) -> Vec<Entry<String>> {
        let mut names = std::collections::BTreeMap::new();
        for path in paths {
            let Some(below) = path.strip_prefix(folder).and_then(|p| p.strip_prefix('/')) else {
                continue;
            };
            let (first, more) = below.split_once('/').map_or((below, false), |(a, _)| (a, true));
            names.insert(format!("{folder}/{first}"), more);
        }
        let entry = |(name, is_folder): (String, bool)| Entry {
            file: (!is_folder).then(|| name.clone()),
            name,
        };
        // Any order will do.
        names.into_iter().rev().map(entry).collect()
    }

    proptest! {
        /// The rule, said of whole paths: passed over if a part begins with . or _ and those before it are partitions.
        #[test]
        fn a_tree_is_read_or_refused_as_its_paths_say(
            paths in prop::collection::btree_set(
                prop::collection::vec(
                    prop::sample::select(vec!["a=1", "b=2", "_tmp", ".x", "old"]), 0..3),
                0..6),
            names in prop::collection::vec(
                prop::sample::select(vec!["p.parquet", "q.parquet", "_SUCCESS", "n.txt"]), 6),
        ) {
            let paths: Vec<String> = paths
                .iter()
                .zip(&names)
                .map(|(folders, name)| {
                    [&["test"], folders.as_slice(), &[*name]].concat().join("/")
                })
                .collect();
            let hidden = |part: &str| part.starts_with(['.', '_']);
            let mut expected: Vec<String> = Vec::new();
            let mut refused = false;
            for path in &paths {
                let parts: Vec<&str> = path.split('/').skip(1).collect();
                // Up to the first part that is passed over or refused.
                let stop = parts.iter().find(|part| hidden(part) || !part.contains('='));
                match stop {
                    Some(part) if hidden(part) => {}
                    Some(part) if part.ends_with(".parquet") => expected.push(path.clone()),
                    _ => refused = true,
                }
            }
            expected.sort_by(|a, b| Path::new(a).cmp(Path::new(b)));
            let refuse = |name: &str, reason: &str| Error::directory(Path::new(name), reason);
            match walk("test", &mut |folder| Ok(entries(&paths, folder)), &refuse) {
                Ok(files) => {
                    prop_assert!(!refused, "{paths:?}");
                    prop_assert_eq!(files.read, expected);
                }
                Err(error) => prop_assert!(refused, "{error}: {paths:?}"),
            }
        }
    }
}
