//! How ids are written where people and programs write them: the same id as an integer in one place and as text in another is two
//! ids, since text becomes one by its hash.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::dimensions::id_column;
use crate::error::Error;
use crate::schema::{Field, Group};

/// How ids are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdKind {
    /// As integers of 64 bits, with or without a sign.
    Integer,
    /// As text.
    Text,
}

impl fmt::Display for IdKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Integer => "integers",
            Self::Text => "text",
        })
    }
}

/// How the ids of users, products, channels and of each vocabulary are written, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IdKinds {
    /// Of `user_id`, `product_id` and `channel_id`.
    pub columns: BTreeMap<String, IdKind>,
    /// By name of the vocabulary.
    pub vocabularies: BTreeMap<String, IdKind>,
}

impl IdKinds {
    /// Reads what [`IdKinds::to_toml`] wrote.
    ///
    /// # Errors
    /// What does not parse.
    pub fn parse(text: &str) -> Result<Self, Error> {
        toml::from_str(text).map_err(|e| Error::SchemaSyntax(e.to_string().trim().into()))
    }

    /// As TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("two tables of words always serialise")
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty() && self.vocabularies.is_empty()
    }

    /// Of the users, products or channels of a group.
    pub fn of_group(&self, group: Group) -> Option<IdKind> {
        self.columns.get(&id_column(group)).copied()
    }

    /// Of the ids in a field.
    pub fn of_field(&self, field: &Field) -> Option<IdKind> {
        self.vocabularies.get(field.kind.vocabulary()?).copied()
    }

    /// Takes over what the other knows.
    pub fn extend(&mut self, other: &Self) {
        self.columns.extend(other.columns.clone());
        self.vocabularies.extend(other.vocabularies.clone());
    }

    /// What both know and know otherwise, in words.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let both = [(&self.columns, &other.columns), (&self.vocabularies, &other.vocabularies)];
        let differing = both.into_iter().flat_map(|(here, there)| {
            here.iter().filter_map(move |(name, here)| {
                let there = there.get(name).filter(|there| *there != here)?;
                Some(format!("{name} ({here}, not {there})"))
            })
        });
        differing.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_one_knows_is_no_difference() {
        let kinds = |text: &str| IdKinds::parse(text).unwrap();
        let here = kinds("[columns]\nuser_id = \"text\"\n[vocabularies]\nanchor = \"integer\"\n");
        assert_eq!(kinds(&here.to_toml()), here);
        assert_eq!(here.of_group(Group::User), Some(IdKind::Text));
        assert_eq!(here.of_group(Group::Channel), None);
        assert!(here.differences(&kinds("[columns]\nchannel_id = \"text\"\n")).is_empty());
        let there = kinds("[columns]\nuser_id = \"integer\"\n");
        assert_eq!(here.differences(&there), ["user_id (text, not integers)"]);
        assert!(IdKinds::parse("[columns]\nuser_id = \"hash\"\n").is_err());
    }
}
