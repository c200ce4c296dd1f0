//! Events of users, products and channels that the tables do not know.

use eliverec_core::dimensions::TABLE_GROUPS;
use eliverec_core::{Dimension, Dimensions, Event};
use serde::{Deserialize, Serialize};

use super::family::Family;
use crate::check::finding::{Check, Checked, Finding, Findings, Read, level_of, percent, share};

/// Ids that no row stands for.
pub(super) const IDS_WITHOUT_ROW: Check = Check {
    name: "ids_without_row",
    finds: "events whose user, product or channel has no row in its table, where the schema has fields for it: the fields have no value then (a warning: more than a hundredth; severe: more than half)",
    advice: "write a row for every id; if nearly all are missing, the ids are of another type there (text against integers)",
};

/// The id of an event by which a table is asked.
type IdOf = fn(&Event) -> Option<u64>;

/// The tables, in the order of [`TABLE_GROUPS`], and what they are asked.
fn asked(dimensions: &Dimensions) -> [(&Dimension, IdOf); 3] {
    let Dimensions { users, products, channels } = dimensions;
    [
        (users, |event| event.user_id),
        (products, |event| event.product_id),
        (channels, |event| event.channel_id),
    ]
}

/// Counts the events whose ids the tables do not know.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WithoutRow([OfTable; 3]);

/// Of a table that the schema has fields for; without fields nothing is looked up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct OfTable {
    events: u64,
    without_row: u64,
    /// The smallest id: the same, whatever the order.
    example: Option<u64>,
}

impl WithoutRow {
    /// Takes in an event.
    pub fn add(&mut self, dimensions: &Dimensions, event: &Event) {
        for ((rows, id_of), of) in asked(dimensions).into_iter().zip(&mut self.0) {
            let Some(id) = id_of(event).filter(|_| !rows.fields().is_empty()) else { continue };
            of.events += 1;
            if rows.row(id).is_none() {
                of.without_row += 1;
                of.example = Some(of.example.map_or(id, |example| example.min(id)));
            }
        }
    }

    /// Takes in what others have counted.
    pub fn merge(&mut self, others: &Self) {
        for (of, other) in self.0.iter_mut().zip(&others.0) {
            of.events += other.events;
            of.without_row += other.without_row;
            of.example = of.example.into_iter().chain(other.example).min();
        }
    }

    /// What was found: a finding for each table that lacks rows.
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings = Findings::default();
        self.tell(&mut findings);
        Checked::new(Read::default(), Vec::new(), findings, &[&IDS_WITHOUT_ROW]).findings
    }

    fn tell(&self, findings: &mut Findings) {
        for (group, of) in TABLE_GROUPS.into_iter().zip(&self.0) {
            let (without, events) = (of.without_row, of.events);
            let Some(level) = level_of(share(without, events), 0.0, 0.01, 0.5) else { continue };
            let (name, example) = (group.name(), of.example.unwrap_or_default());
            let says = format!(
                "{without} of {events} events ({}) name {name}s without a row, such as {example}",
                percent(without, events)
            );
            let place = format!("{name}s.parquet");
            findings.add(&IDS_WITHOUT_ROW, level, place, (without, events), says);
        }
    }
}

/// The tables of a log that is looked through.
#[derive(Debug)]
pub(super) struct Tables<'a> {
    dimensions: &'a Dimensions,
    counted: WithoutRow,
}

impl<'a> Tables<'a> {
    pub(super) fn new(dimensions: &'a Dimensions) -> Self {
        Self { dimensions, counted: WithoutRow::default() }
    }
}

impl Family for Tables<'_> {
    fn event(&mut self, event: &Event) {
        self.counted.add(self.dimensions, event);
    }

    fn tell(&self, findings: &mut Findings) {
        self.counted.tell(findings);
    }
}
