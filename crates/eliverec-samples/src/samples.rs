//! From a log to its feeds: plans, run, days.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use datafusion_physical_plan::execute_stream;
use eliverec_tables::events::rejected::REJECTED_FOLDER;
use eliverec_tables::events::{Day, EventLog, RejectedWriter, Store};
use futures::StreamExt;

use crate::config::SampleConfig;
use crate::context::{Anchors, Context};
use crate::error::Error;
use crate::fields::FeedBuilder;
use crate::plan;
use crate::publish::{DayWriter, FeedDays, SpillFolder};
use crate::rows::Rows;
use crate::scan::{RejectedRows, Requests, Source};
use crate::summary::{Counters, DaySummary, Progress, Summary, lock};
use crate::wire::read_request;

/// Time between two reports of progress while the log is read.
const REPORT: Duration = Duration::from_millis(250);

/// Makes the feeds of the log at `logs`, a path or an address ([`Store::open`]), in the directory `feeds`, which may hold days of an earlier run with the same
/// settings: they are kept. `progress` is called a few times per second.
///
/// # Errors
/// A log that cannot be read, a row that is no event (unless [`SampleConfig::lenient`]), a field of the schema that
/// nothing can fill, feeds in the directory that are not of this log's schema and settings, too little memory, and what
/// the file system refuses. The days that were finished before are there, whole.
pub fn samples(
    logs: &Path,
    feeds: &Path,
    config: &SampleConfig,
    progress: impl Fn(Progress),
) -> Result<Summary, Error> {
    config.check()?;
    let log = EventLog::open(&Store::open(logs)?)?;
    let dimensions = Arc::new(log.dimensions()?);
    let schema = log.schema().clone();
    let builder = FeedBuilder::new(&schema, &dimensions)?;
    let mut days = FeedDays::open(feeds, &schema, &config.recipe())?;
    let source = source(log, &days, feeds, config)?;
    let context = Arc::new(Context {
        config: config.clone(),
        source: Arc::new(source),
        wanted: builder.wanted().clone(),
        anchors: Anchors::new(&dimensions),
    });
    let spill = SpillFolder::create(feeds)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.threads)
        .enable_time()
        .build()?;
    let written = runtime.block_on(run(&context, &builder, &mut days, spill.path(), &progress));
    // The operators' threads hold the log and the spilled files until they have ended.
    drop(runtime);
    let written = written?;
    let counters = &context.source.counters;
    let mut of_days: Vec<DaySummary> = written;
    for (day, split) in days.split(Vec::new())? {
        if context.source.requests.kept.contains(&day) {
            of_days.push(days.kept(day, split)?);
        }
    }
    of_days.sort_by_key(|of_day| of_day.day);
    let waiting =
        std::mem::replace(&mut *lock(&context.source.rejected), RejectedRows::new(None, &[]));
    waiting.finish()?;
    Ok(counters.summary(of_days))
}

/// What is read of the log, and for which requests.
fn source(
    log: EventLog,
    days: &FeedDays,
    feeds: &Path,
    config: &SampleConfig,
) -> Result<Source, Error> {
    let first = match (config.from, config.history_days) {
        (Some(from), Some(history)) => from.plus(-(history.min(i32::MAX as u32) as i32)),
        _ => None,
    };
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
        match fs_err::remove_dir_all(feeds.join(REJECTED_FOLDER)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e.into()),
            _ => writer = Some(RejectedWriter::new(&Store::local(feeds)?)),
        }
    }
    Ok(Source {
        rejected: Mutex::new(RejectedRows::new(writer, &of_log)),
        log,
        days: of_log,
        requests: Requests { from: config.from, to: config.to, kept: days.days() },
        lenient: config.lenient,
        counters: Counters::default(),
    })
}

/// Runs the plans and writes the feeds as they come, in order.
async fn run(
    context: &Arc<Context>,
    builder: &FeedBuilder<'_>,
    days: &mut FeedDays,
    spill: &Path,
    progress: &impl Fn(Progress),
) -> Result<Vec<DaySummary>, Error> {
    let session = plan::session(&context.config);
    let feeds = plan::feeds(context, &session)?;
    let task = plan::task(&context.config, session, spill)?;
    let mut batches = execute_stream(feeds, Arc::clone(&task))?;
    let counters = &context.source.counters;
    let report = |feeds| {
        let spilled_bytes = task.runtime_env().spilling_progress().current_bytes;
        progress(counters.progress(feeds, spilled_bytes));
    };
    let (mut splits, mut open, mut written) = (None, None::<DayWriter>, Vec::new());
    let mut count = 0;
    loop {
        let Ok(batch) = tokio::time::timeout(REPORT, batches.next()).await else {
            report(count);
            continue;
        };
        // The first batch comes when all requests have been sorted, so the days that have feeds are known.
        if splits.is_none() {
            splits = Some(days.split(counters.days_with_feeds())?);
        }
        let Some(batch) = batch else { break };
        let batch = batch?;
        for row in Rows::of(&batch)?.iter() {
            let (request, features) = read_request(row.id, row.at, row.payload)?;
            let feed = builder.feed(&request, &features);
            let Some(day) = Day::of(row.at) else { continue };
            if open.as_ref().is_none_or(|open| open.day() != day) {
                if let Some(done) = open.take() {
                    written.push(days.finish(done)?);
                }
                let split = splits.as_ref().and_then(|splits| splits.get(&day)).copied();
                let split = split.ok_or_else(|| {
                    Error::Engine(format!("the feeds of {day} came before they were counted"))
                })?;
                open = Some(days.writer(day, split)?);
            }
            if let Some(open) = &mut open {
                open.push(feed)?;
                count += 1;
            }
        }
        report(count);
    }
    if let Some(done) = open {
        written.push(days.finish(done)?);
    }
    report(count);
    Ok(written)
}
