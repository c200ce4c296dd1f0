//! `schema.toml`: which vocabularies and fields a feed has. Other columns mean another schema file, not other code.
//!
//! ```toml
//! name = "shop"
//! [[vocabulary]]
//! name = "channel"          # width omitted: the model's width d
//! min_count = 2             # ids seen less often share the rare-id row
//! [[channel]]               # of a channel, in the history and as a candidate
//! name = "channel_id"
//! kind = "categorical"
//! vocabulary = "channel"
//! [[target]]                # of the candidate alone, known before entering
//! name = "clicks_60m"
//! kind = "dense"
//! transform = "log1p"
//! [[task]]                  # of a user inside a channel; the paper's three if none is given
//! name = "long_view"        # also the column of the candidates with its label
//! kind = "binary"
//! ```

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

pub use crate::group::Group;

use crate::error::Error;
use crate::id::text_id;
use crate::match_field::Match;
use crate::task::Task;

/// A schema: vocabularies, and the fields of each [`Group`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Schema {
    /// Name of the data set, shown in tables.
    pub name: String,
    /// Embedding tables.
    pub vocabulary: Vec<Vocabulary>,
    /// Profile of the user; part of the static context e_c.
    pub user: Vec<Field>,
    /// Moment and scene; part of the static context e_c.
    pub context: Vec<Field>,
    /// Fields of a product.
    pub product: Vec<Field>,
    /// Fields that only a product click has, added to the product's vector.
    pub product_event: Vec<Field>,
    /// Fields of a channel, alike in the history and as a candidate.
    pub channel: Vec<Field>,
    /// Fields that only a watch has, added to the channel's vector.
    pub channel_event: Vec<Field>,
    /// Fields of a candidate that are known before entering, in addition to those of a channel.
    pub target: Vec<Field>,
    /// Fields of a candidate that the user sees after entering: e_d.
    pub dynamic: Vec<Field>,
    /// What a candidate has in common with the user's histories, counted where batches are made.
    #[serde(rename = "match", skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<Match>,
    /// What is predicted of a user inside a channel; the paper's three if no `[[task]]` is given.
    #[serde(skip_serializing_if = "Task::are_paper")]
    pub task: Vec<Task>,
}

impl Default for Schema {
    /// Without fields, with the paper's tasks.
    fn default() -> Self {
        Self {
            name: String::new(),
            vocabulary: Vec::new(),
            user: Vec::new(),
            context: Vec::new(),
            product: Vec::new(),
            product_event: Vec::new(),
            channel: Vec::new(),
            channel_event: Vec::new(),
            target: Vec::new(),
            dynamic: Vec::new(),
            matches: Vec::new(),
            task: Task::paper(),
        }
    }
}

/// One embedding table, shared by every field that names it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vocabulary {
    /// Unique name.
    pub name: String,
    /// Width of its rows; the model's width d if omitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<usize>,
    /// Ids seen fewer times in training share one trained row.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub min_count: u32,
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_one(count: &u32) -> bool {
    *count == 1
}

/// A column of a group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Field {
    /// Name of the Parquet column.
    pub name: String,
    /// How its values become numbers of the model.
    #[serde(flatten)]
    pub kind: Kind,
}

/// How a field's values become numbers of the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Kind {
    /// An id (any integer type, or text, which is hashed) that names a row of `vocabulary`.
    Categorical {
        /// The embedding table.
        vocabulary: String,
    },
    /// A number that names the row of `vocabulary` of the interval it falls in.
    Bucket {
        /// The embedding table; ids are 0 to `boundaries.len()`, and one more for what has no value ([`crate::no_row`]).
        vocabulary: String,
        /// Ascending upper ends: bucket i holds `boundaries[i-1] <= x < boundaries[i]`.
        boundaries: Vec<f32>,
    },
    /// A number that enters as it is, after `transform` and standardisation with the training set's mean and sd.
    Dense {
        /// Applied first.
        #[serde(default)]
        transform: Transform,
    },
    /// Any number of ids; the mean of their rows of `vocabulary`, zero for none.
    Multi {
        /// The embedding table.
        vocabulary: String,
    },
}

/// What happens to a dense number before standardisation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transform {
    /// Nothing.
    #[default]
    None,
    /// ln(1 + max(x, 0)), for counts and durations.
    Log1p,
}

impl Transform {
    /// The transformed value.
    pub fn apply(self, x: f32) -> f32 {
        match self {
            Self::None => x,
            Self::Log1p => x.max(0.0).ln_1p(),
        }
    }
}

impl Kind {
    /// The embedding table the field draws on, if any.
    pub fn vocabulary(&self) -> Option<&str> {
        match self {
            Self::Categorical { vocabulary }
            | Self::Bucket { vocabulary, .. }
            | Self::Multi { vocabulary } => Some(vocabulary),
            Self::Dense { .. } => None,
        }
    }
}

impl Schema {
    /// Parses and checks the text of a schema file.
    ///
    /// # Errors
    /// Syntax, unknown keys, and everything that [`Schema::check`] refuses.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let schema: Self =
            toml::from_str(text).map_err(|e| Error::SchemaSyntax(e.to_string().trim().into()))?;
        schema.check()?;
        Ok(schema)
    }

    /// The schema as TOML, the same text for equal schemas.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a schema always serialises")
    }

    /// The fields of a group.
    pub fn fields(&self, group: Group) -> &[Field] {
        match group {
            Group::User => &self.user,
            Group::Context => &self.context,
            Group::Product => &self.product,
            Group::ProductEvent => &self.product_event,
            Group::Channel | Group::Candidate => &self.channel,
            Group::ChannelEvent => &self.channel_event,
            Group::Target => &self.target,
            Group::Dynamic => &self.dynamic,
        }
    }

    /// Index into [`Schema::vocabulary`] of the table that a field draws on.
    pub fn vocabulary_of(&self, field: &Field) -> Option<usize> {
        let name = field.kind.vocabulary()?;
        self.vocabulary.iter().position(|v| v.name == name)
    }

    /// Row width of vocabulary `index` in a model of width `d`.
    pub fn width(&self, index: usize, d: usize) -> usize {
        self.vocabulary[index].width.unwrap_or(d)
    }

    /// Numbers of a group that no column holds: the match features, which are the target's.
    pub fn extra_numbers(&self, group: Group) -> usize {
        if group == Group::Target { self.matches.len() } else { 0 }
    }

    /// Width of a group's concatenated field vectors in a model of width `d`; a number counts 1.
    pub fn group_width(&self, group: Group, d: usize) -> usize {
        let widths = self.fields(group).iter();
        let widths = widths.map(|field| self.vocabulary_of(field).map_or(1, |v| self.width(v, d)));
        widths.sum::<usize>() + self.extra_numbers(group)
    }

    /// Hash of all that feeds have in common, carried by feed files and runs: the schema without [`Schema::matches`].
    pub fn fingerprint(&self) -> String {
        format!("{:016x}", text_id(&self.without_matches().to_toml()))
    }

    /// The same feeds as a model sees them that knows no match features.
    #[must_use]
    pub fn without_matches(&self) -> Self {
        Self { matches: Vec::new(), ..self.clone() }
    }

    /// The names of what differs between the feeds of two schemas, empty where one reads the other's.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let lines = |schema: &Self| -> BTreeSet<String> {
            let vocabularies = schema.vocabulary.iter().map(|v| {
                let width = v.width.map_or("d".into(), |w| w.to_string());
                format!("vocabulary {} (width {width}, min_count {})", v.name, v.min_count)
            });
            let fields = Group::ALL.into_iter().filter(|g| *g != Group::Candidate).flat_map(|g| {
                schema
                    .fields(g)
                    .iter()
                    .map(move |f| format!("{}.{} ({:?})", g.name(), f.name, f.kind))
            });
            let tasks = schema.task.iter().map(|task| {
                format!("task {} ({:?}, label {})", task.name, task.kind, task.column())
            });
            vocabularies.chain(fields).chain(tasks).collect()
        };
        let (ours, theirs) = (lines(self), lines(other));
        let missing = ours.difference(&theirs).map(|line| format!("{line} is missing"));
        let extra = theirs.difference(&ours).map(|line| format!("{line} is new"));
        let mut all: Vec<String> = missing.chain(extra).collect();
        if all.is_empty() && self.without_matches() != other.without_matches() {
            all.push("name or order of the fields".into());
        }
        all
    }
}

/// Columns that every feed has and that a schema cannot declare again.
pub const RESERVED: [&str; 3] = ["age_s", "position", "watched"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toy;

    #[test]
    fn text_round_trips() {
        let schema = toy::schema();
        assert_eq!(Schema::parse(&schema.to_toml()).unwrap(), schema);
        assert_eq!(schema.fingerprint(), Schema::parse(&schema.to_toml()).unwrap().fingerprint());
    }

    #[test]
    fn unknown_keys_and_vocabularies_are_named() {
        let message = Schema::parse("nmae = \"x\"").unwrap_err().to_string();
        assert!(message.contains("nmae"), "{message}");
        let mut schema = toy::schema();
        schema.channel[0].kind = Kind::Categorical { vocabulary: "chanel".into() };
        let message = schema.check().unwrap_err().to_string();
        assert!(message.contains("channel.channel_id") && message.contains("chanel"), "{message}");
    }

    #[test]
    fn differences_name_the_fields() {
        let (ours, mut theirs) = (toy::schema(), toy::schema());
        theirs.target.clear();
        let differences = ours.differences(&theirs);
        assert!(differences.iter().any(|d| d.contains("target.") && d.contains("missing")));
        assert!(ours.differences(&ours).is_empty());
    }
}
