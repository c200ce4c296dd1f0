//! The ids, numbers and ages of a file as a batch.

use std::ops::Range;

use eliverec_core::batch::{Batch, BatchBuilder, Lengths, Offsets};
use eliverec_core::feed::{Column, Events, Feed};
use eliverec_core::no_row::NO_ROW_ID;
use eliverec_core::normalize::Normalization;
use eliverec_core::schema::{Group, Schema};

use super::Reference;

/// The ids of a tensor; -1 is what has no value.
pub(crate) fn ids(r: &Reference, name: &str) -> Vec<u64> {
    let id = |id: &f32| if *id < 0.0 { NO_ROW_ID } else { *id as u64 };
    r.values(name).iter().map(id).collect()
}

/// The row of an id in a table of the reference: the last for what has no value.
pub(crate) fn place(id: u64, rows: usize) -> usize {
    if id == NO_ROW_ID { rows - 1 } else { id as usize }
}

/// The file's feeds. Ids and numbers that it leaves out have no part in what it is about.
pub(crate) fn batch(
    r: &Reference,
    schema: &Schema,
    normalization: &Normalization,
    lengths: Lengths,
) -> Batch {
    let candidates = offsets(r, "input.candidate_lengths");
    let mut builder = BatchBuilder::new(schema, normalization, lengths);
    for feed in 0..candidates.feeds() {
        let mut of_feed = Feed::empty(schema);
        of_feed.request_id = feed as u64;
        of_feed.user_id = r.values("input.user_ids")[feed] as u64;
        fill(r, schema, &mut of_feed.user, Group::User, feed..feed + 1);
        fill(r, schema, &mut of_feed.context, Group::Context, feed..feed + 1);
        let rows = candidates.range(feed);
        let of = &mut of_feed.candidates;
        fill(r, schema, &mut of.channel, Group::Candidate, rows.clone());
        fill(r, schema, &mut of.target, Group::Target, rows.clone());
        fill(r, schema, &mut of.dynamic, Group::Dynamic, rows.clone());
        of.position = vec![None; rows.len()];
        let labels = of.labels.get_or_insert_default();
        labels.watched = r.values("input.watched")[rows.clone()].iter().map(|x| *x > 0.5).collect();
        labels.tasks = vec![vec![None; rows.len()]; schema.task.len()];
        for (domain, events, groups) in [
            ("live", &mut of_feed.channels, [Group::Channel, Group::ChannelEvent]),
            ("product", &mut of_feed.products, [Group::Product, Group::ProductEvent]),
        ] {
            if r.has(&format!("input.{domain}.lengths")) {
                history(r, schema, events, domain, groups, feed);
            }
        }
        builder.push(&of_feed).unwrap();
    }
    builder.finish().unwrap()
}

fn offsets(r: &Reference, name: &str) -> Offsets {
    Offsets::from_lengths(r.values(name).iter().map(|length| *length as usize))
}

fn history(
    r: &Reference,
    schema: &Schema,
    events: &mut Events,
    domain: &str,
    [entity, event]: [Group; 2],
    feed: usize,
) {
    let rows = offsets(r, &format!("input.{domain}.lengths")).range(feed);
    fill(r, schema, &mut events.entity, entity, rows.clone());
    fill(r, schema, &mut events.event, event, rows.clone());
    events.age_s = r.values(&format!("input.{domain}.age_s"))[rows].to_vec();
}

/// The values of some entities of a group.
fn fill(r: &Reference, schema: &Schema, columns: &mut [Column], group: Group, rows: Range<usize>) {
    for (column, field) in columns.iter_mut().zip(schema.fields(group)) {
        let [name, number] =
            ["ids", "numbers"].map(|of| format!("input.{of}.{}.{}", group.name(), field.name));
        match column {
            Column::Numbers(of) if r.has(&number) => of.extend(&r.values(&number)[rows.clone()]),
            Column::Numbers(of) => of.resize(rows.len(), 1.0),
            Column::Ids(of) if r.has(&name) => of.extend(&ids(r, &name)[rows.clone()]),
            Column::Ids(of) => of.resize(rows.len(), 0),
            Column::Lists { ends, ids: of } if r.has(&name) => {
                let lists = offsets(r, &format!("{name}.lengths"));
                for row in rows.clone() {
                    of.extend(&ids(r, &name)[lists.range(row)]);
                    ends.push(of.len() as u32);
                }
            }
            Column::Lists { ends, .. } => ends.resize(rows.len(), 0),
        }
    }
}
