//! What the model saw and did for one request: intent weights and attention over both histories, and every intermediate.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use eliverec_core::feed::Column;
use eliverec_core::schema::{Field, Group};
use eliverec_core::{BatchBuilder, Feed, Schema};
use eliverec_models::trace::{Recorded, Trace};
use eliverec_run::{Prepared, RunDirectory, Scorer};
use eliverec_tables::{FeedDirectory, Split, WrittenId, WrittenIds};
use serde::Serialize;

use crate::error::Error;
use crate::explain_tensors::Tensors;
use crate::feeds_read::check_fit;

/// Where [`explain`] writes what the scores were computed from and by.
#[derive(Clone, Copy, Debug)]
pub struct TensorFile<'a> {
    /// The file.
    pub path: &'a Path,
    /// Whether the trunk's terms of the loss are wanted, too. A term takes more than one feed: it is that of the batch in which
    /// evaluation of the split has the request, with the random numbers of the first update.
    pub regularisers: bool,
}

/// One request, explained.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// Which request, as the feeds write it.
    pub request_id: WrittenId,
    /// Who asked, as the feeds write it.
    pub user_id: WrittenId,
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
    /// By domain and kind (`consistent_attention`, `specific_attention` of Eq. 7, or `attention`; `encoder_attention` where DIN's
    /// unit encodes): a weight per event, mean over heads where there are several.
    pub attention: BTreeMap<&'static str, BTreeMap<String, Vec<f32>>>,
}

/// Domains by name, with where their events stand in a feed.
const DOMAINS: [(&str, Group); 2] = [("live", Group::Channel), ("product", Group::Product)];

/// Explains the request `id`, written as the feeds write it, with the best checkpoint of the run at `path`; with `tensors`, writes all that the scores were computed
/// from and by to that file, in which the tables of the file `explain_tensors.rs` say what is what, unless
/// `accept` refuses the explanation.
///
/// # Errors
/// [`Error::Run`] if no split of `feeds` holds the request; what `accept` says; what opening the run or reading the feeds gives.
pub fn explain(
    path: &Path,
    feeds: &FeedDirectory,
    id: &str,
    tensors: Option<TensorFile<'_>>,
    accept: impl FnOnce(&Explanation) -> Result<(), eliverec_run::Error>,
) -> Result<Explanation, Error> {
    if let Some(TensorFile { path, .. }) = tensors {
        refuse_other_files(path)?;
    }
    let scorer = Scorer::open(path)?;
    check_fit(&RunDirectory::at(path), feeds)?;
    let (split, place, feed) = find(feeds, id)?;
    let written = feeds.written_ids(split, place)?;
    let (schema, scoring) = (&scorer.schema, scorer.scoring());
    let lengths = scorer.config.settings().lengths();
    let mut builder = BatchBuilder::new(schema, &scorer.normalization, lengths);
    builder.push(&feed)?;
    let batch = builder.finish().expect("one feed was added");
    let prepared = Prepared::of(schema, batch);
    let mut trace = Trace::in_detail();
    let probabilities = scoring.trace(&prepared, &mut trace).p_watch;
    let recorded = trace.into_recorded();
    let batch = &prepared.batch;
    let kept = [batch.channels.total(), batch.products.total()];
    let histories = DOMAINS.iter().zip(kept).filter(|(_, kept)| *kept > 0);
    let histories = histories
        .map(|((name, group), kept)| {
            let intention = recorded.get(&format!("{name}.intention"));
            (*name, events(schema, (&feed, &written), *group, kept, intention))
        })
        .collect();
    let candidates = (0..feed.impressions())
        .map(|i| Candidate {
            fields: [Group::Candidate, Group::Target, Group::Dynamic]
                .into_iter()
                .flat_map(|group| fields(schema, (&feed, &written), group, i))
                .collect(),
            probability: probabilities[i],
            watched: feed.candidates.labels.as_ref().map(|labels| labels.watched[i]),
            attention: attention(&recorded, i, kept),
        })
        .collect();
    let explanation = Explanation {
        request_id: written.request_id(),
        user_id: written.user_id(),
        split,
        model: scorer.config.model.name().into(),
        checkpoint: scorer.commit.best.clone(),
        histories,
        candidates,
    };
    accept(&explanation)?;
    if let Some(TensorFile { path, regularisers }) = tensors {
        let mut tensors = Tensors::of(&scorer, &prepared, &recorded);
        if regularisers {
            tensors.add_terms(&scorer, feeds, split, feed.request_id)?;
        }
        tensors.write(path, &scorer)?;
    }
    Ok(explanation)
}

/// A file of tensors may be replaced, no other one: a header in JSON follows the eight bytes of its length.
fn refuse_other_files(path: &Path) -> Result<(), Error> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        let reason = format!("{} is no folder; make it or choose another name", folder.display());
        return Err(eliverec_run::Error::Run { path: path.into(), reason }.into());
    }
    let mut start = Vec::new();
    if path.is_file() {
        fs_err::File::open(path)?.take(9).read_to_end(&mut start)?;
    }
    if path.is_dir() || !start.is_empty() && start.get(8) != Some(&b'{') {
        let reason = "is there and no file of tensors; remove it or choose another name";
        return Err(eliverec_run::Error::Run { path: path.into(), reason: reason.into() }.into());
    }
    Ok(())
}

/// The feed of a request, its split and its place there.
fn find(feeds: &FeedDirectory, written: &str) -> Result<(Split, u64, Feed), Error> {
    let id = feeds.request_id(written)?;
    for split in [Split::Test, Split::Validation, Split::Train] {
        if feeds.feeds(split)? == 0 {
            continue;
        }
        for (place, feed) in feeds.read(split)?.enumerate() {
            let feed = feed?;
            if feed.request_id == id {
                return Ok((split, place as u64, feed));
            }
        }
    }
    let reason = format!("no split holds request {written}; the request_id column lists them");
    Err(eliverec_run::Error::Run { path: feeds.path().into(), reason }.into())
}

/// The newest `kept` events of a history, with the mean of their rows of `intention` `[kept, d]` or `[kept, 1]`.
fn events(
    schema: &Schema,
    (feed, written): (&Feed, &WrittenIds),
    group: Group,
    kept: usize,
    intention: Option<&Recorded>,
) -> Vec<Event> {
    let ages = if group == Group::Channel { &feed.channels.age_s } else { &feed.products.age_s };
    let first = ages.len() - kept;
    let event_group =
        if group == Group::Channel { Group::ChannelEvent } else { Group::ProductEvent };
    let event = |i: usize| {
        let of = |group| fields(schema, (feed, written), group, first + i);
        let mut fields = of(group);
        fields.extend(of(event_group));
        let intent = intention.map(|p| {
            let width = p.values.len() / kept;
            p.values[i * width..(i + 1) * width].iter().sum::<f32>() / width as f32
        });
        Event { fields, age_s: ages[first + i], intent }
    };
    (0..kept).map(event).collect()
}

/// The values of a group's fields for entity `i`, ids as they are written.
fn fields(
    schema: &Schema,
    (feed, written): (&Feed, &WrittenIds),
    group: Group,
    i: usize,
) -> BTreeMap<String, String> {
    let named = schema.fields(group).iter().zip(feed.columns(group));
    let value = |(field, column): (&Field, &Column)| {
        let value = match column {
            Column::Numbers(numbers) => numbers[i].to_string(),
            Column::Ids(_) | Column::Lists { .. } => {
                written.of(group, &field.name, i).unwrap_or_default().join(" ")
            }
        };
        (field.name.clone(), value)
    };
    named.map(value).collect()
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
            let of_targets = |kind: &&str| kind.ends_with("attention") && !kind.contains('.');
            let Some(kind) = kind.filter(|kind| of_targets(kind) && kept > 0) else {
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
