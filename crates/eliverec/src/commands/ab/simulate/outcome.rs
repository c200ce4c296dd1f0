//! What is seen and what is true: reports of the logs that the arms' services wrote.

use std::collections::BTreeMap;

use eliverec_ab::Report;
use eliverec_ab::truth::{TrueDifference, truth};
use eliverec_metrics::table::Format;
use eliverec_report::{comparison_text, online};
use eliverec_tables::check::{Checked, Read};
use serde::Serialize;

use super::arm::BOTH;
use super::folder::{Folder, MODELS};
use super::settings::Settings;
use crate::commands::ab::report;
use crate::commands::reading;

/// Most days before the experiment that tell how active users were.
const MOST_BEFORE: u32 = 14;

/// An experiment and its truth.
pub(super) struct Outcome {
    settings: Settings,
    pub(super) report: Report,
    pub(super) truth: Vec<TrueDifference>,
    read: Read,
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Told<'a> {
    settings: &'a Settings,
    report: &'a Report,
    truth: &'a [TrueDifference],
    needs_of_seen: Vec<NeedOfSeen>,
}

#[derive(Serialize)]
struct NeedOfSeen {
    effect: f64,
    power: f64,
    #[serde(flatten)]
    need: eliverec_ab::power::Need,
}

/// Compares the buckets, and every user in the one with every user in the other.
pub(super) fn compare(folder: &Folder, settings: &Settings) -> anyhow::Result<Outcome> {
    let of = |arm: &str, control: &str| {
        let [from, to] =
            [0, settings.days - 1].map(|day| settings.day(day).map(|day| day.to_string()));
        let pre = settings.before.min(MOST_BEFORE).to_string();
        let log = folder.log(arm, settings.days - 1);
        let words =
            ["--control", control, "--pre", &pre, "--from", &from?, "--to", &to?].map(Into::into);
        let asked = report::Arguments::of(
            ["--logs".into(), log.into_os_string()].into_iter().chain(words),
        )?;
        report::compare(&asked)
    };
    let (report, read) = of(BOTH, MODELS[0])?;
    let mut alone = BTreeMap::new();
    for model in MODELS {
        alone.insert(model.to_owned(), of(model, model)?.0);
    }
    let truth = truth(&report, &alone);
    Ok(Outcome { settings: settings.clone(), report, truth, read })
}

impl Outcome {
    /// All of it for people.
    pub(super) fn text(&self, power: f64, format: Format) -> String {
        let Self { report, truth, .. } = self;
        let mut text = comparison_text::report(report, format);
        if report.refused.is_none() {
            text += &online::table_5(report, truth, format);
            text += &online::truth(report, truth, format);
            text += &online::needs_of_seen(&report.needs_of_seen(power), power, format);
        }
        text
    }

    /// Prints it.
    pub(super) fn end(self, power: f64, json: bool) -> anyhow::Result<u8> {
        let needs = self.report.needs_of_seen(power).into_iter();
        let told = Told {
            settings: &self.settings,
            report: &self.report,
            truth: &self.truth,
            needs_of_seen: needs
                .map(|(goal, need)| NeedOfSeen { effect: goal.effect, power: goal.power, need })
                .collect(),
        };
        let checked = Checked { read: self.read.clone(), ..Checked::default() };
        reading::end(json, &checked, &told, || Ok(self.text(power, Format::Text)))?;
        Ok(if self.report.refused.is_some() { crate::FAILED } else { crate::OK })
    }
}
