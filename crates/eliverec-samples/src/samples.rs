//! From a log to its feeds: plans, run, days.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use datafusion_physical_plan::execute_stream;
use eliverec_core::Dimensions;
use eliverec_features::FeatureId;
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
use crate::error::Error;
use crate::log_files::LogFiles;
use crate::plan;
use crate::publish::{DayWriter, Encoded, FeedDays, SpillFolder};
use crate::rows::Rows;
use crate::scan::{RejectedRows, Requests, Source};
use crate::summary::{Counters, DaySummary, Refusal, SampleProgress, Summary, lock};

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
    config.check()?;
    let log = EventLog::open(&Store::open(logs)?)?;
    let dimensions = Arc::new(log.dimensions()?);
    let schema = log.schema().clone();
    let maker = Arc::new(FeedMaker::new(&schema, &dimensions)?);
    let recipe = config.recipe();
    if log.store().is_at(feeds) {
        let reason = "is the log, or within its events; choose another directory for the feeds";
        return Err(Error::Feeds { path: feeds.into(), reason: reason.into() });
    }
    let mut days = FeedDays::open(feeds, &schema, &recipe)?;
    let mut notes = days.judge(LogFiles::of(&log)?, &recipe, config)?;
    let exposures = maker.wanted().channel.contains(&FeatureId::ExposureAgeS);
    let source = source(log, &dimensions, exposures, &days, feeds, config)?;
    let context = Arc::new(Context {
        config: config.clone(),
        source: Arc::new(source),
        wanted: maker.wanted().clone(),
        dimensions,
    });
    let spill = SpillFolder::create(feeds)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.threads)
        .enable_time()
        .build()?;
    // Few threads that stay: each new one would begin with memory that the kernel has to clear.
    let encoders = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(config.threads)
        .build()?;
    let run = run(&context, &maker, &encoders, &mut days, spill.path(), &progress);
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
fn first_error(source: &Source, error: Error) -> Error {
    let of_the_log = error.path().is_some_and(|path| path.starts_with(source.log.store().root()));
    match (source.days.first(), source.days.last()) {
        (Some(first), Some(last)) if of_the_log => {
            let first = source.log.first_error(*first..=*last, source.lenient);
            first.map_or(error, Error::from)
        }
        _ => error,
    }
}

/// What is read of the log, and for which requests.
fn source(
    log: EventLog,
    dimensions: &Arc<Dimensions>,
    exposures: bool,
    days: &FeedDays,
    feeds: &Path,
    config: &SampleConfig,
) -> Result<Source, Error> {
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
    let mut writer = None;
    if config.lenient {
        // Every run reads all rows, so it writes all rejected ones.
        remove_rejected(feeds)?;
        writer = Some(RejectedWriter::new(&Store::local(feeds)?));
    }
    Ok(Source {
        rejected: Mutex::new(RejectedRows::new(writer, &of_log)),
        log,
        dimensions: Arc::clone(dimensions),
        days: of_log,
        requests: Requests { from: config.from, to: config.to, kept: days.days() },
        lenient: config.lenient,
        exposures,
        counters: Counters::default(),
    })
}

/// Runs the plans and writes the feeds as they come, in order. Row groups are encoded on other threads meanwhile.
async fn run(
    context: &Arc<Context>,
    maker: &Arc<FeedMaker>,
    encoders: &Runtime,
    days: &mut FeedDays,
    spill: &Path,
    progress: &impl Fn(SampleProgress),
) -> Result<Vec<DaySummary>, Error> {
    let session = plan::session(context);
    let requests = plan::requests(context, &session)?;
    let task = plan::task(context, session, spill)?;
    let mut batches = execute_stream(requests, Arc::clone(&task))?;
    let counters = &context.source.counters;
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
