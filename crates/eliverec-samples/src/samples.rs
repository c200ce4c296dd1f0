//! From a log to its feeds: plans, run, days.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use datafusion_execution::TaskContext;
use datafusion_execution::config::SessionConfig;
use datafusion_physical_plan::execute_stream;
use eliverec_core::Dimensions;
use eliverec_features::{FeatureId, Wanted};
use eliverec_tables::Split;
use eliverec_tables::check::{Part, Read};
use eliverec_tables::events::check::{ids_not_kept, read_of};
use eliverec_tables::events::rejected::{REJECTED_FOLDER, remove_rejected};
use eliverec_tables::events::{Day, EventLog, RejectedWriter, Store};
use futures::StreamExt;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::chunks::{Cutter, FeedMaker};
use crate::config::{SampleConfig, first_day};
use crate::context::Context;
use crate::counters::{Counters, lock};
use crate::error::Error;
use crate::log_files::LogFiles;
use crate::plan::{self, Plan};
use crate::publish::{DayWriter, Encoded, FeedDays, SpillFolder};
use crate::rows::Rows;
use crate::scan::{RejectedRows, Requests, Source};
use crate::shard::Shard;
use crate::summary::{DaySummary, Refusal, SampleProgress, Summary};
use crate::wire::candidates;

/// Time between two reports of progress while the log is read.
const REPORT: Duration = Duration::from_millis(250);

/// Makes the feeds of the log at `logs`, a path or an address ([`Store::open`]), in the directory `feeds`, which may hold days of an earlier run with the same
/// settings: they are kept while the log has the same arrivals for them, and made again otherwise. `progress` is called a few times per second.
///
/// # Errors
/// A log that cannot be read, a row that is no event (unless [`SampleConfig::lenient`]), a field of the schema that
/// nothing can fill, feeds in the directory that are not of this log's schema and settings, too little memory, and what
/// the file system refuses. The days that were finished before are there, whole.
pub fn samples(
    logs: &Path,
    feeds: &Path,
    config: &SampleConfig,
    progress: impl Fn(SampleProgress),
) -> Result<Summary, Error> {
    let log = OpenLog::open(logs, config)?;
    log.refuse_within(feeds)?;
    let recipe = config.recipe();
    let mut days = FeedDays::open(feeds, log.log.schema(), &recipe)?;
    let notes = days.judge(LogFiles::of(&log.log)?, &recipe, config)?;
    let read = log.days_read(config)?;
    let rejected = rejected_rows(feeds, config, &read)?;
    let (context, maker) = log.context(config, read, days.days(), rejected, None);
    let session = plan::session(&context);
    let requests = plan::requests(&context, &session)?;
    make(&Making { context, maker, feeds, notes }, days, session, requests, &progress)
}

/// A log, and what is asked of it.
pub(crate) struct OpenLog {
    pub(crate) log: EventLog,
    dimensions: Arc<Dimensions>,
    maker: Arc<FeedMaker>,
}

impl OpenLog {
    pub(crate) fn open(logs: &Path, config: &SampleConfig) -> Result<Self, Error> {
        config.check()?;
        let log = EventLog::open(&Store::open(logs)?)?;
        let dimensions = Arc::new(log.dimensions()?);
        let maker = Arc::new(FeedMaker::new(log.schema(), &dimensions)?);
        Ok(Self { log, dimensions, maker })
    }

    pub(crate) fn wanted(&self) -> &Wanted {
        self.maker.wanted()
    }

    /// Refuses a directory that is the log, or lies within its events.
    pub(crate) fn refuse_within(&self, directory: &Path) -> Result<(), Error> {
        if self.log.store().is_at(directory) {
            let reason = "is the log, or within its events; choose another directory";
            return Err(Error::Feeds { path: directory.into(), reason: reason.into() });
        }
        Ok(())
    }

    /// The days of arrival that are read.
    pub(crate) fn days_read(&self, config: &SampleConfig) -> Result<Vec<Day>, Error> {
        let log = &self.log;
        let first = first_day(config.from, config.history_days);
        // What happened on the last day may arrive on the next.
        let last = config.to.and_then(|to| to.plus(1));
        let of_log: Vec<Day> = log
            .days()
            .filter(|day| first.is_none_or(|first| *day >= first))
            .filter(|day| last.is_none_or(|last| *day <= last))
            .collect();
        if of_log.is_empty() {
            // Says which days there are.
            match (first, last) {
                (Some(first), Some(last)) => log.read(first..=last)?,
                (Some(first), None) => log.read(first..)?,
                (None, Some(last)) => log.read(..=last)?,
                (None, None) => log.read(..)?,
            };
        }
        Ok(of_log)
    }

    /// What the operators share: `kept` are the days that have their feeds, `shard` the keys of a task.
    pub(crate) fn context(
        self,
        config: &SampleConfig,
        days: Vec<Day>,
        kept: BTreeSet<Day>,
        rejected: RejectedRows,
        shard: Option<Shard>,
    ) -> (Arc<Context>, Arc<FeedMaker>) {
        let Self { log, dimensions, maker } = self;
        let source = Source {
            log,
            dimensions: Arc::clone(&dimensions),
            days,
            requests: Requests { from: config.from, to: config.to, kept },
            lenient: config.lenient,
            exposures: maker.wanted().channel.contains(&FeatureId::ExposureAgeS),
            shard,
            rejected: Mutex::new(rejected),
            counters: Counters::default(),
        };
        let context = Context {
            config: config.clone(),
            source: Arc::new(source),
            wanted: maker.wanted().clone(),
            dimensions,
        };
        (Arc::new(context), maker)
    }
}

/// Where rows go that are no events.
pub(crate) fn rejected_rows(
    feeds: &Path,
    config: &SampleConfig,
    days: &[Day],
) -> Result<RejectedRows, Error> {
    let mut writer = None;
    if config.lenient {
        // Every run reads all rows, so it writes all rejected ones.
        remove_rejected(feeds)?;
        writer = Some(RejectedWriter::new(&Store::local(feeds)?));
    }
    Ok(RejectedRows::new(writer, days))
}

/// What feeds are made with.
pub(crate) struct Making<'a> {
    pub(crate) context: Arc<Context>,
    pub(crate) maker: Arc<FeedMaker>,
    pub(crate) feeds: &'a Path,
    /// What there is to say already.
    pub(crate) notes: Vec<String>,
}

/// Makes feeds of requests, which come in order.
pub(crate) fn make(
    making: &Making<'_>,
    mut days: FeedDays,
    session: SessionConfig,
    requests: Plan,
    progress: &impl Fn(SampleProgress),
) -> Result<Summary, Error> {
    let Making { context, maker, feeds, notes } = making;
    let config = &context.config;
    let spill = SpillFolder::create(feeds)?;
    let task = plan::task(context, session, spill.path())?;
    let runtime = engine_threads(config)?;
    // Few threads that stay: each new one would begin with memory that the kernel has to clear.
    let encoders = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(config.threads)
        .build()?;
    let run = run(context, maker, &encoders, &mut days, (requests, task), progress);
    let written = runtime.block_on(run);
    // The operators' threads hold the log and the spilled files until they have ended.
    drop(runtime);
    let written = written.map_err(|error| first_error(&context.source, error))?;
    let (counters, of_log) = (&context.source.counters, &context.source.days);
    let mut of_days: Vec<DaySummary> = written;
    for (day, split) in days.split(Vec::new())? {
        if context.source.requests.kept.contains(&day) {
            of_days.push(days.kept(day, split, config.asks_for(day))?);
        }
    }
    of_days.sort_by_key(|of_day| of_day.day);
    let waiting =
        std::mem::replace(&mut *lock(&context.source.rejected), RejectedRows::new(None, &[]));
    if of_days.is_empty() {
        // What a directory without feeds had set aside would be of no use.
        drop(waiting);
        remove_rejected(feeds)?;
        return Err(no_feeds(&context.source, feeds));
    }
    waiting.finish()?;
    let mut notes = notes.clone();
    if !config.lenient && remove_rejected(feeds)? {
        notes.push(format!(
            "{REJECTED_FOLDER}: removed, for every row that was read is an event now"
        ));
    }
    let Source { log, dimensions, .. } = &*context.source;
    let files = of_log.iter().map(|day| log.files(*day).len() as u64).sum();
    let events = |rows| Part { name: "events".into(), files, rows, impressions: None };
    let mut summary =
        counters.summary(of_days, notes, |rows| read_of(log, events(rows), dimensions));
    summary.checked.findings.extend_from_slice(days.findings());
    summary.checked.findings.extend(ids_not_kept(log, of_log.iter().copied())?);
    summary.notes.extend(summary.too_late(config.features.allowed_lateness_ms));
    Ok(summary)
}

/// The threads of the engine.
pub(crate) fn engine_threads(config: &SampleConfig) -> Result<Runtime, Error> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.threads)
        .enable_time()
        .build()?)
}

/// What is said if no day has feeds.
fn no_feeds(source: &Source, feeds: &Path) -> Error {
    let summary = source.counters.summary(Vec::new(), Vec::new(), |_| Read::default());
    let aside = match (summary.rows_rejected(), summary.rows_in) {
        (0, _) => String::new(),
        (aside, all) => format!(
            ", and {aside} of its {all} rows are no events; without --lenient the first of them is told"
        ),
    };
    let reason = match (source.days.first(), source.days.last()) {
        (Some(first), Some(last)) => format!(
            "no feeds, for no request is on the days asked for; the log's events arrived from {first} to {last}{aside}"
        ),
        _ => "no feeds".into(),
    };
    Error::Feeds { path: feeds.into(), reason }
}

/// The error that is told of a run. Several days are read at once by several plans, so of several bad rows and files any is met
/// first, and what is met first ends the run before the others are reached; a second reading, in order and no further than the
/// first bad row, finds the one that always is the first.
pub(crate) fn first_error(source: &Source, error: Error) -> Error {
    let of_the_log = error.path().is_some_and(|path| path.starts_with(source.log.store().root()));
    match (source.days.first(), source.days.last()) {
        (Some(first), Some(last)) if of_the_log => {
            let first = source.log.first_error(*first..=*last, source.lenient);
            first.map_or(error, Error::from)
        }
        _ => error,
    }
}

/// Runs the plans and writes the feeds as they come, in order. Row groups are encoded on other threads meanwhile.
async fn run(
    context: &Arc<Context>,
    maker: &Arc<FeedMaker>,
    encoders: &Runtime,
    days: &mut FeedDays,
    (requests, task): (Plan, Arc<TaskContext>),
    progress: &impl Fn(SampleProgress),
) -> Result<Vec<DaySummary>, Error> {
    let mut batches = execute_stream(requests, Arc::clone(&task))?;
    let (counters, kept) = (&context.source.counters, &context.source.requests.kept);
    let report = |feeds| {
        let spilled_bytes = task.runtime_env().spilling_progress().current_bytes;
        progress(counters.progress(feeds, spilled_bytes));
    };
    let mut cutter = Cutter::default();
    let mut encoding = VecDeque::new();
    let mut writing = Writing { days, open: None, splits: BTreeMap::new(), written: Vec::new() };
    let (mut begun, mut ended, mut count) = (false, false, 0);
    while !ended {
        let Ok(batch) = tokio::time::timeout(REPORT, batches.next()).await else {
            report(count);
            continue;
        };
        if !std::mem::replace(&mut begun, true) {
            // The first batch comes when all requests have been sorted, so the days that have feeds are known.
            writing.splits = writing.days.split(counters.days_with_feeds())?;
        }
        let mut chunks = Vec::new();
        if let Some(batch) = batch.transpose()? {
            for row in Rows::of(&batch)?.iter() {
                if Day::of(row.of_request().0).is_some_and(|day| kept.contains(&day)) {
                    // Tasks of a job do not know which days the directory has.
                    counters.refuse(Refusal::DayKept, candidates(row.payload)?);
                    continue;
                }
                chunks.extend(cutter.push(row)?);
            }
        } else {
            ended = true;
            counters.refuse(Refusal::UsersDiffer, cutter.contradicting());
            chunks.extend(cutter.take());
        }
        for chunk in chunks {
            if encoding.len() == context.config.threads
                && let Some(first) = encoding.pop_front()
            {
                count += writing.push(encoded(first).await?)?;
                report(count);
            }
            let (maker, split) = (Arc::clone(maker), writing.split(chunk.day())?);
            encoding.push_back(encoders.spawn_blocking(move || maker.encode(&chunk, split)));
        }
    }
    for next in encoding {
        count += writing.push(encoded(next).await?)?;
    }
    report(count);
    writing.finish()
}

async fn encoded(task: JoinHandle<Result<Encoded, Error>>) -> Result<Encoded, Error> {
    task.await.map_err(|e| Error::Engine(format!("feeds could not be encoded: {e}")))?
}

/// The days on their way to disk.
struct Writing<'a> {
    days: &'a mut FeedDays,
    open: Option<DayWriter>,
    splits: BTreeMap<Day, Split>,
    written: Vec<DaySummary>,
}

impl Writing<'_> {
    fn split(&self, day: Day) -> Result<Split, Error> {
        self.splits.get(&day).copied().ok_or_else(|| {
            Error::Engine(format!("the feeds of {day} came before they were counted"))
        })
    }

    /// Writes a row group, which follows the one before; gives the number of its feeds.
    fn push(&mut self, encoded: Encoded) -> Result<u64, Error> {
        let (day, feeds) = (encoded.day, encoded.feeds);
        if self.open.as_ref().is_none_or(|open| open.day() != day) {
            self.close()?;
        }
        let open = match &mut self.open {
            Some(open) => open,
            closed => closed.insert(self.days.writer(day, self.splits[&day])?),
        };
        open.push(encoded)?;
        Ok(feeds)
    }

    fn close(&mut self) -> Result<(), Error> {
        if let Some(done) = self.open.take() {
            self.written.push(self.days.finish(done)?);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<DaySummary>, Error> {
        self.close()?;
        Ok(self.written)
    }
}
