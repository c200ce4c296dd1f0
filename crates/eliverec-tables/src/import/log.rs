//! Importers to event logs: the same sets as what happened, so that sample generation makes the feeds.
//!
//! Only sets in which things happen at a known moment become logs. A log's schema is that of the importer's feeds, but
//! for what only the importer computes: fields of a product click, and `target`, which holds features instead.

use std::collections::BTreeMap;
use std::path::Path;

use eliverec_core::schema::{Field, Kind, Transform};
use eliverec_core::{Event, Schema};

use super::{Importer, source};
use crate::Error;
use crate::events::{EventWriter, NewLog, Store, write_dimensions};
use eliverec_core::Dimensions;

/// How a set becomes a log.
#[derive(Debug)]
pub(super) struct ToLog {
    /// The features that take the place of the importer's `target` fields.
    pub(super) target: &'static [&'static str],
    pub(super) read: fn(&Path, u64, &mut LogOutput) -> Result<Dimensions, Error>,
}

/// What a set's log holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportedLog {
    /// Events by the name of their kind.
    pub events: BTreeMap<&'static str, u64>,
    /// Rows of the set that are not in the log or not as they are, by what happened to them.
    pub remarks: BTreeMap<&'static str, u64>,
}

impl Importer {
    /// The schema of its log, if the set has one.
    pub fn log_schema(&self) -> Option<Schema> {
        let to_log = self.log.as_ref()?;
        let mut schema = self.schema();
        schema.name += "-log";
        schema.product_event.clear();
        let kind = Kind::Dense { transform: Transform::Log1p };
        let field = |name: &&str| Field { name: (*name).into(), kind: kind.clone() };
        schema.target = to_log.target.iter().map(field).collect();
        Some(schema)
    }

    /// Reads the set in `from` and writes it as the event log `out`, the same for the same `seed`.
    ///
    /// # Errors
    /// A set that becomes no log; otherwise as [`Importer::run`], with `out` refused as [`NewLog`] does.
    pub fn run_log(&self, from: &Path, out: &Store, seed: u64) -> Result<ImportedLog, Error> {
        let (Some(to_log), Some(schema)) = (&self.log, self.log_schema()) else {
            let reason = format!("{} has no events to make a log of; import feeds", self.name);
            return Err(Error::directory(from, reason));
        };
        source::check_folder(from)?;
        let log = NewLog::create(out)?;
        let writer = EventWriter::create(log.store(), &schema)?;
        let mut output = LogOutput { schema, writer, events: 0, imported: ImportedLog::default() };
        write_dimensions(&(to_log.read)(from, seed, &mut output)?, log.store())?;
        output.writer.finish()?;
        log.publish()?;
        Ok(output.imported)
    }
}

/// Takes an importer's events and keeps count.
pub(super) struct LogOutput {
    pub(super) schema: Schema,
    writer: EventWriter,
    events: u64,
    imported: ImportedLog,
}

impl LogOutput {
    /// Adds an event under the next id.
    pub(super) fn event(&mut self, event: Event) -> Result<(), Error> {
        self.events += 1;
        *self.imported.events.entry(event.kind.name()).or_default() += 1;
        self.writer.push(&Event { event_id: self.events, ..event })
    }

    pub(super) fn remark(&mut self, what: &'static str) {
        *self.imported.remarks.entry(what).or_default() += 1;
    }
}
