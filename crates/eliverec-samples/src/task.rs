//! A job of tasks: the same feeds by any number of processes on any number of machines, which share one place for files.
//!
//! ```text
//! samples --phase channels --shard i/N    reads the log, has the channels of its shard, writes rows for each shard of the next phase
//!         --phase products --shard i/N    likewise by product; only if the schema asks for the popularity of products
//!         --phase users    --shard i/N    has the users of its shard: their requests, whole and in order
//!         --phase feeds    --shards N     merges the requests and writes the directory of feeds (`gather.rs`)
//! ```
//!
//! A task is a plan of the engine like the whole is, for the keys of its shard. It is done when its record is there
//! (`record.rs`), so a scheduler may kill it, run it again, or run it twice. It takes in only what was made by the same program of the
//! same log with the same settings, and what goes out is what came in and what was left out, counted, or the task fails.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use datafusion_execution::TaskContext;
use datafusion_physical_plan::execute_stream;
use eliverec_tables::check::{Checked, Part, Read};
use eliverec_tables::events::Store;
use eliverec_tables::events::check::read_of;
use futures::StreamExt;
use serde::Serialize;

use crate::config::SampleConfig;
use crate::context::Context;
use crate::error::Error;
use crate::exchange_scan::ExchangeFiles;
use crate::log_files::LogFiles;
use crate::plan::{self, Plan};
use crate::recipe_file::settings_text;
use crate::record::{MadeFrom, Phase, Record, RowsFile, folder, record_name};
use crate::rows::Rows;
use crate::rows_file::RowsFiles;
use crate::samples::{OpenLog, engine_threads, first_error};
use crate::scan::{RejectedRows, Source};
use crate::shard::Shard;
use crate::summary::SampleProgress;
use crate::wire::candidates;

/// Time between two reports of progress.
const REPORT: Duration = Duration::from_millis(250);

/// A task of a job.
#[derive(Clone, Debug)]
pub struct Task<'a> {
    /// The log, a path or an address.
    pub logs: &'a Path,
    /// Where the job's tasks leave their files, a path or an address; the same for all of them.
    pub exchange: &'a Path,
    /// Which kind of task.
    pub phase: Phase,
    /// Which keys it has.
    pub shard: Shard,
    /// The same for all tasks of the job, but for threads and memory.
    pub config: &'a SampleConfig,
    /// The program and its version: all tasks of a job are of one.
    pub program: &'a str,
}

/// What a task has done.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TaskSummary {
    /// Which kind of task.
    pub phase: Phase,
    /// Its number, from 0.
    pub shard: u32,
    /// How many there are in the phase.
    pub shards: u32,
    /// Whether its record was there already, so that nothing was done.
    pub was_done: bool,
    /// Rows of the log that it read; some phases pass over impressions. 0 if nothing was done.
    pub log_rows: u64,
    /// Rows of the tasks before that it took in.
    pub rows_in: u64,
    /// Impressions among those, and those of its channels.
    pub impressions_in: u64,
    /// Impressions that are in no feed, found by it.
    pub impressions_refused: u64,
    /// Impressions in what it hands on.
    pub impressions_out: u64,
    /// Rows that it hands on: impressions, or whole requests.
    pub rows_out: u64,
    /// Bytes of their files.
    pub bytes_out: u64,
    /// What a person should know.
    pub notes: Vec<String>,
    /// What was read, and what was left out.
    #[serde(skip)]
    pub checked: Checked,
}

impl TaskSummary {
    fn new(of: &Task<'_>, record: &Record, taken_in: &[RowsFile]) -> Self {
        let sum = |files: &[RowsFile], of: fn(&RowsFile) -> u64| files.iter().map(of).sum::<u64>();
        let refused = &record.counts.refused;
        let left_out = refused
            .iter()
            .map(|(refusal, count)| (format!("impressions {}", refusal.name()), *count));
        let read = Read { left_out: left_out.collect(), ..Read::default() };
        Self {
            phase: of.phase,
            shard: of.shard.index(),
            shards: of.shard.count(),
            was_done: false,
            log_rows: 0,
            rows_in: sum(taken_in, |file| file.rows),
            impressions_in: sum(taken_in, |file| file.impressions) + record.counts.impressions,
            impressions_refused: refused.values().sum(),
            impressions_out: sum(&record.files, |file| file.impressions),
            rows_out: sum(&record.files, |file| file.rows),
            bytes_out: sum(&record.files, |file| file.bytes),
            notes: Vec::new(),
            checked: Checked { read, ..Checked::default() },
        }
    }

    /// Says what was read: the log, its tables, and so many files of other tasks.
    fn tell_read(&mut self, context: &Context, files_of_tasks: usize) {
        let Source { log, dimensions, days, .. } = &*context.source;
        let part =
            |name: &str, files, rows| Part { name: name.into(), files, rows, impressions: None };
        let files = days.iter().map(|day| log.files(*day).len() as u64).sum();
        let of_log = read_of(log, part("events", files, self.log_rows), dimensions);
        let of_tasks = part("tasks", files_of_tasks as u64, self.rows_in);
        let parts = of_log.parts.into_iter().chain((files_of_tasks > 0).then_some(of_tasks));
        let left_out = std::mem::take(&mut self.checked.read.left_out);
        self.checked.read = Read { left_out, ..Read::of(parts.collect(), of_log.skipped) };
    }

    /// Whether every impression is accounted for.
    fn adds_up(&self) -> bool {
        self.impressions_in == self.impressions_out + self.impressions_refused
    }
}

impl fmt::Display for TaskSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { phase, shard, shards, .. } = self;
        write!(f, "{phase} {shard}/{shards}: ")?;
        if self.was_done {
            write!(f, "was done already; ")?;
        } else {
            write!(f, "{} rows of the log read, {} rows taken in; ", self.log_rows, self.rows_in)?;
        }
        write!(
            f,
            "{} impressions = {} handed on + {} not, in {} rows of {} bytes",
            self.impressions_in,
            self.impressions_out,
            self.impressions_refused,
            self.rows_out,
            self.bytes_out
        )?;
        for note in &self.notes {
            write!(f, "\n{note}")?;
        }
        Ok(())
    }
}

impl Task<'_> {
    /// Does what the task has to do, unless it is done. `progress` is called a few times per second.
    ///
    /// # Errors
    /// What [`crate::samples()`] refuses of the log, tasks before that are missing or were made of something else, files that are not what
    /// they were, impressions that are not accounted for, and what the store refuses.
    pub fn run(&self, progress: impl Fn(SampleProgress)) -> Result<TaskSummary, Error> {
        let Self { phase, shard, config, .. } = *self;
        let log = OpenLog::open(self.logs, config)?;
        log.refuse_within(self.exchange)?;
        let popularity = log.wanted().popularity;
        if phase == Phase::Products && !popularity {
            let reason = "is products, but the schema asks for no popularity of products: this job has the phases channels, users and feeds";
            return Err(Error::Config { option: "phase", reason: reason.into() });
        }
        let store = Store::open(self.exchange)?;
        let days = log.days_read(config)?;
        let made_from = made_from(&log, self.program, config)?;
        let taken_in = match phase.before(popularity) {
            None => Vec::new(),
            Some(before) => {
                let records = Record::of_phase(&store, before, shard.count(), &made_from)?;
                let of_shard = |(record, from): (Record, Shard)| {
                    record.files.get(shard.index() as usize).cloned().ok_or_else(|| Error::Task {
                        path: store.root().join(record_name(before, from)),
                        reason: format!("has no rows for shard {shard}"),
                    })
                };
                let records = records.into_iter().zip(Shard::all(shard.count()));
                records.map(of_shard).collect::<Result<Vec<_>, _>>()?
            }
        };
        let mut notes = Vec::new();
        if let Some(record) = Record::read(&store, phase, shard)? {
            match record.made_from.difference(&made_from) {
                None => {
                    let summary = TaskSummary::new(self, &record, &taken_in);
                    return Ok(TaskSummary { was_done: true, ..summary });
                }
                Some(difference) => {
                    notes.push(format!("done again, for what it had made was made {difference}"));
                }
            }
        }
        let rejected = RejectedRows::new(None, &days);
        let (context, _) = log.context(config, days, BTreeSet::new(), rejected, Some(shard));
        let session = plan::session(&context);
        let before = ExchangeFiles { store: store.clone(), files: taken_in.clone() };
        let plan = plan::phase(phase, before, &context, &session)?;
        // What a killed task leaves here is in the system's folder for such things.
        let spill = tempfile::Builder::new().prefix("eliverec-samples-").tempdir()?;
        let task = plan::task(&context, session, spill.path())?;
        let runtime = engine_threads(config)?;
        let files = runtime.block_on(self.write(&store, &context, plan, task, &progress));
        // The operators' threads hold the log and the spilled files until they have ended.
        drop(runtime);
        let files = files.map_err(|error| first_error(&context.source, error))?;
        let counters = &context.source.counters;
        let record = Record { made_from, counts: counters.counts(), files };
        let mut summary = TaskSummary {
            log_rows: counters.progress(0, 0).rows_read,
            notes,
            ..TaskSummary::new(self, &record, &taken_in)
        };
        summary.tell_read(&context, taken_in.len());
        if !summary.adds_up() {
            return Err(Error::Engine(format!(
                "not every impression is accounted for, and nothing of this task is kept: {summary}"
            )));
        }
        record.write(&store, phase, shard)?;
        Ok(summary)
    }

    /// Runs the plan and writes its rows as they come.
    async fn write(
        &self,
        store: &Store,
        context: &Arc<Context>,
        plan: Plan,
        task: Arc<TaskContext>,
        progress: &impl Fn(SampleProgress),
    ) -> Result<Vec<RowsFile>, Error> {
        let whole_requests = self.phase == Phase::Users;
        let count = if whole_requests { 1 } else { self.shard.count() };
        let mut batches = execute_stream(plan, Arc::clone(&task))?;
        let mut files = RowsFiles::create(store, &folder(self.phase, self.shard), count)?;
        let counters = &context.source.counters;
        let report = || {
            let spilled_bytes = task.runtime_env().spilling_progress().current_bytes;
            progress(counters.progress(0, spilled_bytes));
        };
        loop {
            let Ok(batch) = tokio::time::timeout(REPORT, batches.next()).await else {
                report();
                continue;
            };
            let Some(batch) = batch.transpose()? else { break };
            for row in Rows::of(&batch)?.iter() {
                files.push(row, if whole_requests { candidates(row.payload)? } else { 1 })?;
            }
        }
        report();
        files.publish()
    }
}

/// What a job of this log and these settings is a function of.
pub(crate) fn made_from(
    log: &OpenLog,
    program: &str,
    config: &SampleConfig,
) -> Result<MadeFrom, Error> {
    let settings = settings_text(Path::new("samples.toml"), &config.recipe())?;
    let files = LogFiles::of(&log.log)?;
    Ok(MadeFrom::new(program, config, settings, &files, &log.days_read(config)?))
}
