//! `eliverec ab splits`: does the comparison find what is not there, and what is?

use std::path::PathBuf;

use anyhow::Context;
use eliverec_ab::power::Goal;
use eliverec_ab::splits::{Planted, Reports, SplitLog, Splits, counts};
use eliverec_ab::{Error, Rules};
use eliverec_core::Day;
use eliverec_experiments::{SLOTS, slot};
use eliverec_features::FeatureConfig;
use eliverec_metrics::table::Format;
use eliverec_report::splits_text;
use eliverec_run::durable;
use eliverec_samples::SampleConfig;
use eliverec_tables::check::{Checked, Part, Read};
use eliverec_tables::events::{EventLog, Store};
use rayon::prelude::*;

use super::report::read_day;
use crate::commands::{reading, tell};

/// Split a log's users by chance many times, and count what the comparison finds
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Nothing differs between halves that chance has made, so differences are to be found as often as their level says (an A/A test). Then an
effect is planted, which is to be found as often as the power says, and a loss of users, which is to be refused. Any event log will do; it
needs no answers, and its events of the days that are compared have to fit into memory.

Examples:
  eliverec ab splits --logs work/logs
  eliverec ab splits --logs work/state/days --pre 7 --splits 200 --effect 0.05 --markdown splits.md")]
pub(super) struct Arguments {
    /// Event log
    #[arg(long, value_name = "LOGS")]
    logs: PathBuf,
    /// First day that is compared; the first behind the days before if omitted
    #[arg(long, value_name = "DAY")]
    from: Option<Day>,
    /// Last day that is compared; the last but one of the log if omitted
    #[arg(long, value_name = "DAY")]
    to: Option<Day>,
    /// Days before, which CUPED takes off
    #[arg(long, value_name = "DAYS", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=365))]
    pre: u32,
    /// How many splits
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    splits: u32,
    /// Relative difference of CTR that is planted
    #[arg(long, value_name = "SHARE", default_value_t = 0.05)]
    effect: f64,
    /// Share of a bucket's users whose answers are lost
    #[arg(long, value_name = "SHARE", default_value_t = 0.1)]
    lost: f64,
    /// Write what is printed as Markdown
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let Arguments { effect, lost, .. } = *arguments;
    let goal = Goal { effect, ..Goal::default() };
    goal.check()?;
    if !(0.0..=1.0).contains(&lost) {
        let reason = "is a share from 0 to 1".into();
        return Err(Error::Asked { asked: format!("--lost {lost}"), reason }.into());
    }
    let (log, read) = read(arguments)?;
    tell(&format!("{} splits, each compared three times", arguments.splits));
    let reports: Result<Vec<Reports>, Error> = (0..arguments.splits)
        .into_par_iter()
        .map(|split| {
            let salt = format!("split-{split}");
            let is_treated = |user: u64| slot(&salt, &user.to_string()) < SLOTS / 2;
            let of = |planted| log.report(is_treated, planted, goal);
            Ok(Reports {
                plain: of(Planted::Nothing)?,
                effect: of(Planted::Effect(effect))?,
                loss: of(Planted::Loss(lost))?,
            })
        })
        .collect();
    let found = Splits::of(&reports?, effect, lost);
    if let Some(path) = &arguments.markdown {
        let text = splits_text::text(&found, Format::Markdown);
        durable::write(path, text.as_bytes()).with_context(|| path.display().to_string())?;
        tell(&format!("wrote {}", path.display()));
    }
    let checked = Checked { read, ..Checked::default() };
    reading::end(arguments.json, &checked, &found, || Ok(splits_text::text(&found, Format::Text)))?;
    Ok(crate::OK)
}

fn read(arguments: &Arguments) -> anyhow::Result<(SplitLog, Read)> {
    let log = EventLog::open(&Store::open(&arguments.logs)?)?;
    let days: Vec<Day> = log.days().collect();
    let place = |place: Option<usize>| place.and_then(|place| days.get(place)).copied();
    let first = arguments.from.or_else(|| place(Some(arguments.pre as usize)));
    let last = arguments.to.or_else(|| place(days.len().checked_sub(2)));
    let (Some(first), Some(last)) =
        (first, last.filter(|last| first.is_some_and(|first| first <= *last)))
    else {
        let asked = arguments.logs.display().to_string();
        let reason = format!(
            "has {} days; behind {} days before it takes one to compare and one on which the rest arrives; choose others by --from and --to",
            days.len(),
            arguments.pre
        );
        return Err(Error::Asked { asked, reason }.into());
    };
    let (since, end) = (first.plus(-(arguments.pre as i32)), last.plus(1));
    let (since, end) = (since.unwrap_or(first), end.unwrap_or(last));
    let mut part = Part { name: "events".into(), impressions: Some(0), ..Part::default() };
    let mut events = Vec::new();
    for day in days.into_iter().filter(|day| (since..=end).contains(day)) {
        read_day(&log, day, &mut part, |event| {
            if counts(event.kind) {
                events.push(event);
            }
        })?;
    }
    let rules = Rules {
        stay_threshold_s: FeatureConfig::default().stay_threshold_s,
        attribution_window_ms: SampleConfig::default().attribution_window_ms,
        days_before: arguments.pre,
    };
    let days_ms = first.start_ms()..last.plus(1).map_or(i64::MAX, Day::start_ms);
    let read = Read::of(vec![part], log.skipped().collect());
    Ok((SplitLog::new(events, days_ms, rules), read))
}
