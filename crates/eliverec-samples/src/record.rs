//! What a task of a job has made, and of what: a record beside its files, written last.
//!
//! A task is done when its record is there. It names the files, so those of an attempt that was killed, or that ran beside another one,
//! are nobody's. Whoever reads the files compares what they were made of with what it would make of the log itself.

use std::collections::BTreeMap;
use std::fmt;

use eliverec_features::freshness::Fates;
use eliverec_tables::events::check::WithoutRow;
use eliverec_tables::events::{Day, Marks, ReadCounts, Reason, Store};
use serde::{Deserialize, Serialize};

use crate::config::SampleConfig;
use crate::error::Error;
use crate::log_files::LogFiles;
use crate::shard::Shard;
use crate::summary::Refusal;

/// A phase of a job: the tasks that are keyed by the same thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Features of each candidate, by channel.
    Channels,
    /// Clicks of each candidate's current product, by product; part of a job if the schema asks for the popularity of products.
    Products,
    /// Whole requests, by user.
    Users,
}

impl Phase {
    /// Its name in commands and of its folder.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Channels => "channels",
            Self::Products => "products",
            Self::Users => "users",
        }
    }

    /// The phases of a job, in order.
    pub const fn of_job(popularity: bool) -> &'static [Self] {
        if popularity {
            &[Self::Channels, Self::Products, Self::Users]
        } else {
            &[Self::Channels, Self::Users]
        }
    }

    /// The phase whose rows it takes in.
    pub(crate) fn before(self, popularity: bool) -> Option<Self> {
        let phases = Self::of_job(popularity);
        let at = phases.iter().position(|phase| *phase == self)?;
        at.checked_sub(1).map(|before| phases[before])
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the rows of a job are a function of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MadeFrom {
    /// The program and its version: rows are written as that program reads them.
    program: String,
    /// As `samples.toml` has them.
    settings: String,
    from: Option<Day>,
    to: Option<Day>,
    lenient: bool,
    /// The log's tables and its files by day of arrival, those of the days that are read.
    tables: Marks,
    days: BTreeMap<Day, Marks>,
}

impl MadeFrom {
    pub(crate) fn new(
        program: &str,
        config: &SampleConfig,
        settings: String,
        files: &LogFiles,
        read: &[Day],
    ) -> Self {
        let of_read = files.days.iter().filter(|(day, _)| read.contains(day));
        Self {
            program: program.into(),
            settings,
            from: config.from,
            to: config.to,
            lenient: config.lenient,
            tables: files.tables.clone(),
            days: of_read.map(|(day, marks)| (*day, marks.clone())).collect(),
        }
    }

    /// In what it is not `other`, in words for a person; `None` if it is the same.
    pub(crate) fn difference(&self, other: &Self) -> Option<String> {
        let days = |of: &Self| (of.from, of.to, of.lenient);
        let files = |of: &Self| LogFiles { tables: of.tables.clone(), days: of.days.clone() };
        if self.program != other.program {
            return Some(format!(
                "by another program ({}; this is {})",
                self.program, other.program
            ));
        }
        if self.settings != other.settings || days(self) != days(other) {
            return Some("with other settings or for other days".into());
        }
        let (mine, theirs) = (files(self), files(other));
        let file = theirs.other_table(&mine);
        let file = file.or_else(|| theirs.first_change(&mine, None).map(|(_, file)| file));
        file.map(|file| format!("of another state of the log ({file})"))
    }
}

/// Rows that are no events, of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RejectedKind {
    column: String,
    reason: Reason,
    rows: u64,
}

/// What a task has counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TaskCounts {
    /// Rows of the log that are events: all of them, for each task by channel reads the log whole. 0 in other phases.
    pub(crate) events: u64,
    /// Those that are none.
    pub(crate) rejected: Vec<RejectedKind>,
    pub(crate) without_row: WithoutRow,
    /// What became of the events that are counted under keys of the task.
    pub(crate) used: u64,
    pub(crate) late: u64,
    pub(crate) duplicates: u64,
    /// Impressions of channels of the task.
    pub(crate) impressions: u64,
    pub(crate) refused: BTreeMap<Refusal, u64>,
    /// Requests of each day.
    pub(crate) feeds: BTreeMap<Day, u64>,
}

impl TaskCounts {
    pub(crate) fn new(read: &ReadCounts, without_row: WithoutRow, fates: Fates) -> Self {
        let kind = |((column, reason), rows): (&(String, Reason), &u64)| RejectedKind {
            column: column.clone(),
            reason: *reason,
            rows: *rows,
        };
        Self {
            events: read.events,
            rejected: read.rejected.iter().map(kind).collect(),
            without_row,
            used: fates.admitted,
            late: fates.late,
            duplicates: fates.duplicate,
            ..Self::default()
        }
    }

    /// What was read of the log.
    pub(crate) fn read(&self) -> (ReadCounts, &WithoutRow) {
        let kind = |of: &RejectedKind| ((of.column.clone(), of.reason), of.rows);
        let rejected = self.rejected.iter().map(kind).collect();
        (ReadCounts { events: self.events, rejected }, &self.without_row)
    }

    /// What became of the events.
    pub(crate) const fn fates(&self) -> Fates {
        Fates { admitted: self.used, late: self.late, duplicate: self.duplicates, invalid: 0 }
    }
}

/// A file of rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RowsFile {
    /// In the exchange.
    pub(crate) name: String,
    pub(crate) bytes: u64,
    /// Of its bytes.
    pub(crate) checksum: u64,
    pub(crate) rows: u64,
    /// Impressions in its rows.
    pub(crate) impressions: u64,
}

/// A task that is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    pub(crate) made_from: MadeFrom,
    pub(crate) counts: TaskCounts,
    /// For each shard of the next phase; one, in the order of requests, of the last.
    pub(crate) files: Vec<RowsFile>,
}

/// A task's place in the exchange.
pub(crate) fn folder(phase: Phase, shard: Shard) -> String {
    format!("{phase}/{}-of-{}", shard.index(), shard.count())
}

/// The name of its record.
pub(crate) fn record_name(phase: Phase, shard: Shard) -> String {
    format!("{}.json", folder(phase, shard))
}

impl Record {
    /// Of a task that has been done; `None` if it has not.
    pub(crate) fn read(store: &Store, phase: Phase, shard: Shard) -> Result<Option<Self>, Error> {
        let name = record_name(phase, shard);
        let Some(text) = store.read_text(&name)? else { return Ok(None) };
        let wrong = |e: serde_json::Error| Error::Task {
            path: store.root().join(&name),
            reason: format!("does not parse: {e}"),
        };
        serde_json::from_str(&text).map(Some).map_err(wrong)
    }

    /// Those of all tasks of a phase, which must have been made of the same as this job would.
    pub(crate) fn of_phase(
        store: &Store,
        phase: Phase,
        shards: u32,
        made_from: &MadeFrom,
    ) -> Result<Vec<Self>, Error> {
        let of = |shard: Shard| {
            let path = store.root().join(record_name(phase, shard));
            let refused = |reason| Error::Feeds { path: path.clone(), reason };
            let record = Self::read(store, phase, shard)?.ok_or_else(|| {
                refused(format!(
                    "is not there; run `eliverec samples --phase {phase} --shard {shard}` with the same log, settings and exchange first"
                ))
            })?;
            match record.made_from.difference(made_from) {
                None => Ok(record),
                Some(difference) => Err(refused(format!(
                    "the task {phase} {shard} was made {difference}; run it again, with the log and the settings of this one"
                ))),
            }
        };
        Shard::all(shards).map(of).collect()
    }

    /// Puts it into the exchange: the task is done.
    pub(crate) fn write(&self, store: &Store, phase: Phase, shard: Shard) -> Result<(), Error> {
        let name = record_name(phase, shard);
        let text = serde_json::to_string_pretty(self)
            .map_err(|e| Error::Engine(format!("the record {name} cannot be written: {e}")))?;
        Ok(store.replace_text(&name, &(text + "\n"))?)
    }
}
