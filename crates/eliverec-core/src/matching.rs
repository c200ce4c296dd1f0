//! Match features: how many events of the user's history carry a value of the candidate.
//!
//! ```toml
//! [[match]]
//! name = "clicked_category"   # unique among the fields of a candidate
//! of = "category_id"          # a field of the candidate: of [[channel]] or [[target]]
//! history = "products"        # or "channels"
//! field = "category_id"       # a field of that history's events, of the same vocabulary
//! last = 50                   # only the newest events; all that the feed has if left out
//! half_life_s = 86400         # an event of this age counts half; all count 1 if left out
//! ```
//!
//! They are a function of the feed: no column holds them, they are computed where batches are made, offline and online by this
//! code. So they are no part of what feeds of one kind have in common ([`crate::Schema::fingerprint`]); a run keeps those that it
//! was trained with.

use std::ops::Range;

use crate::feed::{Column, Feed};
pub use crate::match_field::{History, Match};
use crate::no_row::{NO_ROW_ID, bucket, is_no_number};
use crate::schema::{Field, Group, Kind, Schema};

/// Where a field stands in the feeds of a schema.
#[derive(Clone, Debug, PartialEq)]
struct Place {
    group: Group,
    field: usize,
    /// Of a bucketised field.
    boundaries: Option<Vec<f32>>,
}

/// A match feature with its fields found.
#[derive(Clone, Debug, PartialEq)]
pub struct Matcher {
    /// Whose events it counts.
    pub history: History,
    of: Place,
    field: Place,
    last: usize,
    half_life_s: Option<f32>,
}

impl Match {
    /// Its fields in a schema.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub(crate) fn resolve(&self, schema: &Schema) -> Result<Matcher, String> {
        let find = |key: &str, name: &str, groups: [Group; 2]| {
            let named = |group: &Group| schema.fields(*group).iter().position(|f| f.name == name);
            let found = groups.iter().find_map(|group| Some((*group, named(group)?)));
            let all = groups.iter().flat_map(|group| schema.fields(*group));
            let all: Vec<&str> = all.map(|field| field.name.as_str()).collect();
            found.ok_or_else(|| {
                format!("{key} = {name:?} is no field there; it is one of {}", all.join(", "))
            })
        };
        let (of, field) = (
            find("of", &self.of, [Group::Candidate, Group::Target])?,
            find("field", &self.field, self.history.groups())?,
        );
        let kind = |(group, field): (Group, usize)| -> &Field { &schema.fields(group)[field] };
        let vocabularies = [of, field].map(|place| kind(place).kind.vocabulary());
        let boundaries = |place| match &kind(place).kind {
            Kind::Bucket { boundaries, .. } => Some(boundaries.clone()),
            _ => None,
        };
        let Some(name) = vocabularies[0] else {
            return Err(format!("of = {:?} is a number, which equals nothing", self.of));
        };
        if vocabularies[1] != Some(name) || boundaries(of) != boundaries(field) {
            return Err(format!(
                "{:?} and {:?} are of different vocabularies or intervals, so that equal values mean nothing",
                self.of, self.field
            ));
        }
        if self.last == Some(0) {
            return Err("last must be positive; leave it out for all events".into());
        }
        if self.half_life_s.is_some_and(|seconds| !(seconds.is_finite() && seconds > 0.0)) {
            return Err("half_life_s must be a positive number of seconds".into());
        }
        let place = |place: (Group, usize)| Place {
            group: place.0,
            field: place.1,
            boundaries: boundaries(place),
        };
        Ok(Matcher {
            history: self.history,
            of: place(of),
            field: place(field),
            last: self.last.unwrap_or(usize::MAX),
            half_life_s: self.half_life_s,
        })
    }
}

impl Schema {
    /// The match features with their fields found, in their order.
    ///
    /// # Panics
    /// On a schema that [`Schema::check`] refuses.
    pub fn matchers(&self) -> Vec<Matcher> {
        let matchers = self.matches.iter().map(|of| of.resolve(self));
        matchers.collect::<Result<_, _>>().expect("Schema::check resolved them")
    }
}

/// The columns of one feed: those of a group, and which of their rows are the feed's.
pub trait FeedRows {
    /// The columns of a group, and the feed's rows in them.
    fn rows(&self, group: Group) -> (&[Column], Range<usize>);
    /// Seconds from each event to the request, oldest event first.
    fn ages(&self, history: History) -> &[f32];
}

impl FeedRows for Feed {
    fn rows(&self, group: Group) -> (&[Column], Range<usize>) {
        let columns = self.columns(group);
        (columns, 0..columns.first().map_or(0, Column::len))
    }

    fn ages(&self, history: History) -> &[f32] {
        match history {
            History::Products => &self.products.age_s,
            History::Channels => &self.channels.age_s,
        }
    }
}

impl Matcher {
    /// For each candidate of a feed how many of the events carry one of its values: each event counts once, weighted by its age
    /// where there is a half-life. What has no value matches nothing.
    pub fn counts(&self, feed: &impl FeedRows) -> Vec<f32> {
        let (columns, rows) = feed.rows(self.field.group);
        let ages = feed.ages(self.history);
        let kept = rows.len().min(self.last);
        let weights: Vec<f32> =
            ages[ages.len() - kept..].iter().map(|age| self.weight(*age)).collect();
        let events = self.field.values(&columns[self.field.field], rows.end - kept..rows.end);
        let (columns, rows) = feed.rows(self.of.group);
        let candidates = self.of.values(&columns[self.of.field], rows);
        let count = |values: &[u64]| {
            let carries = |event: &[u64]| event.iter().any(|value| values.contains(value));
            let carrying = events.lists().zip(&weights).filter(|(event, _)| carries(event));
            carrying.map(|(_, weight)| weight).sum()
        };
        candidates.lists().map(count).collect()
    }

    fn weight(&self, age_s: f32) -> f32 {
        self.half_life_s.map_or(1.0, |half_life| (-age_s / half_life).exp2())
    }

    /// What of a count is standardised.
    pub fn transform(count: f32) -> f32 {
        count.ln_1p()
    }
}

/// The values of some rows, without those that stand for none.
#[derive(Debug, Default)]
struct Lists {
    ends: Vec<usize>,
    values: Vec<u64>,
}

impl Lists {
    fn push(&mut self, values: impl IntoIterator<Item = u64>) {
        self.values.extend(values);
        self.ends.push(self.values.len());
    }

    fn lists(&self) -> impl Iterator<Item = &[u64]> {
        let starts = [0].into_iter().chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.values[start..*end])
    }
}

impl Place {
    fn values(&self, column: &Column, rows: Range<usize>) -> Lists {
        let mut lists = Lists::default();
        let known = |id: &u64| *id != NO_ROW_ID;
        for row in rows {
            match (column, &self.boundaries) {
                (Column::Ids(ids), _) => lists.push(Some(ids[row]).filter(known)),
                (Column::Lists { ends, ids }, _) => {
                    let start = row.checked_sub(1).map_or(0, |before| ends[before] as usize);
                    let list = &ids[start..ends[row] as usize];
                    lists.push(list.iter().copied().filter(known));
                }
                (Column::Numbers(numbers), Some(boundaries)) => {
                    let number = Some(numbers[row]).filter(|x| !is_no_number(*x));
                    lists.push(number.map(|x| bucket(boundaries, x)));
                }
                (Column::Numbers(_), None) => unreachable!("Match::resolve refuses plain numbers"),
            }
        }
        lists
    }
}

#[cfg(test)]
mod tests;
