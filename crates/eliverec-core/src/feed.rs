//! A feed: one request, that is one user at one moment with the channels shown, and what was known before it.

use crate::error::Error;
use crate::schema::{Field, Group, Kind, Schema};

/// The values of one field over some entities (events of a history, candidates, or the one user), in order.
#[derive(Clone, Debug, PartialEq)]
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
    /// What the user did.
    pub labels: Labels,
}

/// What a user did with each candidate; `None` where the source does not know it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Labels {
    /// Stayed at least the threshold.
    pub watched: Vec<bool>,
    /// Seconds in the channel.
    pub stay_s: Vec<Option<f32>>,
    /// Opened the goods bag (or what stands in for it; the set's schema and tables say so).
    pub bag_click: Vec<Option<bool>>,
    /// Clicked a product in the channel.
    pub product_click: Vec<Option<bool>>,
}

/// One request: a row of a feed file.
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

    /// Takes all values out; the columns stay, and their memory.
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
        labels.watched.clear();
        labels.stay_s.clear();
        labels.bag_click.clear();
        labels.product_click.clear();
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
        self.candidates.labels.watched.len()
    }

    /// Entities of a group: 1 for user and context.
    pub fn entities(&self, group: Group) -> usize {
        match group {
            Group::User | Group::Context => 1,
            Group::Product | Group::ProductEvent => self.products.age_s.len(),
            Group::Channel | Group::ChannelEvent => self.channels.age_s.len(),
            Group::Candidate | Group::Target | Group::Dynamic => self.impressions(),
        }
    }

    /// Checks the contract: at least one candidate, as many values as entities, finite numbers, no negative stay or age.
    ///
    /// # Errors
    /// [`Error::Feed`] names the column and the list position.
    pub fn check(&self, schema: &Schema) -> Result<(), Error> {
        let wrong = |field: String, reason: String| Err(Error::Feed { field, reason });
        let n = self.impressions();
        if n == 0 {
            return wrong("candidates".into(), "a feed needs at least one candidate".into());
        }
        for group in Group::ALL {
            let (fields, columns) = (schema.fields(group), self.columns(group));
            if fields.len() != columns.len() {
                return wrong(
                    group.name().into(),
                    format!("{} columns, the schema declares {}", columns.len(), fields.len()),
                );
            }
            for (field, column) in fields.iter().zip(columns) {
                check_column(self.entities(group), field, column).or_else(|(at, reason)| {
                    wrong(format!("{}{at}.{}", group.name(), field.name), reason)
                })?;
            }
        }
        let labels = &self.candidates.labels;
        let lengths = [
            ("candidates.position", self.candidates.position.len()),
            ("candidates.stay_s", labels.stay_s.len()),
            ("candidates.bag_click", labels.bag_click.len()),
            ("candidates.product_click", labels.product_click.len()),
        ];
        if let Some((name, length)) = lengths.into_iter().find(|(_, length)| *length != n) {
            return wrong(name.into(), format!("{length} values for {n} candidates"));
        }
        for (i, stay) in labels.stay_s.iter().enumerate() {
            if let Some(stay) = stay.filter(|s| !s.is_finite() || *s < 0.0) {
                return wrong(
                    format!("candidates[{i}].stay_s"),
                    format!("{stay} is not a duration; seconds are finite and not negative"),
                );
            }
        }
        for (name, events) in [("products", &self.products), ("channels", &self.channels)] {
            if let Some(i) = events.age_s.iter().position(|a| !a.is_finite() || *a < 0.0) {
                return wrong(
                    format!("{name}[{i}].age_s"),
                    format!(
                        "{} is not an age; a history holds only events before the request",
                        events.age_s[i]
                    ),
                );
            }
        }
        Ok(())
    }
}

fn check_column(entities: usize, field: &Field, column: &Column) -> Result<(), (String, String)> {
    if column.len() != entities {
        return Err((String::new(), format!("{} values for {entities}", column.len())));
    }
    match (&field.kind, column) {
        (Kind::Categorical { .. }, Column::Ids(_)) | (Kind::Multi { .. }, Column::Lists { .. }) => {
            Ok(())
        }
        (Kind::Bucket { .. } | Kind::Dense { .. }, Column::Numbers(numbers)) => {
            match numbers.iter().position(|x| !x.is_finite()) {
                Some(i) => {
                    Err((format!("[{i}]"), format!("{} is not a finite number", numbers[i])))
                }
                None => Ok(()),
            }
        }
        _ => Err((String::new(), format!("its values do not fit its kind {:?}", field.kind))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toy;

    #[test]
    fn toy_feeds_keep_the_contract() {
        let schema = toy::schema();
        for feed in toy::feeds(20, 1) {
            feed.check(&schema).unwrap();
        }
    }

    #[test]
    fn each_breach_is_named() {
        let schema = toy::schema();
        let feed = toy::feeds(1, 1).remove(0);
        let message = |change: &dyn Fn(&mut Feed)| {
            let mut feed = feed.clone();
            change(&mut feed);
            feed.check(&schema).unwrap_err().to_string()
        };
        assert!(
            message(&|f| f.candidates = Feed::empty(&schema).candidates).starts_with("candidates:")
        );
        assert!(
            message(&|f| f.candidates.labels.stay_s[1] = Some(-1.0))
                .contains("candidates[1].stay_s")
        );
        assert!(message(&|f| f.channels.age_s[0] = f32::NAN).contains("channels[0].age_s"));
        let nan = |f: &mut Feed| {
            let Column::Numbers(x) = &mut f.candidates.target[0] else { panic!("dense") };
            x[0] = f32::NAN;
        };
        assert!(message(&nan).contains("target[0].clicks_60m"));
    }
}
