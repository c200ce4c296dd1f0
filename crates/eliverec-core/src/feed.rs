//! A feed: one request, that is one user at one moment with the channels shown, and what was known before it.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::schema::{Field, Group, Kind, Schema};

/// The values of one field over some entities (events of a history, candidates, or the one user), in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Column {
    /// One id each.
    Ids(Vec<u64>),
    /// One number each: a dense field, or a bucketised one before it is bucketised.
    Numbers(Vec<f32>),
    /// Any number of ids each; list i is `ids[ends[i - 1]..ends[i]]`.
    Lists {
        /// Where each list ends.
        ends: Vec<u32>,
        /// All lists, one after the other.
        ids: Vec<u64>,
    },
}

impl Column {
    /// An empty column that can hold the raw values of `kind`.
    pub fn empty(kind: &Kind) -> Self {
        match kind {
            Kind::Categorical { .. } => Self::Ids(Vec::new()),
            Kind::Bucket { .. } | Kind::Dense { .. } => Self::Numbers(Vec::new()),
            Kind::Multi { .. } => Self::Lists { ends: Vec::new(), ids: Vec::new() },
        }
    }

    /// Empty columns for a group's fields.
    pub fn empty_group(fields: &[Field]) -> Vec<Self> {
        fields.iter().map(|field| Self::empty(&field.kind)).collect()
    }

    /// Adds the values that `from`, a column of the same kind, has for some of its entities.
    ///
    /// # Panics
    /// If the columns are not of one kind.
    pub fn extend(&mut self, from: &Self, rows: Range<usize>) {
        match (self, from) {
            (Self::Ids(to), Self::Ids(from)) => to.extend_from_slice(&from[rows]),
            (Self::Numbers(to), Self::Numbers(from)) => to.extend_from_slice(&from[rows]),
            (Self::Lists { ends: to_ends, ids: to }, Self::Lists { ends, ids: from }) => {
                let first = rows.start.checked_sub(1).map_or(0, |before| ends[before]);
                let own = &ends[rows];
                let last = own.last().copied().unwrap_or(first);
                let already = to.len() as u32;
                to.extend_from_slice(&from[first as usize..last as usize]);
                to_ends.extend(own.iter().map(|end| end - first + already));
            }
            (to, from) => panic!("{from:?} is of another kind than {to:?}"),
        }
    }

    /// Gives back the memory that holds nothing.
    pub fn shrink_to_fit(&mut self) {
        match self {
            Self::Ids(ids) => ids.shrink_to_fit(),
            Self::Numbers(numbers) => numbers.shrink_to_fit(),
            Self::Lists { ends, ids } => {
                ends.shrink_to_fit();
                ids.shrink_to_fit();
            }
        }
    }

    /// Takes all values out and keeps the memory.
    pub fn clear(&mut self) {
        match self {
            Self::Ids(ids) => ids.clear(),
            Self::Numbers(numbers) => numbers.clear(),
            Self::Lists { ends, ids } => {
                ends.clear();
                ids.clear();
            }
        }
    }

    /// How many entities it describes.
    pub fn len(&self) -> usize {
        match self {
            Self::Ids(ids) => ids.len(),
            Self::Numbers(numbers) => numbers.len(),
            Self::Lists { ends, .. } => ends.len(),
        }
    }

    /// Whether it describes no entity.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a user did before the request, oldest first. Each column has one value per event.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Events {
    /// The entity's fields (`product` or `channel`), in schema order.
    pub entity: Vec<Column>,
    /// The event's own fields (`product_event` or `channel_event`), in schema order.
    pub event: Vec<Column>,
    /// Seconds from the event to the request, not negative.
    pub age_s: Vec<f32>,
}

/// The channels shown. Each column has one value per candidate.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Candidates {
    /// The `channel` fields, in schema order.
    pub channel: Vec<Column>,
    /// The `target` fields.
    pub target: Vec<Column>,
    /// The `dynamic` fields.
    pub dynamic: Vec<Column>,
    /// Place in the list shown, from 0; `None` where the source does not know it.
    pub position: Vec<Option<u16>>,
    /// What the user did; `None` where nobody knows yet, as in a request that asks for scores.
    pub labels: Option<Labels>,
}

/// What a user did with each candidate. Whether they watched is known of all; the rest is `None` where the source does
/// not know it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Labels {
    /// Stayed at least the threshold.
    pub watched: Vec<bool>,
    /// By task of the schema: seconds of a duration, 1 or 0 of what happens or not.
    pub tasks: Vec<Vec<Option<f32>>>,
}

impl Labels {
    /// Of no candidates yet.
    pub fn empty(schema: &Schema) -> Self {
        Self { watched: Vec::new(), tasks: vec![Vec::new(); schema.task.len()] }
    }

    /// Adds a candidate; `tasks` in the order of the schema.
    pub fn push(&mut self, watched: bool, tasks: impl IntoIterator<Item = Option<f32>>) {
        self.watched.push(watched);
        self.tasks.iter_mut().zip(tasks).for_each(|(labels, label)| labels.push(label));
    }

    /// Adds the labels that `from` has for some of its candidates.
    pub fn extend(&mut self, from: &Self, rows: Range<usize>) {
        self.watched.extend_from_slice(&from.watched[rows.clone()]);
        self.tasks.resize_with(from.tasks.len(), Vec::new);
        for (to, from) in self.tasks.iter_mut().zip(&from.tasks) {
            to.extend_from_slice(&from[rows.clone()]);
        }
    }
}

/// One request with values of its own, as importers, the online driver and explanations make and take it. Many at once are
/// [`crate::FeedColumns`], which check the contract.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Feed {
    /// Unique in its data set.
    pub request_id: u64,
    /// Who asked.
    pub user_id: u64,
    /// When, in milliseconds since 1970 UTC (or since the start of a set that has no date).
    pub ts_ms: i64,
    /// The `user` fields, one value each.
    pub user: Vec<Column>,
    /// The `context` fields, one value each.
    pub context: Vec<Column>,
    /// Product clicks.
    pub products: Events,
    /// Watches.
    pub channels: Events,
    /// Channels shown; at least one.
    pub candidates: Candidates,
}

impl Feed {
    /// An empty feed with the columns that `schema` declares.
    pub fn empty(schema: &Schema) -> Self {
        let columns = |group| Column::empty_group(schema.fields(group));
        Self {
            user: columns(Group::User),
            context: columns(Group::Context),
            products: Events {
                entity: columns(Group::Product),
                event: columns(Group::ProductEvent),
                age_s: Vec::new(),
            },
            channels: Events {
                entity: columns(Group::Channel),
                event: columns(Group::ChannelEvent),
                age_s: Vec::new(),
            },
            candidates: Candidates {
                channel: columns(Group::Candidate),
                target: columns(Group::Target),
                dynamic: columns(Group::Dynamic),
                ..Candidates::default()
            },
            ..Self::default()
        }
    }

    /// Takes all values out, and the labels with them; the other columns stay, and their memory.
    pub fn clear(&mut self) {
        let Self { user, context, products, channels, candidates, .. } = self;
        let Candidates { channel, target, dynamic, position, labels } = candidates;
        for events in [products, channels] {
            events.entity.iter_mut().chain(&mut events.event).for_each(Column::clear);
            events.age_s.clear();
        }
        for columns in [user, context, channel, target, dynamic] {
            columns.iter_mut().for_each(Column::clear);
        }
        position.clear();
        *labels = None;
    }

    /// The columns of a group.
    pub fn columns(&self, group: Group) -> &[Column] {
        match group {
            Group::User => &self.user,
            Group::Context => &self.context,
            Group::Product => &self.products.entity,
            Group::ProductEvent => &self.products.event,
            Group::Channel => &self.channels.entity,
            Group::ChannelEvent => &self.channels.event,
            Group::Candidate => &self.candidates.channel,
            Group::Target => &self.candidates.target,
            Group::Dynamic => &self.candidates.dynamic,
        }
    }

    /// Channels shown.
    pub fn impressions(&self) -> usize {
        self.candidates.channel.first().map_or(0, Column::len)
    }
}
