//! Importers to event logs: the same sets as what happened, so that sample generation makes the feeds.
//!
//! Only sets in which things happen at a known moment become logs. A log's schema is that of the importer's feeds, but
//! for what only the importer computes: fields of a product click, and `target`, which holds features instead.

use std::path::Path;

use eliverec_core::Schema;
use eliverec_core::schema::{Field, Kind, Transform};

use super::Importer;
use super::output::ImportedLog;
pub(super) use super::output::LogOutput;
use super::source::Folder;
use crate::Error;
use crate::events::{EventWriter, NewLog, Store, write_dimensions};

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
        let from = Folder::open(from)?;
        let log = NewLog::create(out)?;
        let writer = EventWriter::create(log.store(), &schema)?;
        let mut output = LogOutput::new(schema, writer);
        write_dimensions(&(to_log.read)(&from, seed, &mut output)?, log.store())?;
        let imported = output.finish(from.read())?;
        log.publish()?;
        Ok(imported)
    }
}
