//! Ids that feeds made of a log do not have as the log writes them.

use std::collections::BTreeSet;

use eliverec_core::dimensions::TABLE_GROUPS;

use super::super::dimensions::file_name;
use super::super::source::ParquetSource;
use super::super::store::StoredFile;
use super::super::{Day, EventLog, layout};
use crate::check::finding::{Check, Checked, Finding, Findings, Level, Read};
use crate::error::Error;
use crate::id_types::{IdColumn, IdType, of_file};

/// Ids that are text, or negative.
pub(super) const IDS_NOT_KEPT: Check = Check {
    name: "ids_not_kept",
    finds: "ids that are text, or negative, in the log: feeds made of it, scores and explanations have their 64-bit hash, or their 64 bits, and not what was written",
    advice: "nothing, if nobody joins or asks by them; else write ids as integers from 0 on, or make feeds directly, which keep what was written",
};

/// Tells which ids feeds made of these days of a log, and of its tables, do not have as they are written there: a finding, or none.
/// Footers say so; that ids are negative only those that have extremes.
///
/// # Errors
/// Files that cannot be read.
pub fn ids_not_kept(
    log: &EventLog,
    days: impl Iterator<Item = Day>,
) -> Result<Vec<Finding>, Error> {
    let mut findings = Findings::default();
    tell(log, days, &mut findings)?;
    Ok(Checked::new(Read::default(), Vec::new(), findings, &[&IDS_NOT_KEPT]).findings)
}

pub(super) fn tell(
    log: &EventLog,
    days: impl Iterator<Item = Day>,
    findings: &mut Findings,
) -> Result<(), Error> {
    let mut columns = layout::id_columns(&log.schema);
    // Feeds have no ids of events.
    columns.retain(|column| column.name != "event_id");
    let (mut text, mut negative) = (BTreeSet::new(), BTreeSet::new());
    let tables = log.store.list("")?.1;
    let of_tables = TABLE_GROUPS.into_iter().filter_map(|group| {
        let file = tables.iter().find(|file| file.name == file_name(group))?;
        Some((Some(group), file))
    });
    let events = days.filter_map(|day| log.days.get(&day)).flatten().map(|file| (None, file));
    for (table, file) in of_tables.chain(events) {
        let file: &StoredFile = file;
        let source = ParquetSource::open(&log.store, file.clone())?;
        if !source.has_rows() {
            continue;
        }
        for (column, kind) in columns.iter().zip(of_file(&columns, table, source.columns())) {
            match kind {
                Some(IdType::Text) => _ = text.insert(name_of(column)),
                Some(IdType::Integers) if source.is_negative(&column.name) => {
                    negative.insert(name_of(column));
                }
                _ => {}
            }
        }
    }
    let list = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(", ");
    let mut says = Vec::new();
    if !text.is_empty() {
        says.push(format!(
            "{}: text here, their 64-bit hash in feeds, scores and explanations",
            list(&text)
        ));
    }
    if !negative.is_empty() {
        says.push(format!(
            "{}: negative numbers here, the same 64 bits without a sign in feeds, scores and explanations",
            list(&negative)
        ));
    }
    if !says.is_empty() {
        let (of, count) = (columns.len() as u64, text.union(&negative).count() as u64);
        findings.add(&IDS_NOT_KEPT, Level::Note, "ids", (count, of), says.join("; "));
    }
    Ok(())
}

/// Of events `user_id`, of a table `channels.category_id`.
fn name_of(column: &IdColumn) -> String {
    match column.table {
        None => column.name.clone(),
        Some(group) => format!("{}s.{}", group.name(), column.name),
    }
}
