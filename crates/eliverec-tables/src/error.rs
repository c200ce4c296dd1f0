//! The crate's errors: one line each, for people; what was wrong, in which file, row and field, and what to do.

use std::path::{Path, PathBuf};

/// What can go wrong with feed files, event logs and the data sets that they are made of.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system could not read or write; the message names the path.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// A directory is not what it should be.
    #[error("{path}: {reason}", path = path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A schema file that cannot be used.
    #[error("{path}: {}", one_line(source), path = path.display())]
    Schema {
        /// The schema file.
        path: PathBuf,
        /// What is wrong with it.
        source: eliverec_core::Error,
    },
    /// A feed file was written with another schema than its directory's `schema.toml`.
    #[error(
        "{path}: its schema differs from the directory's schema.toml: {differences}; \
         write the feeds again, or put back the schema.toml that they were written with",
        path = path.display()
    )]
    SchemaDiffers {
        /// The feed file.
        path: PathBuf,
        /// The differing fields, separated by semicolons.
        differences: String,
    },
    /// A file that is no Parquet file, or no longer a whole one.
    #[error(
        "{path}: not a whole Parquet file ({reason}); copy or write it again",
        path = path.display()
    )]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What the Parquet reader says.
        reason: String,
    },
    /// A Parquet file that is whole, but written in a way that this program does not read.
    #[error(
        "{path}: this program does not read it ({reason}); write it with the compression zstd, snappy, gzip, lz4 or brotli, \
         not encrypted",
        path = path.display()
    )]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What the Parquet reader says.
        reason: String,
    },
    /// A column is missing or has a type that cannot be read.
    #[error("{path}: column {field}: {reason}", path = path.display())]
    Column {
        /// The feed file.
        path: PathBuf,
        /// The column, for example `candidates.stay_s`.
        field: String,
        /// What is wrong and what is expected.
        reason: String,
    },
    /// A value of a feed file cannot be used.
    #[error("{path}: row {row}: {field}: {reason}", path = path.display())]
    Value {
        /// The feed file.
        path: PathBuf,
        /// Row of the file, from 0.
        row: u64,
        /// The column with list positions from 0, for example `candidates[3].stay_s`.
        field: String,
        /// What is wrong.
        reason: String,
    },
    /// A request that stands twice in a split that is measured.
    #[error(
        "{path}: row {row}: request_id: {request} stands in {before} already, and what is measured would count it twice; \
         write each request once",
        path = path.display(), before = before.display()
    )]
    Repeated {
        /// The feed file.
        path: PathBuf,
        /// Row of the file, from 0.
        row: u64,
        /// The request, as the file has it.
        request: String,
        /// The file in which it stands already.
        before: PathBuf,
    },
    /// A value of a file that an importer reads cannot be used.
    #[error("{path}: line {line}: {column}: {reason}", path = path.display())]
    Source {
        /// The file.
        path: PathBuf,
        /// Line of the file, from 1 (the header).
        line: u64,
        /// Column.
        column: String,
        /// What is wrong and what is expected.
        reason: String,
    },
    /// A row of an event log is no event.
    #[error(
        "{path}: row group {row_group}, row {row}: {column}: {reason}; \
         mend the row, or read leniently to set such rows aside",
        path = path.display()
    )]
    Row {
        /// The file.
        path: PathBuf,
        /// Row group of the file, from 0.
        row_group: usize,
        /// Row of the file, from 0.
        row: u64,
        /// The column.
        column: String,
        /// What is wrong.
        reason: String,
    },
    /// An event that is to be written breaks the contract.
    #[error("event {event_id}: {column}: {reason}")]
    Event {
        /// Its `event_id`.
        event_id: u64,
        /// The column.
        column: String,
        /// What is wrong.
        reason: String,
    },
    /// The object store could not read or write.
    #[error("{path}: {reason}", path = path.display())]
    Store {
        /// The object.
        path: PathBuf,
        /// What the store says.
        reason: String,
    },
    /// A schema or a table in memory that contradicts itself.
    #[error(transparent)]
    Core(#[from] eliverec_core::Error),
    /// A feed breaks the contract.
    #[error("request {request_id} of the {split} split: {source}")]
    Feed {
        /// The split it is in or was for.
        split: crate::Split,
        /// Its `request_id`.
        request_id: u64,
        /// The breach.
        source: eliverec_core::Error,
    },
}

impl Error {
    /// A [`Error::Directory`].
    pub(crate) fn directory(path: &Path, reason: impl Into<String>) -> Self {
        Self::Directory { path: path.into(), reason: reason.into() }
    }

    /// Whether the input or the request is at fault, which the command line answers with exit code 2.
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Io(error) => eliverec_core::error::is_wrong_input(error),
            _ => true,
        }
    }

    /// The file or directory that is at fault, where there is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Directory { path, .. }
            | Self::Schema { path, .. }
            | Self::SchemaDiffers { path, .. }
            | Self::Parquet { path, .. }
            | Self::Unsupported { path, .. }
            | Self::Column { path, .. }
            | Self::Value { path, .. }
            | Self::Repeated { path, .. }
            | Self::Source { path, .. }
            | Self::Row { path, .. }
            | Self::Store { path, .. } => Some(path),
            Self::Io(_) | Self::Event { .. } | Self::Core(_) | Self::Feed { .. } => None,
        }
    }

    /// A [`Error::Parquet`], or [`Error::Unsupported`], with the first line of what the reader says.
    pub(crate) fn parquet(path: &Path, reason: &impl ToString) -> Self {
        let reason = reason.to_string();
        let line = reason.lines().next().unwrap_or_default().trim_end_matches('.');
        if line.contains("encrypt") || line.contains("decrypt") {
            return Self::Unsupported { path: path.into(), reason: "it is encrypted".into() };
        }
        let lacking = ["Disabled feature at compile time: ", "NYI: "];
        match lacking.iter().find_map(|words| Some(line.split_once(words)?.1)) {
            Some(what) => Self::Unsupported { path: path.into(), reason: lacks(what) },
            None => Self::Parquet { path: path.into(), reason: line.into() },
        }
    }
}

/// Parsers draw what is wrong over several lines.
fn one_line(error: &impl ToString) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What the reader lacks: a codec in a word, or its own words.
fn lacks(what: &str) -> String {
    match what.split_once(' ') {
        None => format!("it was built without the codec {what}"),
        Some(_) => what.into(),
    }
}

/// A write that failed: the system's fault and not that of any input.
pub(crate) fn cannot_write(path: &Path, error: &(impl ToString + ?Sized)) -> Error {
    // The Parquet writer's word for an error of the system.
    let error = error.to_string();
    let reason =
        format!("{}: cannot write: {}", path.display(), error.trim_start_matches("External: "));
    Error::Io(std::io::Error::other(reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_build_lacks_is_not_called_damaged() {
        let path = Path::new("a.parquet");
        for (reader, expected) in [
            ("Disabled feature at compile time: brotli", "it was built without the codec brotli"),
            (
                "Parquet argument error: NYI: The codec type LZO is not supported yet",
                "codec type LZO",
            ),
        ] {
            let error = Error::parquet(path, &reader);
            assert!(matches!(error, Error::Unsupported { .. }), "{error}");
            let told = error.to_string();
            assert!(told.starts_with("a.parquet: this program does not read it ("), "{told}");
            assert!(told.contains(expected) && !told.contains("whole"), "{told}");
        }
        for reader in [
            "Parquet error: Parquet file has an encrypted footer but the encryption feature is disabled",
            "Parquet error: the file is encrypted, but no decryption properties were given",
        ] {
            let told = Error::parquet(path, &reader).to_string();
            assert!(told.contains("does not read it (it is encrypted)"), "{told}");
        }
        let error = Error::parquet(path, &"EOF: file size of 3 is less than footer");
        assert!(matches!(error, Error::Parquet { .. }), "{error}");
    }
}
