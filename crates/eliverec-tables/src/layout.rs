//! Where the files of a feed directory are: `schema.toml` and `train`, `validation`, `test` with their Parquet files.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Name of the schema file in a feed directory.
pub const SCHEMA_FILE: &str = "schema.toml";

/// What `eliverec samples` keeps beside feeds: the settings that they were made with, and the log that they were made of.
pub const SAMPLES_FILES: [&str; 2] = ["samples.toml", "samples-log.toml"];

/// A part of a data set. Test comes after validation, and validation after train, by time or by order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Split {
    Train,
    Validation,
    Test,
}

impl Split {
    /// Every split, in order of time.
    pub const ALL: [Self; 3] = [Self::Train, Self::Validation, Self::Test];

    /// The name of its folder.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }

    /// Its folder in a feed directory.
    pub(crate) fn folder(self, directory: &Path) -> PathBuf {
        directory.join(self.name())
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Split {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|split| split.name() == text)
            .ok_or_else(|| format!("no split {text:?}; give train, validation or test"))
    }
}
