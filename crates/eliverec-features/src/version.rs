//! The version of the saved layout. It is the first thing in a saved state, so a state of another layout is refused with
//! a sentence about versions instead of one about a missing field.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::Error;

/// The layout that this crate writes and reads. Raise it with every change of a saved type or of a feature's meaning.
pub const VERSION: u32 = 1;

/// Saved as [`VERSION`]; any other number is refused when read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Version;

impl Version {
    /// Whether a state of version `found` can be read.
    ///
    /// # Errors
    /// [`Error::Version`] says what to do.
    pub fn check(found: u32) -> Result<Self, Error> {
        if found == VERSION {
            return Ok(Self);
        }
        let advice = if found > VERSION {
            "use the newer program that wrote it"
        } else {
            "rebuild the state from the log"
        };
        Err(Error::Version { found, expected: VERSION, advice })
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(VERSION)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::check(u32::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// One fold with its version, for a store that keeps each user's or channel's state on its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Versioned<T> {
    version: Version,
    /// The fold.
    pub state: T,
}

impl<T> Versioned<T> {
    /// `state` in today's layout.
    pub const fn new(state: T) -> Self {
        Self { version: Version, state }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_versions_are_refused_by_name() {
        let saved = serde_json::to_string(&Versioned::new(7_u32)).unwrap();
        assert_eq!(saved, r#"{"version":1,"state":7}"#);
        assert_eq!(serde_json::from_str::<Versioned<u32>>(&saved).unwrap().state, 7);
        let newer = r#"{"version":2,"state":{"new":[]}}"#;
        let message = serde_json::from_str::<Versioned<u32>>(newer).unwrap_err().to_string();
        assert!(
            message.contains("has version 2, and this program reads version 1: use the newer"),
            "{message}"
        );
        let older = r#"{"version":0,"state":7}"#;
        let message = serde_json::from_str::<Versioned<u32>>(older).unwrap_err().to_string();
        assert!(message.contains("rebuild the state from the log"), "{message}");
    }
}
