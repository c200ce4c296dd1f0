//! `eliverec ab report`: the buckets of a layer compared, from the log that a service wrote.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Parser;
use eliverec_ab::metrics::HIDDEN_DAYS;
use eliverec_ab::power::Goal;
use eliverec_ab::{Answered, Asked, Assignment, Builder, Error, Report, Rules, Shares, Tally};
use eliverec_core::{Day, Event, EventKind};
use eliverec_features::FeatureConfig;
use eliverec_metrics::table::Format;
use eliverec_report::{comparison_page, comparison_text};
use eliverec_run::durable;
use eliverec_samples::SampleConfig;
use eliverec_tables::check::{Checked, Part, Read};
use eliverec_tables::events::answers_read::{Answers, answers_path, read_experiments};
use eliverec_tables::events::layout::EXPERIMENTS_FILE;
use eliverec_tables::events::{EventLog, Store};

use crate::commands::{reading, tell};

/// Compare the buckets of a layer: watches, clicks, stay, orders, hidden channels
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Reads the answers beside a log's events (who was in which bucket), its experiments.jsonl (which shares there should be) and its events.
Users are the unit. A table is refused, with exit code 1, when users are not in the buckets by their shares. docs/ab-report.md has every
definition.

Examples:
  eliverec ab report --logs work/state/days
  eliverec ab report --logs work/state/days --control eta --from 2024-06-01 --to 2024-06-07 --pre 14
  eliverec ab report --logs work/state/days --markdown ab.md --html ab.html --json")]
pub(crate) struct Arguments {
    /// Event log with answers, as `eliverec serve` writes it
    #[arg(long, value_name = "LOGS")]
    logs: PathBuf,
    /// The layer; may be left out if there is one only
    #[arg(long, value_name = "NAME")]
    layer: Option<String>,
    /// The bucket that the others are compared with; the first one if omitted
    #[arg(long, value_name = "BUCKET")]
    control: Option<String>,
    /// First day that is compared; the first with answers if omitted
    #[arg(long, value_name = "DAY")]
    from: Option<Day>,
    /// Last day that is compared; the last with answers if omitted
    #[arg(long, value_name = "DAY")]
    to: Option<Day>,
    /// Days before, which tell how active users were and what CUPED takes off
    #[arg(long, value_name = "DAYS", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=365))]
    pre: u32,
    /// Seconds from which a stay is a watch, as `samples` has it
    #[arg(long, value_name = "SECONDS", default_value_t = FeatureConfig::default().stay_threshold_s)]
    stay_threshold: f64,
    /// Minutes within which what a user began counts for a request, as `samples` has it
    #[arg(long, value_name = "MINUTES", default_value_t = SampleConfig::default().attribution_window_ms / MINUTE_MS, value_parser = clap::value_parser!(i64).range(0..=10_080))]
    attribution_window: i64,
    /// Relative difference that an experiment should find
    #[arg(long, value_name = "SHARE", default_value_t = Goal::default().effect)]
    effect: f64,
    /// Probability with which it should be found
    #[arg(long, value_name = "SHARE", default_value_t = Goal::default().power)]
    power: f64,
    /// Write the report as Markdown
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Write tables and plots as one HTML page
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const MINUTE_MS: i64 = 60_000;

/// The arguments by themselves.
#[derive(Debug, Parser)]
#[command(no_binary_name = true)]
struct Alone {
    #[command(flatten)]
    report: Arguments,
}

impl Arguments {
    /// Those of a command line's words, for commands that make a report among other things.
    pub(crate) fn of(words: impl IntoIterator<Item = OsString>) -> anyhow::Result<Self> {
        Ok(Alone::try_parse_from(words)?.report)
    }

    /// Those of `eliverec ab report --logs LOGS --layer LAYER --pre PRE`.
    pub(crate) fn of_log(logs: &Path, layer: &str, pre: u32) -> anyhow::Result<Self> {
        let words = ["--logs".into(), logs.into()];
        Self::of(
            words
                .into_iter()
                .chain([format!("--layer={layer}"), format!("--pre={pre}")].map(Into::into)),
        )
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let (report, read) = compare(arguments)?;
    if let Some(path) = &arguments.markdown {
        let text = comparison_text::report(&report, Format::Markdown);
        durable::write(path, text.as_bytes()).with_context(|| path.display().to_string())?;
        tell(&format!("wrote {}", path.display()));
    }
    if let Some(path) = &arguments.html {
        let page = comparison_page::page(&report)?;
        durable::write(path, page.as_bytes()).with_context(|| path.display().to_string())?;
        tell(&format!("wrote {}", path.display()));
    }
    let checked = Checked { read, ..Checked::default() };
    reading::end(arguments.json, &checked, &report, || {
        Ok(comparison_text::report(&report, Format::Text))
    })?;
    Ok(if report.refused.is_some() { crate::FAILED } else { crate::OK })
}

/// Reads the log, answers first.
pub(crate) fn compare(arguments: &Arguments) -> anyhow::Result<(Report, Read)> {
    let asked = Asked {
        control: arguments.control.as_deref(),
        goal: Goal { effect: arguments.effect, power: arguments.power },
    };
    asked.goal.check()?;
    let rules = Rules {
        stay_threshold_s: arguments.stay_threshold,
        attribution_window_ms: arguments.attribution_window.saturating_mul(MINUTE_MS),
        days_before: arguments.pre,
    };
    rules.check()?;
    let store = Store::open(&arguments.logs)?;
    let log = EventLog::open(&store)?;
    let shares = shares(arguments, &store)?;
    let days = Days::of(arguments, &log)?;
    let mut answers = Part { name: "answers".into(), ..Part::default() };
    let assignment = assign(shares, &days, &store, &mut answers)?;
    let rows_left_out = assignment.rows_left_out();
    let mut builder = Builder::new(Tally::new(assignment, rules), &asked)?;
    let events = take_events(&mut builder, &days, &log)?;
    let mut report = builder.finish();
    if let Some(missing) = days.without_next(&log) {
        report.told.push(missing);
    }
    let is_answers =
        |path: &PathBuf| days.compared.iter().any(|day| *path == answers_path(&store, *day));
    let skipped = log.skipped().filter(|path| !is_answers(path)).collect();
    let mut read = Read::of(vec![events, answers], skipped);
    read.left_out.clone_from(&report.left_out);
    if rows_left_out > 0 {
        read.left_out.insert("answers of other days, or before the layer".into(), rows_left_out);
    }
    Ok((report, read))
}

fn shares(arguments: &Arguments, store: &Store) -> anyhow::Result<Shares> {
    let file = arguments.logs.join(EXPERIMENTS_FILE).display().to_string();
    let Some(lines) = read_experiments(store)? else {
        let reason = "is not there; a service with experiments writes it beside its days, and it says which shares there should be";
        return Err(Error::Asked { asked: file, reason: reason.into() }.into());
    };
    Ok(Shares::parse(&lines, &file, arguments.layer.as_deref())?)
}

/// Which days are read.
struct Days {
    first: Day,
    last: Day,
    /// The days that are compared, in order.
    compared: Vec<Day>,
    /// The first day that tells what was shown before, or how active users were.
    since: Day,
}

impl Days {
    fn of(arguments: &Arguments, log: &EventLog) -> anyhow::Result<Self> {
        let store = log.store();
        let mut answered = Vec::new();
        for day in log.days() {
            if Answers::open(store, day)?.is_some() {
                answered.push(day);
            }
        }
        let refuse = |asked: String, reason: String| Err(Error::Asked { asked, reason }.into());
        let (Some(first), Some(last)) = (answered.first(), answered.last()) else {
            let Some(day) = log.days().next_back() else {
                return refuse(log.store().root().display().to_string(), "has no events".into());
            };
            let reason = "is not there, nor are those of the other days; a service with experiments writes it, and without it nobody \
                          knows who was in which bucket";
            return refuse(answers_path(store, day).display().to_string(), reason.into());
        };
        let first = arguments.from.unwrap_or(*first);
        let last = arguments.to.unwrap_or(*last);
        let compared: Vec<Day> = log.days().filter(|day| (first..=last).contains(day)).collect();
        if compared.is_empty() {
            let reason = "the log has no events on these days".into();
            return refuse(format!("--from {first} --to {last}"), reason);
        }
        if let Some(day) = compared.iter().find(|day| !answered.contains(day)) {
            let reason = "is not there, so that nobody knows who was in which bucket on that day; choose days that have it by --from \
                          and --to";
            return refuse(answers_path(store, *day).display().to_string(), reason.into());
        }
        let begins = log.days().next().unwrap_or(first);
        let before = |days: u32| first.plus(-(days as i32)).unwrap_or(first);
        if arguments.pre > 0 && before(arguments.pre) < begins {
            let reason = format!(
                "the log begins on {begins}, and {first} is the first day that is compared"
            );
            return refuse(format!("--pre {}", arguments.pre), reason);
        }
        let longest = HIDDEN_DAYS.into_iter().max().unwrap_or(0).max(arguments.pre);
        Ok(Self { first, last, compared, since: before(longest) })
    }

    /// The number of a day that is compared, from 1.
    const fn number(&self, day: Day) -> u32 {
        ((day.start_ms() - self.first.start_ms()) / (24 * 60 * MINUTE_MS)) as u32 + 1
    }

    /// Says that the day after the last is missing, if it is.
    fn without_next(&self, log: &EventLog) -> Option<String> {
        let next = self.last.plus(1)?;
        let is_there = log.days().any(|day| day == next);
        (!is_there).then(|| {
            format!(
                "the log has no day {next}: what users did on {} and arrived later is missing, in all buckets alike",
                self.last
            )
        })
    }
}

/// Reads the answers of the days that are compared.
fn assign(
    shares: Shares,
    days: &Days,
    store: &Store,
    part: &mut Part,
) -> anyhow::Result<Assignment> {
    let end_ms = days.last.plus(1).map_or(i64::MAX, Day::start_ms);
    let mut assignment = Assignment::new(shares, days.first.start_ms()..end_ms);
    for day in &days.compared {
        let Some(mut answers) = Answers::open(store, *day)? else { continue };
        part.files += 1;
        while let Some(rows) = answers.next_rows()? {
            for row in rows.rows() {
                part.rows += 1;
                assignment.take(Answered {
                    request_id: row.request_id,
                    user_id: row.user_id,
                    at_ms: row.at_ms,
                    bucket: row.bucket,
                })?;
            }
        }
    }
    Ok(assignment)
}

/// Reads the events from the days before to the day after.
fn take_events(builder: &mut Builder, days: &Days, log: &EventLog) -> anyhow::Result<Part> {
    let end = days.last.plus(1).unwrap_or(days.last);
    let mut part = Part { name: "events".into(), impressions: Some(0), ..Part::default() };
    for day in log.days().filter(|day| (days.since..=end).contains(day)) {
        read_day(log, day, &mut part, |event| builder.tally().take(&event))?;
        if (days.first..days.last).contains(&day) {
            builder.end_day(days.number(day));
        }
    }
    builder.end_day(days.number(days.last));
    Ok(part)
}

/// Hands on the events of a day, and counts them.
pub(super) fn read_day(
    log: &EventLog,
    day: Day,
    part: &mut Part,
    mut take: impl FnMut(Event),
) -> anyhow::Result<()> {
    part.files += log.files(day).len() as u64;
    for event in log.read(day..=day)?.without_context().strict() {
        let event = event?;
        part.rows += 1;
        if event.kind == EventKind::Impression {
            part.impressions = part.impressions.map(|impressions| impressions + 1);
        }
        take(event);
    }
    Ok(())
}
