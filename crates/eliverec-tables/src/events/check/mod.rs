//! What would make the feeds of a log quietly worse: as [`crate::check`], of events.
//!
//! A row that is no event is counted here, where a strict reader stops at it. A file or a table that cannot be read is an error.
//!
//! # Memory
//! One pass over the files as [`super::read`] has it, the dimension tables, and of ids as many as [`crate::check`] remembers.

mod arrivals;
mod family;
mod ids;
mod kinds;
mod requests;
mod tables;

use eliverec_core::dimensions::TABLE_GROUPS;
use eliverec_core::schema::Group;
use eliverec_core::{Dimensions, EventKind};

use super::store::StoredFile;
use super::{EventLog, Row, Store, tables_of};
use crate::check::finding::Findings;
use crate::check::{Check, Checked, Part, Read};
use crate::error::Error;
use family::Family;

pub use ids::ids_not_kept;
pub use tables::WithoutRow;

/// The checks of event logs, in the order in which findings of one level stand.
pub const CHECKS: &[&Check] = &[
    &arrivals::ROWS_REJECTED,
    &kinds::KIND_ABSENT,
    &requests::USERS_NEVER_MEET,
    &requests::LEAVES_UNTIED,
    &tables::IDS_WITHOUT_ROW,
    &arrivals::DAYS_MISSING,
    &arrivals::EVENTS_LATE,
    &arrivals::ARRIVES_BEFORE,
    &arrivals::EVENT_TWICE,
    &arrivals::EVENT_TIME_UNIT,
    &requests::REQUEST_OF_SEVERAL,
    &requests::POSITION_MISSING,
    &kinds::LEAVE_UNIT,
    &kinds::CLICKS_OF_ONE_DOMAIN,
    &ids::IDS_NOT_KEPT,
];

/// What was read of a log: some of its events, and its tables.
pub fn read_of(log: &EventLog, events: Part, dimensions: &Dimensions) -> Read {
    let tables = table_parts(log.tables(), dimensions);
    Read::of(std::iter::once(events).chain(tables).collect(), log.skipped().collect())
}

/// What was read of the tables in a place that is perhaps no log.
///
/// # Errors
/// What the store refuses.
pub fn tables_read(store: &Store, dimensions: &Dimensions) -> Result<Read, Error> {
    Ok(Read::of(table_parts(&tables_of(store)?, dimensions).collect(), Vec::new()))
}

/// The tables as parts; a file without rows has been read, too.
fn table_parts(
    files: &[(Group, StoredFile)],
    Dimensions { users, products, channels }: &Dimensions,
) -> impl Iterator<Item = Part> {
    TABLE_GROUPS.into_iter().zip([users, products, channels]).map(|(group, table)| Part {
        name: format!("{}s", group.name()),
        files: files.iter().filter(|(of, _)| *of == group).count() as u64,
        rows: table.len() as u64,
        impressions: None,
    })
}

/// Looks through a log whose events may arrive this much after they happened before features leave them out.
///
/// # Errors
/// What reading the log gives, but for rows that are no events.
pub fn log(log: &EventLog, allowed_lateness_ms: i64) -> Result<Checked, Error> {
    let (schema, dimensions) = (log.schema(), log.dimensions()?);
    let mut arrivals = arrivals::Arrivals::new(log.days(), allowed_lateness_ms);
    let mut others: [Box<dyn Family + '_>; 3] = [
        Box::new(kinds::Kinds::new(schema)),
        Box::new(requests::Requests::default()),
        Box::new(tables::Tables::new(&dimensions)),
    ];
    let files = log.days().map(|day| log.files(day).len() as u64).sum();
    let (mut impressions, mut events) =
        (0, Part { name: "events".into(), files, ..Part::default() });
    for row in log.read(..)? {
        events.rows += 1;
        match row? {
            Row::Event(event) => {
                impressions += u64::from(event.kind == EventKind::Impression);
                arrivals.event(&event);
                others.iter_mut().for_each(|family| family.event(&event));
            }
            Row::Rejected(row) => arrivals.rejected(row),
        }
    }
    events.impressions = Some(impressions);
    let read = read_of(log, events, &dimensions);
    let (mut findings, mut covers) = (Findings::default(), Vec::new());
    arrivals.tell(&mut findings);
    covers.extend(arrivals.covers());
    for family in &others {
        family.tell(&mut findings);
        covers.extend(family.covers());
    }
    ids::tell(log, log.days(), &mut findings)?;
    Ok(Checked::new(read, covers, findings, CHECKS))
}
