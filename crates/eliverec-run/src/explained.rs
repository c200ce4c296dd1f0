//! What a model saw and did for one request, in words: the fields of every event and candidate, intents, attention.

use std::collections::BTreeMap;

use eliverec_core::feed::Column;
use eliverec_core::no_row::{NO_ROW_ID, is_no_number};
use eliverec_core::schema::{Field, Group};
use eliverec_core::{Feed, Schema};
use eliverec_models::trace::{Recorded, Trace};
use serde::Serialize;

use crate::score::{Prepared, Scores, Scoring};

/// One request, explained.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explained {
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
    /// Its fields as the feed has them, and its match features as counted.
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

/// What is written for a value that no table has.
const NONE: &str = "none";

/// How the ids of a categorical or multi-valued field of an entity are written.
pub type WriteIds<'a> = dyn Fn(Group, &str, usize) -> String + 'a;

/// List `i` of a multi-valued column.
fn list<'a>(ends: &[u32], ids: &'a [u64], i: usize) -> &'a [u64] {
    let start = i.checked_sub(1).map_or(0, |before| ends[before] as usize);
    &ids[start..ends[i] as usize]
}

/// Writes the ids of a feed as numbers.
pub fn plain_ids(schema: &Schema, feed: &Feed) -> impl Fn(Group, &str, usize) -> String {
    |group, field, i| {
        let place = schema.fields(group).iter().position(|of| of.name == field);
        let ids: &[u64] = match place.map(|place| &feed.columns(group)[place]) {
            Some(Column::Ids(ids)) => &ids[i..=i],
            Some(Column::Lists { ends, ids }) => list(ends, ids, i),
            _ => &[],
        };
        let texts: Vec<String> = ids.iter().map(ToString::to_string).collect();
        texts.join(" ")
    }
}

impl Explained {
    /// Explains the only feed of `prepared`, which is `feed` read for the model, and everything that was recorded on the way.
    pub fn of(
        scoring: &Scoring<'_>,
        feed: &Feed,
        prepared: &Prepared,
        ids: &WriteIds<'_>,
    ) -> (Self, Scores, BTreeMap<String, Recorded>) {
        let mut trace = Trace::in_detail();
        let scores = scoring.trace(prepared, &mut trace);
        let recorded = trace.into_recorded();
        let (schema, batch) = (scoring.schema, &prepared.batch);
        let kept = [batch.channels.total(), batch.products.total()];
        let histories = DOMAINS.iter().zip(kept).filter(|(_, kept)| *kept > 0);
        let histories = histories
            .map(|((name, group), kept)| {
                let intention = recorded.get(&format!("{name}.intention"));
                (*name, events(schema, (feed, ids), *group, kept, intention))
            })
            .collect();
        let counted: Vec<(&str, Vec<f32>)> = schema
            .matches
            .iter()
            .zip(schema.matchers())
            .map(|(of, matcher)| (of.name.as_str(), matcher.counts(feed)))
            .collect();
        let candidates = (0..feed.impressions())
            .map(|i| Candidate {
                fields: [Group::Candidate, Group::Target, Group::Dynamic]
                    .into_iter()
                    .flat_map(|group| fields(schema, (feed, ids), group, i))
                    .chain(counted.iter().map(|(name, of)| ((*name).into(), of[i].to_string())))
                    .collect(),
                probability: scores.p_watch[i],
                watched: feed.candidates.labels.as_ref().map(|labels| labels.watched[i]),
                attention: attention(&recorded, i, kept),
            })
            .collect();
        (Self { histories, candidates }, scores, recorded)
    }
}

/// The newest `kept` events of a history, with the mean of their rows of `intention` `[kept, d]` or `[kept, 1]`.
pub fn events(
    schema: &Schema,
    (feed, ids): (&Feed, &WriteIds<'_>),
    group: Group,
    kept: usize,
    intention: Option<&Recorded>,
) -> Vec<Event> {
    let ages = if group == Group::Channel { &feed.channels.age_s } else { &feed.products.age_s };
    let first = ages.len() - kept;
    let event_group =
        if group == Group::Channel { Group::ChannelEvent } else { Group::ProductEvent };
    let event = |i: usize| {
        let of = |group| fields(schema, (feed, ids), group, first + i);
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

/// The values of a group's fields for entity `i`.
pub fn fields(
    schema: &Schema,
    (feed, ids): (&Feed, &WriteIds<'_>),
    group: Group,
    i: usize,
) -> BTreeMap<String, String> {
    let named = schema.fields(group).iter().zip(feed.columns(group));
    let value = |(field, column): (&Field, &Column)| {
        let value = match column {
            Column::Numbers(numbers) if is_no_number(numbers[i]) => NONE.into(),
            Column::Numbers(numbers) => numbers[i].to_string(),
            Column::Ids(of) if of[i] == NO_ROW_ID => NONE.into(),
            Column::Lists { ends, ids: of } if list(ends, of, i) == [NO_ROW_ID] => NONE.into(),
            Column::Ids(_) | Column::Lists { .. } => ids(group, &field.name, i),
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

#[cfg(test)]
mod tests {
    use eliverec_core::no_row::NO_ROW_NUMBER;
    use eliverec_core::toy;

    use super::*;

    #[test]
    fn what_has_no_value_is_written_so_in_every_kind_of_field() {
        let schema = toy::schema();
        let mut feed = toy::feeds(1, 1).remove(0);
        let count = feed.impressions();
        feed.candidates.dynamic = vec![
            Column::Numbers(vec![NO_ROW_NUMBER; count]),
            Column::Lists { ends: (1..=count as u32).collect(), ids: vec![NO_ROW_ID; count] },
        ];
        feed.candidates.channel[0] = Column::Ids(vec![NO_ROW_ID; count]);
        let ids = plain_ids(&schema, &feed);
        let dynamic = fields(&schema, (&feed, &ids), Group::Dynamic, 0);
        assert_eq!(dynamic.values().collect::<Vec<_>>(), [NONE, NONE], "{dynamic:?}");
        let channel = fields(&schema, (&feed, &ids), Group::Candidate, 0);
        assert_eq!(channel["channel_id"], NONE);
    }
}
