//! The contract of a feed: as many values as entities in every column, at least one candidate, finite numbers, no negative
//! stay or age, and labels for all feeds that go together or for none. One check for one feed and for many.

use crate::error::Error;
use crate::feed::{Column, Labels};
use crate::offsets::Offsets;
use crate::schema::{Field, Group, Kind, Schema};
use crate::task::TaskKind;

/// A feed that breaks the contract.
#[derive(Clone, Debug, PartialEq)]
pub struct Breach {
    /// Which of the feeds.
    pub feed: usize,
    /// Column with list position, as a feed file names them, for example `candidates[3].stay_s`.
    pub field: String,
    /// What is wrong.
    pub reason: String,
}

impl From<Breach> for Error {
    fn from(breach: Breach) -> Self {
        Self::Feed { field: breach.field, reason: breach.reason }
    }
}

/// Refuses a feed whose labels are known beside `feeds` feeds whose labels are not, or the other way round.
pub(crate) fn check_alike(feeds: usize, labelled: bool, other: bool) -> Result<(), Error> {
    if feeds == 0 || labelled == other {
        return Ok(());
    }
    let reason =
        "some feeds have labels and some have none; give labels for all of them or for none";
    Err(Error::Feed { field: "candidates.watched".into(), reason: reason.into() })
}

/// The columns of one feed or of many, alike.
pub(crate) struct View<'a> {
    pub(crate) groups: [&'a [Column]; Group::ALL.len()],
    pub(crate) feeds: usize,
    pub(crate) products: (&'a Offsets, &'a [f32]),
    pub(crate) channels: (&'a Offsets, &'a [f32]),
    pub(crate) candidates: &'a Offsets,
    pub(crate) position: &'a [Option<u16>],
    pub(crate) labels: Option<&'a Labels>,
}

/// Which entity of a column is wrong, if it is one, and why.
type Wrong = (Option<usize>, String);

impl View<'_> {
    pub(crate) fn check(&self, schema: &Schema) -> Result<(), Breach> {
        let whole = |field: &str, reason: String| Breach { feed: 0, field: field.into(), reason };
        for group in [Group::Product, Group::Channel, Group::Candidate] {
            let feeds = self.offsets(group).map_or(0, Offsets::feeds);
            if feeds != self.feeds {
                let reason = format!("{feeds} lists for {} feeds", self.feeds);
                return Err(whole(group.column(), reason));
            }
        }
        if let Some(feed) = self.candidates.ranges().position(|range| range.is_empty()) {
            let reason = "the list is empty; a feed needs at least one candidate".into();
            return Err(Breach { feed, field: "candidates".into(), reason });
        }
        for group in Group::ALL {
            let (fields, columns) = (schema.fields(group), self.groups[group as usize]);
            if fields.len() != columns.len() {
                let reason =
                    format!("{} columns, the schema declares {}", columns.len(), fields.len());
                return Err(whole(group.name(), reason));
            }
            for (field, column) in fields.iter().zip(columns) {
                check_column(self.entities(group), field, column)
                    .map_err(|wrong| self.breach(group, &field.name, wrong))?;
            }
        }
        for (group, (_, age_s)) in
            [(Group::Product, self.products), (Group::Channel, self.channels)]
        {
            check_length(self.entities(group), age_s.len())
                .and_then(|()| check_ages(age_s))
                .map_err(|wrong| self.breach(group, "age_s", wrong))?;
        }
        self.check_labels(schema)
    }

    fn check_labels(&self, schema: &Schema) -> Result<(), Breach> {
        let n = self.candidates.total();
        let length = |name: &str, length| {
            check_length(n, length).map_err(|wrong| self.breach(Group::Candidate, name, wrong))
        };
        length("position", self.position.len())?;
        let Some(labels) = self.labels else { return Ok(()) };
        length("watched", labels.watched.len())?;
        if labels.tasks.len() != schema.task.len() {
            let reason =
                format!("{} tasks, the schema declares {}", labels.tasks.len(), schema.task.len());
            return Err(Breach { feed: 0, field: "candidates".into(), reason });
        }
        for (task, labels) in schema.task.iter().zip(&labels.tasks) {
            length(task.column(), labels.len())?;
            let is_wrong = |label: f32| match task.kind {
                TaskKind::Duration => !label.is_finite() || label < 0.0,
                TaskKind::Binary => label != 0.0 && label != 1.0,
            };
            if let Some(i) = labels.iter().position(|label| label.is_some_and(is_wrong)) {
                let label = labels[i].unwrap_or_default();
                let reason = match task.kind {
                    TaskKind::Duration => {
                        format!("{label} is not a duration; seconds are finite and not negative")
                    }
                    TaskKind::Binary => {
                        format!("{label} is neither 0 nor 1, which say whether it happened")
                    }
                };
                return Err(self.breach(Group::Candidate, task.column(), (Some(i), reason)));
            }
        }
        Ok(())
    }

    /// From feed to entities of a group that is a list.
    fn offsets(&self, group: Group) -> Option<&Offsets> {
        match group {
            Group::User | Group::Context => None,
            Group::Product | Group::ProductEvent => Some(self.products.0),
            Group::Channel | Group::ChannelEvent => Some(self.channels.0),
            Group::Candidate | Group::Target | Group::Dynamic => Some(self.candidates),
        }
    }

    fn entities(&self, group: Group) -> usize {
        self.offsets(group).map_or(self.feeds, Offsets::total)
    }

    fn breach(&self, group: Group, field: &str, (at, reason): Wrong) -> Breach {
        let column = group.column();
        let (feed, field) = match (at, self.offsets(group)) {
            (None, _) => (0, format!("{column}.{field}")),
            (Some(row), None) => (row, format!("{column}.{field}")),
            (Some(row), Some(offsets)) => {
                let (feed, place) = offsets.locate(row);
                (feed, format!("{column}[{place}].{field}"))
            }
        };
        Breach { feed, field, reason }
    }
}

fn check_length(entities: usize, length: usize) -> Result<(), Wrong> {
    if length == entities {
        return Ok(());
    }
    Err((None, format!("{length} values for {entities}")))
}

fn check_ages(age_s: &[f32]) -> Result<(), Wrong> {
    match age_s.iter().position(|age| !age.is_finite() || *age < 0.0) {
        None => Ok(()),
        Some(i) => {
            let age = age_s[i];
            Err((
                Some(i),
                format!("{age} is not an age; a history holds only events before the request"),
            ))
        }
    }
}

fn check_column(entities: usize, field: &Field, column: &Column) -> Result<(), Wrong> {
    check_length(entities, column.len())?;
    match (&field.kind, column) {
        (Kind::Categorical { .. }, Column::Ids(_)) => Ok(()),
        (Kind::Multi { .. }, Column::Lists { ends, ids }) => {
            let last = ends.last().copied().unwrap_or_default() as usize;
            if ends.is_sorted() && last == ids.len() {
                return Ok(());
            }
            Err((None, format!("its lists end at {last} of {} ids", ids.len())))
        }
        (Kind::Bucket { .. } | Kind::Dense { .. }, Column::Numbers(numbers)) => {
            match numbers.iter().position(|x| !x.is_finite()) {
                None => Ok(()),
                Some(i) => {
                    let reason =
                        format!("{} is not a finite number of single precision", numbers[i]);
                    Err((Some(i), reason))
                }
            }
        }
        _ => Err((None, format!("its values do not fit its kind {:?}", field.kind))),
    }
}
