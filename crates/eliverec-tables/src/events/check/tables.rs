//! Events of users, products and channels that the tables do not know.

use eliverec_core::{Dimension, Dimensions, Event};

use super::family::Family;
use crate::check::finding::{Check, Findings, level_of, percent, share};
use crate::check::sample::SampledIds;

/// Ids that no row stands for.
pub(super) const IDS_WITHOUT_ROW: Check = Check {
    name: "ids_without_row",
    finds: "events whose user, product or channel has no row in its table, where the schema has fields for it: the fields are 0 then (a warning: more than a hundredth; severe: more than half)",
    advice: "write a row for every id; if nearly all are missing, the ids are of another type there (text against integers)",
};

/// Ids remembered of a table.
const MOST_IDS: usize = 1 << 18;

/// The id of an event by which a table is asked.
type IdOf = fn(&Event) -> Option<u64>;

/// The tables of a log.
#[derive(Debug)]
pub(super) struct Tables<'a> {
    tables: Vec<Table<'a>>,
}

/// A table, and what is asked of it.
#[derive(Debug)]
struct Table<'a> {
    rows: &'a Dimension,
    id_of: IdOf,
    events: u64,
    without_row: u64,
    missing: SampledIds<()>,
}

impl<'a> Tables<'a> {
    pub(super) fn new(dimensions: &'a Dimensions) -> Self {
        let Dimensions { users, products, channels } = dimensions;
        let all: [(&Dimension, IdOf); 3] = [
            (users, |event| event.user_id),
            (products, |event| event.product_id),
            (channels, |event| event.channel_id),
        ];
        // Without fields nothing is looked up.
        let asked = all.into_iter().filter(|(rows, _)| !rows.fields().is_empty());
        let table = |(rows, id_of)| Table {
            rows,
            id_of,
            events: 0,
            without_row: 0,
            missing: SampledIds::new(MOST_IDS),
        };
        Self { tables: asked.map(table).collect() }
    }
}

impl Family for Tables<'_> {
    fn event(&mut self, event: &Event) {
        for table in &mut self.tables {
            let Some(id) = (table.id_of)(event) else { continue };
            table.events += 1;
            if table.rows.row(id).is_none() {
                table.without_row += 1;
                table.missing.entry(id);
            }
        }
    }

    fn tell(&self, findings: &mut Findings) {
        for table in &self.tables {
            let (without, events) = (table.without_row, table.events);
            let Some(level) = level_of(share(without, events), 0.0, 0.01, 0.5) else { continue };
            let name = table.rows.group().name();
            let ids = table.missing.len() * table.missing.one_in();
            let says = format!(
                "{without} of {events} events ({}) name one of {ids} {name}s without a row",
                percent(without, events)
            );
            let place = format!("{name}s.parquet");
            findings.add(&IDS_WITHOUT_ROW, level, place, (without, events), says);
        }
    }
}
