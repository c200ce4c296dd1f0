//! What the model saw and did for one request: intent weights and attention over both histories, and every intermediate.

use std::collections::BTreeMap;
use std::path::Path;

use eliverec_core::batch::Values;
use eliverec_core::feed::Column;
use eliverec_core::schema::Group;
use eliverec_core::{BatchBuilder, Feed, Schema};
use eliverec_models::parameters;
use eliverec_models::trace::{Recorded, Trace};
use eliverec_run::{Prepared, RunDirectory, Scorer, tensor_file};
use eliverec_tables::{FeedDirectory, Split};
use serde::Serialize;

use crate::error::Error;

/// One request, explained.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// Which request.
    pub request_id: u64,
    /// Who asked.
    pub user_id: u64,
    /// Where it was found.
    pub split: Split,
    /// Which model explains.
    pub model: String,
    /// Which checkpoint of the run, relative to it.
    pub checkpoint: String,
    /// `live` and, where the model has it, `product`: the events it saw, oldest first.
    pub histories: BTreeMap<&'static str, Vec<Event>>,
    /// The channels shown, in the order of the feed.
    pub candidates: Vec<Candidate>,
}

/// One event of a history.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    /// Its fields as the feed has them.
    pub fields: BTreeMap<String, String>,
    /// Seconds before the request.
    pub age_s: f32,
    /// Mean over the elements of p_c (Eq. 5), the consistent intent's share; absent for other models.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intent: Option<f32>,
}

/// One channel shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Candidate {
    /// Its fields as the feed has them.
    pub fields: BTreeMap<String, String>,
    /// Of being watched, as predicted.
    pub probability: f32,
    /// What happened; absent where the feed has no labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watched: Option<bool>,
    /// By domain and kind (`consistent_attention`, `specific_attention` of Eq. 7, or `attention`): a weight per event, mean
    /// over heads where there are several.
    pub attention: BTreeMap<&'static str, BTreeMap<String, Vec<f32>>>,
}

/// Domains by name, with where their events stand in a feed.
const DOMAINS: [(&str, Group); 2] = [("live", Group::Channel), ("product", Group::Product)];

/// Explains request `id` with the best checkpoint of the run at `path`; with `tensors`, writes all that the scores were computed
/// from and by to that file.
///
/// # Errors
/// [`Error::Run`] if no split of `feeds` holds the request; what opening the run or reading the feeds gives.
pub fn explain(
    path: &Path,
    feeds: &FeedDirectory,
    id: u64,
    tensors: Option<&Path>,
) -> Result<Explanation, Error> {
    let scorer = Scorer::open(path)?;
    RunDirectory::at(path).check_schema(feeds.schema(), feeds.path())?;
    let (split, feed) = find(feeds, id)?;
    let (schema, scoring) = (&scorer.schema, scorer.scoring());
    let lengths = scorer.config.settings().lengths();
    let mut builder = BatchBuilder::new(schema, &scorer.normalization, lengths);
    builder.push(&feed)?;
    let batch = builder.finish().expect("one feed was added");
    let prepared = Prepared::of(schema, batch);
    let mut trace = Trace::on();
    let probabilities = scoring.trace(&prepared, &mut trace).p_watch;
    let recorded = trace.into_recorded();
    if let Some(file) = tensors {
        write_tensors(file, &scorer, &prepared, &recorded)?;
    }
    let batch = &prepared.batch;
    let kept = [batch.channels.total(), batch.products.total()];
    let histories = DOMAINS.iter().zip(kept).filter(|(_, kept)| *kept > 0);
    let histories = histories
        .map(|((name, group), kept)| {
            (*name, events(schema, &feed, *group, kept, recorded.get(&format!("{name}.intention"))))
        })
        .collect();
    let candidates = (0..feed.impressions())
        .map(|i| Candidate {
            fields: [Group::Candidate, Group::Target, Group::Dynamic]
                .into_iter()
                .flat_map(|group| fields(schema, &feed, group, i))
                .collect(),
            probability: probabilities[i],
            watched: feed.candidates.labels.as_ref().map(|labels| labels.watched[i]),
            attention: attention(&recorded, i, kept),
        })
        .collect();
    Ok(Explanation {
        request_id: feed.request_id,
        user_id: feed.user_id,
        split,
        model: scorer.config.model.name().into(),
        checkpoint: scorer.commit.best.clone(),
        histories,
        candidates,
    })
}

/// Everything that the scores of one request were computed from and by: enough to compute them again.
///
/// | name | what |
/// | --- | --- |
/// | `ids/TABLE` | the ids in use, in the order of their rows |
/// | `rows/TABLE` | their rows `[u, w]` |
/// | `places/GROUP.FIELD` | of each entity, which of these rows its value is; of a list, those of all its values |
/// | `lengths/GROUP.FIELD` | of a multi-valued field, how many values each entity has |
/// | `numbers/GROUP.FIELD` | of a dense field, the transformed and standardised values |
/// | `age_s/DOMAIN` | seconds from each event to the request |
/// | `labels/watched`, `labels/TASK` | what happened, -1 where it is not known; absent for a feed without labels |
/// | `parameter/NAME` | every dense parameter |
/// | `trace/NAME` | every intermediate |
fn write_tensors(
    file: &Path,
    scorer: &Scorer,
    prepared: &Prepared,
    recorded: &BTreeMap<String, Recorded>,
) -> Result<(), Error> {
    let (schema, Prepared { batch, unique }) = (&scorer.schema, prepared);
    let (mut floats, mut integers) = (BTreeMap::new(), BTreeMap::new());
    let list = |values: &[f32]| Recorded { shape: vec![values.len()], values: values.to_vec() };
    let tables = scorer.config.tables(schema).into_iter().zip(scorer.scoring().leaves(unique));
    for (table, rows) in tables {
        let Some((ids, _)) = unique.of_key(table.key).filter(|(ids, _)| !ids.is_empty()) else {
            continue;
        };
        floats.insert(format!("rows/{}", table.name), Recorded::of(&rows));
        integers.insert(format!("ids/{}", table.name), ids.to_vec());
    }
    for group in Group::ALL {
        let fields = schema.fields(group).iter().zip(batch.values(group));
        for ((field, values), places) in fields.zip(unique.places(group)) {
            let name = format!("{}.{}", group.name(), field.name);
            let places = || places.iter().map(|place| u64::from(*place)).collect();
            match values {
                Values::Numbers(numbers) => {
                    floats.insert(format!("numbers/{name}"), list(numbers));
                }
                Values::Ids(_) => {
                    integers.insert(format!("places/{name}"), places());
                }
                Values::Lists { offsets, .. } => {
                    let lengths = offsets.ranges().map(|range| range.len() as u64).collect();
                    integers.insert(format!("lengths/{name}"), lengths);
                    integers.insert(format!("places/{name}"), places());
                }
            }
        }
    }
    floats.insert("age_s/live".into(), list(&batch.channel_age_s));
    floats.insert("age_s/product".into(), list(&batch.product_age_s));
    if let Some(labels) = &batch.labels {
        let known = |label: &f32| if label.is_nan() { -1.0 } else { *label };
        floats.insert("labels/watched".into(), list(&labels.watched));
        for (task, labels) in schema.task.iter().zip(&labels.tasks) {
            let labels: Vec<f32> = labels.iter().map(known).collect();
            floats.insert(format!("labels/{}", task.name), list(&labels));
        }
    }
    for (name, parameter) in parameters::export(&scorer.model) {
        floats.insert(format!("parameter/{name}"), parameter);
    }
    for (name, tensor) in recorded {
        floats.insert(format!("trace/{name}"), tensor.clone());
    }
    Ok(tensor_file::write_with_integers(file, &floats, &integers)?)
}

fn find(feeds: &FeedDirectory, id: u64) -> Result<(Split, Feed), Error> {
    for split in [Split::Test, Split::Validation, Split::Train] {
        if feeds.feeds(split)? == 0 {
            continue;
        }
        for feed in feeds.read(split)? {
            let feed = feed?;
            if feed.request_id == id {
                return Ok((split, feed));
            }
        }
    }
    let reason = format!("no split holds request {id}; the request_id column lists them");
    Err(eliverec_run::Error::Run { path: feeds.path().into(), reason }.into())
}

/// The newest `kept` events of a history, with the mean of their rows of `intention` `[kept, d]` or `[kept, 1]`.
fn events(
    schema: &Schema,
    feed: &Feed,
    group: Group,
    kept: usize,
    intention: Option<&Recorded>,
) -> Vec<Event> {
    let ages = if group == Group::Channel { &feed.channels.age_s } else { &feed.products.age_s };
    let first = ages.len() - kept;
    let event_group =
        if group == Group::Channel { Group::ChannelEvent } else { Group::ProductEvent };
    let event = |i: usize| {
        let mut fields = fields(schema, feed, group, first + i);
        fields.extend(self::fields(schema, feed, event_group, first + i));
        let intent = intention.map(|p| {
            let width = p.values.len() / kept;
            p.values[i * width..(i + 1) * width].iter().sum::<f32>() / width as f32
        });
        Event { fields, age_s: ages[first + i], intent }
    };
    (0..kept).map(event).collect()
}

/// The values of a group's fields for entity `i`.
fn fields(schema: &Schema, feed: &Feed, group: Group, i: usize) -> BTreeMap<String, String> {
    let value = |column: &Column| match column {
        Column::Ids(ids) => ids[i].to_string(),
        Column::Numbers(numbers) => numbers[i].to_string(),
        Column::Lists { ends, ids } => {
            let start = if i == 0 { 0 } else { ends[i - 1] as usize };
            let list: Vec<String> =
                ids[start..ends[i] as usize].iter().map(ToString::to_string).collect();
            list.join(" ")
        }
    };
    let named = schema.fields(group).iter().zip(feed.columns(group));
    named.map(|(field, column)| (field.name.clone(), value(column))).collect()
}

/// The attention of candidate `i` in every recorded `DOMAIN.KIND` `[1, c, l]` or, with heads, `[1, h, c, l]`.
fn attention(
    recorded: &BTreeMap<String, Recorded>,
    i: usize,
    kept: [usize; 2],
) -> BTreeMap<&'static str, BTreeMap<String, Vec<f32>>> {
    let mut all: BTreeMap<&'static str, BTreeMap<String, Vec<f32>>> = BTreeMap::new();
    for ((domain, _), kept) in DOMAINS.iter().zip(kept) {
        for (name, tensor) in recorded {
            let kind = name.strip_prefix(domain).and_then(|rest| rest.strip_prefix('.'));
            let Some(kind) = kind.filter(|k| k.ends_with("attention") && kept > 0) else {
                continue;
            };
            let [.., candidates, events] = tensor.shape[..] else { continue };
            let heads = tensor.values.len() / (candidates * events);
            let at = |head: usize, e: usize| tensor.values[(head * candidates + i) * events + e];
            let mean = |e| (0..heads).map(|head| at(head, e)).sum::<f32>() / heads as f32;
            let weights = (0..kept).map(mean).collect();
            all.entry(domain).or_default().insert(kind.into(), weights);
        }
    }
    all
}
