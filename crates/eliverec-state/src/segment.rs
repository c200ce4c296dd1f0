//! One file of the log: records with consecutive sequence numbers that arrived on one day, in a table of redb. A commit is
//! durable when it returns, and a commit that a kill tore is not there.

use std::io::Read;
use std::path::{Path, PathBuf};

use eliverec_core::Day;
use redb::{
    Builder, Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition,
};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::files::PARTIAL;
use crate::record::Record;

/// Sequence number to record.
const RECORDS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("records");
/// What the file is: one text under the key 0.
const ABOUT: TableDefinition<'_, u64, &str> = TableDefinition::new("about");

/// The layout that this crate writes. Raise it with every change of a record.
const VERSION: u32 = 3;
/// The oldest layout that it reads: since then kinds of records were added.
const OLDEST: u32 = 1;

/// With what a file of redb begins.
const MAGIC: [u8; 9] = *b"redb\x1a\x0a\xa9\x0d\x0a";

/// A file of redb is made of pages of so many bytes.
const PAGE_BYTES: u64 = 4096;

/// Pages that redb keeps in memory. A log is written at its end and read once.
const CACHE_BYTES: usize = 32 << 20;

/// The name of a file of the log: its day and its first sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentName {
    pub(crate) first: u64,
    pub(crate) day: Day,
}

impl SegmentName {
    /// `DAY-SEQUENCE.redb`
    pub(crate) fn text(self) -> String {
        format!("{}-{:020}.redb", self.day, self.first)
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (day, first) = name.strip_suffix(".redb")?.split_at_checked(10)?;
        let name = Self { first: first.strip_prefix('-')?.parse().ok()?, day: day.parse().ok()? };
        Some(name)
    }
}

#[derive(Serialize, Deserialize)]
struct About {
    version: u32,
    first: u64,
    day: String,
    /// Of the schema whose context fields impressions have.
    schema: String,
}

/// A file of the log, opened.
#[derive(Debug)]
pub(crate) struct Segment {
    path: PathBuf,
    database: Database,
    name: SegmentName,
    /// Records in it.
    count: u64,
}

/// The first and the last number of some records.
type Ends = Option<(u64, u64)>;

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

impl Segment {
    /// A file without records; it has its name when it is one.
    pub(crate) fn create(log: &Path, name: SegmentName, schema: &str) -> Result<Self, Error> {
        let path = log.join(name.text());
        let partial = log.join(format!("{PARTIAL}{}", name.text()));
        let about = About {
            version: VERSION,
            first: name.first,
            day: name.day.to_string(),
            schema: schema.into(),
        };
        let about = serde_json::to_string(&about).map_err(|e| Error::log(&path, e.to_string()))?;
        let made = || -> Result<(), redb::Error> {
            let database = builder().create(&partial)?;
            let write = database.begin_write()?;
            write.open_table(ABOUT)?.insert(0, about.as_str())?;
            write.open_table(RECORDS)?;
            write.commit()?;
            database.close()?;
            Ok(())
        };
        made().map_err(|e| Error::store(&path, e))?;
        fs_err::rename(&partial, &path)?;
        crate::files::sync_directory(log)?;
        let database = builder().open(&path).map_err(|e| Error::store(&path, e))?;
        Ok(Self { path, database, name, count: 0 })
    }

    /// Opens a file and checks all of its pages.
    pub(crate) fn open(log: &Path, name: SegmentName, schema: &str) -> Result<Self, Error> {
        let path = log.join(name.text());
        let mut builder = builder();
        builder.set_check_integrity_on_open(true);
        let database = builder.open(&path).map_err(|e| Error::store(&path, e))?;
        let look = || -> Result<(String, u64, Ends), redb::Error> {
            let read = database.begin_read()?;
            let about = read.open_table(ABOUT)?.get(0)?.map(|about| about.value().to_owned());
            let records = read.open_table(RECORDS)?;
            let ends = match (records.first()?, records.last()?) {
                (Some(first), Some(last)) => Some((first.0.value(), last.0.value())),
                _ => None,
            };
            Ok((about.unwrap_or_default(), records.len()?, ends))
        };
        let (about, count, ends) = look().map_err(|e| Error::store(&path, e))?;
        let about: About = serde_json::from_str(&about)
            .map_err(|e| Error::log(&path, format!("does not say what it is: {e}")))?;
        if !(OLDEST..=VERSION).contains(&about.version) {
            let reason = format!(
                "has layout {}, and this program reads {OLDEST} to {VERSION}",
                about.version
            );
            return Err(Error::log(&path, reason));
        }
        if about.schema != schema {
            let reason = "was written with another schema; give the one of the log, or move the state away to begin anew";
            return Err(Error::log(&path, reason));
        }
        let is_whole = about.first == name.first
            && about.day == name.day.to_string()
            && ends.is_none_or(|ends| ends == (name.first, name.first + count.max(1) - 1));
        if !is_whole {
            let reason = "does not have the records that its name says; restore it from a backup";
            return Err(Error::log(&path, reason));
        }
        Ok(Self { path, database, name, count })
    }

    /// Looks whether a file that is not needed now begins and ends as one of the log does. Pages are not read: without a check of all
    /// of them redb may stumble over one that is damaged.
    pub(crate) fn glance(log: &Path, name: SegmentName) -> Result<(), Error> {
        let path = log.join(name.text());
        let mut file = fs_err::File::open(&path)?;
        let length = file.metadata()?.len();
        let mut begin = [0; MAGIC.len()];
        if length > 0
            && length.is_multiple_of(PAGE_BYTES)
            && file.read_exact(&mut begin).is_ok()
            && begin == MAGIC
        {
            return Ok(());
        }
        let reason = "is cut off or no file of the log; restore it from a backup, or move the state away to begin anew";
        Err(Error::log(&path, reason))
    }

    /// Puts records behind those that are there, on disk when this returns.
    pub(crate) fn append(&mut self, records: &[Vec<u8>]) -> Result<(), Error> {
        let first = self.next();
        let append = || -> Result<(), redb::Error> {
            let write = self.database.begin_write()?;
            {
                let mut table = write.open_table(RECORDS)?;
                for (sequence, record) in (first..).zip(records) {
                    table.insert(sequence, record.as_slice())?;
                }
            }
            write.commit()?;
            Ok(())
        };
        append().map_err(|e| Error::store(&self.path, e))?;
        self.count += records.len() as u64;
        Ok(())
    }

    /// Hands on the records from `from` on, in order.
    pub(crate) fn read(
        &self,
        from: u64,
        each: &mut dyn FnMut(u64, Record) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let failed = |e: redb::Error| Error::store(&self.path, e);
        let mut expected = from.max(self.name.first);
        let read = self.database.begin_read().map_err(|e| failed(e.into()))?;
        let table = read.open_table(RECORDS).map_err(|e| failed(e.into()))?;
        for entry in table.range(expected..).map_err(|e| failed(e.into()))? {
            let (sequence, bytes) = entry.map_err(|e| failed(e.into()))?;
            let sequence = sequence.value();
            let damaged = |what: &str| {
                let reason = format!("record {expected} {what}; restore the file from a backup");
                Error::log(&self.path, reason)
            };
            if sequence != expected {
                return Err(damaged("is missing"));
            }
            let record = Record::decode(sequence, bytes.value()).map_err(|what| damaged(&what))?;
            if Day::of(record.stamp_ms()) != Some(self.name.day) {
                return Err(damaged("is of another day"));
            }
            each(sequence, record)?;
            expected += 1;
        }
        if expected < self.next() {
            let reason = format!("record {expected} is missing; restore the file from a backup");
            return Err(Error::log(&self.path, reason));
        }
        Ok(())
    }

    pub(crate) const fn name(&self) -> SegmentName {
        self.name
    }

    pub(crate) const fn count(&self) -> u64 {
        self.count
    }

    /// The sequence number behind its last record.
    pub(crate) const fn next(&self) -> u64 {
        self.name.first + self.count
    }
}
