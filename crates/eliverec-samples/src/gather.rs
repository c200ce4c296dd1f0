//! The end of a job: the requests that the tasks by user have made become a directory of feeds, byte for byte that of one process.
//!
//! One process merges them, for the splits are by day and a day's requests are of all users. It reads neither the log (but for rows that
//! are no events, which it sets aside as one process would) nor drives a fold: what it does is encode feeds, on all its threads.

use std::path::Path;

use eliverec_tables::check::Read;
use eliverec_tables::events::Store;
use eliverec_tables::events::read::Row;

use crate::config::SampleConfig;
use crate::context::Context;
use crate::counters::lock;
use crate::error::Error;
use crate::log_files::LogFiles;
use crate::plan;
use crate::publish::FeedDays;
use crate::record::{Phase, Record, RowsFile};
use crate::rows_file::check;
use crate::samples::{Making, OpenLog, make, rejected_rows};
use crate::summary::{SampleProgress, Summary};
use crate::task::made_from;

/// Where a job's tasks have left their files, and how many there were in each phase.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// The log, a path or an address.
    pub logs: &'a Path,
    /// What the tasks had as theirs.
    pub exchange: &'a Path,
    /// The number of shards of every phase.
    pub shards: u32,
    /// The same as that of the tasks, but for threads and memory.
    pub config: &'a SampleConfig,
    /// The program and its version: all tasks of a job are of one.
    pub program: &'a str,
}

impl Job<'_> {
    /// Makes the feeds of a job whose tasks are done, in the directory `feeds`, which may hold days of an earlier run as with
    /// [`crate::samples()`]; they are kept as there.
    ///
    /// # Errors
    /// Tasks that are missing or were made of something else, files that are not what they were, rows or impressions that are not
    /// accounted for, and what [`crate::samples()`] refuses of the directory.
    pub fn gather(
        &self,
        feeds: &Path,
        progress: impl Fn(SampleProgress),
    ) -> Result<Summary, Error> {
        let Self { config, .. } = *self;
        let log = OpenLog::open(self.logs, config)?;
        log.refuse_within(feeds)?;
        let store = Store::open(self.exchange)?;
        if store.is_at(feeds) {
            let reason = "is the exchange; choose another directory for the feeds";
            return Err(Error::Feeds { path: feeds.into(), reason: reason.into() });
        }
        let made_from = made_from(&log, self.program, config)?;
        let of_phase = |phase| Record::of_phase(&store, phase, self.shards, &made_from);
        let phases = Phase::of_job(log.wanted().popularity);
        let records = phases.iter().map(|phase| of_phase(*phase)).collect::<Result<Vec<_>, _>>()?;
        let files = requests(&records);
        // A day that has its name is never taken back, so every byte is read before the first one.
        files.iter().try_for_each(|file| check(&store, file))?;

        let read = log.days_read(config)?;
        let recipe = config.recipe();
        let mut days = FeedDays::open(feeds, log.log.schema(), &recipe)?;
        let notes = days.judge(LogFiles::of(&log.log)?, &recipe, config)?;
        let rejected = rejected_rows(feeds, config, &read)?;
        let (context, maker) = log.context(config, read, days.days(), rejected, None);
        count(&context, &records, &files)?;
        if config.lenient {
            set_aside(&context)?;
        }
        let session = plan::session(&context);
        let requests = plan::gathered(&store, files)?;
        let making = Making { context, maker, feeds, notes };
        let summary = make(&making, days, session, requests, &progress)?;
        if !summary.adds_up() {
            return Err(Error::Engine(format!("not every row is accounted for: {summary}")));
        }
        Ok(summary)
    }
}

/// The files of requests of the tasks by user.
fn requests(records: &[Vec<Record>]) -> Vec<RowsFile> {
    let last = records.last().map(Vec::as_slice).unwrap_or_default();
    last.iter().flat_map(|record| record.files.iter().cloned()).collect()
}

/// Takes in what the tasks have counted, and refuses a job of which rows or impressions are not accounted for.
fn count(context: &Context, records: &[Vec<Record>], files: &[RowsFile]) -> Result<(), Error> {
    let counters = &context.source.counters;
    let mut read = None;
    for record in records.first().into_iter().flatten() {
        let (of_log, without_row) = record.counts.read();
        // Each of them reads the whole log, so all have read the same.
        match &read {
            None => {
                counters.add_without_row(without_row);
                counters.add_read(of_log.clone());
                read = Some(of_log);
            }
            Some(before) if *before == of_log => {}
            Some(before) => {
                return Err(Error::Engine(format!(
                    "the tasks by channel have read different rows: {before}; {of_log}"
                )));
            }
        }
    }
    let kept = &context.source.requests.kept;
    for record in records.iter().flatten() {
        let mut counts = record.counts.clone();
        counts.feeds.retain(|day, _| !kept.contains(day));
        counters.add_task(&counts);
    }
    let summary = counters.summary(Vec::new(), Vec::new(), |_| Read::default());
    let handed_on: u64 = files.iter().map(|file| file.impressions).sum();
    let events = summary.events_used + summary.late + summary.duplicates;
    let impressions = handed_on + summary.impressions_refused();
    if (events + summary.rows_rejected(), impressions) != (summary.rows_in, summary.impressions_in)
    {
        return Err(Error::Engine(format!(
            "not every row is accounted for, and no feed is made of {handed_on} impressions that the tasks by user hand on: {summary}"
        )));
    }
    Ok(())
}

/// Reads the log once more for the rows that are no events; the tasks have counted them.
fn set_aside(context: &Context) -> Result<(), Error> {
    let source = &context.source;
    for day in &source.days {
        let mut rows = Vec::new();
        for row in source.log.read(*day..=*day)? {
            if let Row::Rejected(row) = row? {
                rows.push(row);
            }
        }
        lock(&source.rejected).day_is_read(*day, rows)?;
    }
    Ok(())
}
