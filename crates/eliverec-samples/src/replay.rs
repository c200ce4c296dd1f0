//! The proof of "one fold, two drivers" on any log: its events go through the online driver one by one, in the order of their
//! arrival, and every feature and every label of every request is compared with the feed that the plans made.
//!
//! Holds the events of one day of arrival, the labels of two days, and what the online driver holds.

use std::path::Path;
use std::sync::Arc;

use eliverec_core::Feed;
use eliverec_core::event::Scalar;
use eliverec_core::feed::Column;
use eliverec_core::feed::{Events, Labels};
use eliverec_core::schema::{Group, Schema};
use eliverec_features::freshness::Fates;
use eliverec_features::{Candidate, FeedBuilder, OnlineDriver, Request};
use eliverec_tables::check::{Checked, promises};
use eliverec_tables::events::{ArrivalOrder, EventLog, Store};
use eliverec_tables::{FeedDirectory, Split};

use crate::days_made::{DifferingDays, differing_days};
use crate::error::Error;
use crate::other_log::other_log;
use crate::recipe_file::{RECIPE_FILE, read_recipe};
use crate::replay_labels::{Compared, LabelJoin};

/// Requests between two reports of progress.
const REPORT: u64 = 10_000;

/// The groups whose cells are features. The others are what was asked, which a replay takes from the feed.
const FEATURES: [Group; 7] = [
    Group::User,
    Group::Product,
    Group::ProductEvent,
    Group::Channel,
    Group::ChannelEvent,
    Group::Target,
    Group::Dynamic,
];

/// What a replay found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Replay {
    /// Requests compared.
    pub requests: u64,
    /// Values compared: one per field and entity.
    pub cells: u64,
    /// Values that differ, missing ones included.
    pub differing: u64,
    /// Where the first one is.
    pub first: Option<String>,
    /// Days whose feeds are not those that were made, and why; values are compared of what is there.
    pub differing_days: DifferingDays,
    /// What became of the events.
    pub fates: Fates,
    /// What was read of both.
    pub checked: Checked,
}

/// Replays the log at `logs` and compares with the feeds that `samples` made of it, `lenient` as they were made. `progress` hears of
/// the requests so far.
///
/// # Errors
/// A log or feeds that cannot be read, a row of the log that is no event (unless `lenient`), feeds that were not made by `samples`, a schema without `channel_id`.
pub fn replay(
    logs: &Path,
    feeds: &Path,
    lenient: bool,
    mut progress: impl FnMut(u64),
) -> Result<Replay, Error> {
    let log = EventLog::open(&Store::open(logs)?)?;
    let dimensions = Arc::new(log.dimensions()?);
    let directory = FeedDirectory::open(feeds)?;
    let schema = directory.schema();
    let builder = FeedBuilder::new(schema, &dimensions)?.with_labels()?;
    let recipe = read_recipe(&feeds.join(RECIPE_FILE))?;
    let mut driver = OnlineDriver::new(recipe.features, &dimensions, builder.wanted())?;
    let channel_id = channel_id(schema)?;
    let mut arrivals = ArrivalOrder::new(&log, &dimensions, recipe.first_day(), lenient);
    let mut labels = LabelJoin::new(recipe);
    let mut found = Replay::default();
    let of_feeds = promises(&directory, &Split::ALL, &[])?;
    for split in Split::ALL {
        if directory.feeds(split)? == 0 {
            continue;
        }
        for feed in directory.read(split)? {
            let feed = feed?;
            while let Some(event) = arrivals.before(feed.ts_ms)? {
                driver.event(&event);
                labels.event(&event);
            }
            while let Some(compared) = labels.close(feed.ts_ms, &builder) {
                found.compare_labels(schema, compared);
            }
            let request = request(&feed, channel_id);
            let channels: Vec<u64> = request.candidates.iter().map(|c| c.channel_id).collect();
            let features = driver.features(request.user_id, request.ts_ms, &channels);
            found.compare(schema, &feed, &builder.feed(&request, &features));
            labels.open(&feed, &request);
            if found.requests.is_multiple_of(REPORT) {
                progress(found.requests);
            }
        }
    }
    while let Some(event) = arrivals.before(i64::MAX)? {
        driver.event(&event);
        labels.event(&event);
    }
    while let Some(compared) = labels.close(i64::MAX, &builder) {
        found.compare_labels(schema, compared);
    }
    found.fates = driver.fates();
    let fates = [("late", found.fates.late), ("second arrivals", found.fates.duplicate)];
    let (differing_days, not_known) = differing_days(feeds)?;
    found.differing_days = differing_days;
    let findings = other_log(feeds, &log)?.into_iter().chain(not_known).collect();
    let of_log = Checked { findings, ..Checked::default() };
    found.checked = arrivals.checked(&fates).and(of_log).and(of_feeds);
    Ok(found)
}

/// Where the candidates' channel stands in their columns.
fn channel_id(schema: &Schema) -> Result<usize, Error> {
    let fields = schema.fields(Group::Candidate);
    let place = fields.iter().position(|field| field.name == "channel_id").ok_or_else(|| {
        eliverec_features::Error::Field {
            field: "channel.channel_id".into(),
            reason: "is not in the schema, and the channels of a request are known by it".into(),
        }
    })?;
    Ok(place)
}

/// The request of a feed: what was asked, without what was known and done.
fn request(feed: &Feed, channel_id: usize) -> Request {
    let context = feed.context.iter().filter_map(|column| match column {
        Column::Ids(ids) => ids.first().copied().map(Scalar::Id),
        Column::Numbers(numbers) => numbers.first().copied().map(Scalar::Number),
        Column::Lists { .. } => None,
    });
    let channels = match &feed.candidates.channel[channel_id] {
        Column::Ids(ids) => ids.as_slice(),
        Column::Numbers(_) | Column::Lists { .. } => &[],
    };
    let candidate = |(i, channel_id): (usize, &u64)| Candidate {
        event_id: 0,
        channel_id: *channel_id,
        position: feed.candidates.position[i],
        outcome: None,
    };
    Request {
        request_id: feed.request_id,
        user_id: feed.user_id,
        ts_ms: feed.ts_ms,
        context: context.collect(),
        candidates: channels.iter().enumerate().map(candidate).collect(),
    }
}

impl Replay {
    /// Whether every value is that of the log, and every day there as it was made.
    pub fn is_same(&self) -> bool {
        self.differing == 0 && self.differing_days.is_empty()
    }

    fn compare(&mut self, schema: &Schema, made: &Feed, known: &Feed) {
        self.requests += 1;
        for group in FEATURES {
            let fields = schema.fields(group).iter();
            let columns = made.columns(group).iter().zip(known.columns(group));
            for (field, (made_column, known_column)) in fields.zip(columns) {
                let place =
                    || format!("request {}, {}.{}", made.request_id, group.name(), field.name);
                self.add(cells(made_column), cells(known_column), place);
            }
        }
        for (name, made_events, known_events) in [
            ("products", &made.products, &known.products),
            ("channels", &made.channels, &known.channels),
        ] {
            let place = || format!("request {}, age_s of {name}", made.request_id);
            let ages = |events: &Events| events.age_s.iter().map(|age| vec![bits(*age)]).collect();
            self.add(ages(made_events), ages(known_events), place);
        }
    }

    fn compare_labels(&mut self, schema: &Schema, compared: Compared) {
        let Compared { request_id, made, known } = compared;
        let place = |label: &str| format!("request {request_id}, label {label}");
        let watched = |of: &Labels| of.watched.iter().map(|x| vec![u64::from(*x)]).collect();
        self.add(watched(&made), watched(&known), || place("watched"));
        for (task, (made, known)) in schema.task.iter().zip(made.tasks.iter().zip(&known.tasks)) {
            // An unknown label is a value, too.
            let values =
                |of: &[Option<f32>]| of.iter().map(|x| x.map(bits).into_iter().collect()).collect();
            self.add(values(made), values(known), || place(task.column()));
        }
    }

    fn add(&mut self, made: Vec<Vec<u64>>, known: Vec<Vec<u64>>, place: impl Fn() -> String) {
        let cells = made.len().max(known.len());
        let same = made.iter().zip(&known).filter(|(a, b)| a == b).count();
        self.cells += cells as u64;
        self.differing += (cells - same) as u64;
        if same < cells && self.first.is_none() {
            self.first = Some(place());
        }
    }
}

fn bits(number: f32) -> u64 {
    u64::from(number.to_bits())
}

/// The value of every entity, bit for bit.
fn cells(column: &Column) -> Vec<Vec<u64>> {
    match column {
        Column::Ids(ids) => ids.iter().map(|id| vec![*id]).collect(),
        Column::Numbers(numbers) => numbers.iter().map(|x| vec![bits(*x)]).collect(),
        Column::Lists { ends, ids } => {
            let starts = std::iter::once(0).chain(ends.iter().map(|end| *end as usize));
            let ranges = starts.zip(ends);
            ranges.map(|(start, end)| ids[start..*end as usize].to_vec()).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_differing_and_missing_value_counts() {
        let mut found = Replay::default();
        let lists = |ends: &[u32], ids: &[u64]| {
            cells(&Column::Lists { ends: ends.to_vec(), ids: ids.to_vec() })
        };
        found.add(lists(&[2, 2, 3], &[7, 8, 9]), lists(&[2, 3, 3], &[7, 8, 9]), || "a".into());
        assert_eq!((found.cells, found.differing, found.first.as_deref()), (3, 2, Some("a")));
        let zeros = cells(&Column::Numbers(vec![0.0, 1.0]));
        found.add(zeros, cells(&Column::Numbers(vec![-0.0])), || "b".into());
        assert_eq!((found.cells, found.differing, found.first.as_deref()), (5, 4, Some("a")));
    }
}
