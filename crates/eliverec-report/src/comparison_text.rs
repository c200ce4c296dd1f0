//! The report of an online experiment as text: who is compared, the differences with their intervals, what became of channels that
//! nobody was shown, what an experiment takes.

use std::fmt::Write as _;

use eliverec_ab::comparison::{Row, Table};
use eliverec_ab::difference::{Difference, EXPECTED_DIFFERENCE, MISS};
use eliverec_ab::metrics::{self, metric};
use eliverec_ab::mismatch::REFUSED_BELOW;
use eliverec_ab::off_policy::{FEWEST_EFFECTIVE, Figure, OffPolicy};
use eliverec_ab::report::Report;
use eliverec_metrics::table::Format;

use crate::text::grid;

/// The whole report.
pub fn report(report: &Report, format: Format) -> String {
    let mut text = String::new();
    let mut body = format!("{}\n\n{}\n", summary(report), sample_ratio(report));
    if !report.told.is_empty() {
        let _ = write!(body, "\n{}", list(&report.told, format));
    }
    let _ = match format {
        Format::Markdown => writeln!(text, "# {}\n\n{}", title(report), body.trim_end()),
        Format::Text => writeln!(text, "{}\n\n{}", title(report), body.trim_end()),
    };
    let mut section = |title: &str, body: &str| section(&mut text, title, body, format);
    if let Some(reason) = &report.refused {
        section("Refused", reason);
        return text;
    }
    for table in &report.tables {
        let rows = table.rows.iter().flat_map(|row| comparison_cells(report, row)).collect();
        let body = format!("{}\n{}", grid(&COMPARISON_HEAD, rows, format), table_note(table));
        section(&table_title(table), &body);
    }
    section("How to read it", &method(report));
    if !report.hidden.is_empty() {
        let body = format!("{}\n{HIDDEN_NOTE}", grid(&HIDDEN_HEAD, hidden_cells(report), format));
        section(HIDDEN_TITLE, &body);
    }
    let body = format!(
        "{}\n{}",
        grid(&EXPOSURE_HEAD, exposure_cells(report), format),
        exposure_note(report)
    );
    section(EXPOSURE_TITLE, &body);
    let body = format!("{}\n{NEEDS_NOTE}", grid(&NEEDS_HEAD, needs_cells(report), format));
    section(&needs_title(report), &body);
    section("Definitions", list(&definitions(report), format).trim_end());
    text
}

/// Adds a section to a text that has a heading.
pub(crate) fn section(text: &mut String, title: &str, body: &str, format: Format) {
    // Writing to a string cannot fail.
    let _ = match format {
        Format::Markdown => writeln!(text, "\n## {title}\n\n{body}"),
        Format::Text => writeln!(text, "\n{title}\n\n{body}"),
    };
}

/// The heading.
pub fn title(report: &Report) -> String {
    format!("Experiment: layer {}, against {}", report.layer, report.control)
}

/// Who is compared.
pub fn summary(report: &Report) -> String {
    let users = report.buckets.iter().zip(&report.population.in_bucket);
    let users: Vec<String> = users.map(|(bucket, users)| format!("{bucket} {users}")).collect();
    format!("{} answers, {} users: {}.", report.answers, report.population.users, users.join(", "))
}

/// What the sample-ratio test says.
pub fn sample_ratio(report: &Report) -> String {
    let found = &report.mismatch;
    let Some(p) = found.p else {
        return "Sample ratio: not tested, too few users.".into();
    };
    let counts = found.buckets.iter().filter(|counted| counted.expected > 0.0);
    let counts = counts.map(|of| format!("{} {} of {:.0}", of.bucket, of.users, of.expected));
    format!(
        "Sample ratio: {}; chi-square {:.2} with {} degrees, p = {p:.4} (refused below {REFUSED_BELOW}).",
        counts.collect::<Vec<_>>().join(", "),
        found.chi_square,
        found.degrees
    )
}

/// The heading of a table.
pub fn table_title(table: &Table) -> String {
    let mut title = table.group.clone();
    title[..1].make_ascii_uppercase();
    title
}

/// Who is in a table.
pub fn table_note(table: &Table) -> String {
    let users: Vec<String> = table.users.iter().map(ToString::to_string).collect();
    format!("Users: {} ({}).", users.join(", "), table.rule)
}

/// The head of a table of comparisons.
pub const COMPARISON_HEAD: [&str; 9] = [
    "metric",
    "control",
    "bucket",
    "value",
    "difference",
    "if planned",
    "at any time",
    "p, p at any time",
    "says",
];

/// The cells of a metric, a row for each bucket other than the control.
pub fn comparison_cells(report: &Report, row: &Row) -> Vec<Vec<String>> {
    let value = |bucket: &str| {
        let place = report.buckets.iter().position(|name| name == bucket)?;
        Some(number(row.values.get(place)?.as_ref()?.value))
    };
    let shown = |cell: Option<String>| cell.unwrap_or_else(|| "-".into());
    let cells = row.comparisons.iter().map(|comparison| {
        let of = |cell: fn(&Difference) -> String| shown(comparison.difference.as_ref().map(cell));
        let p = comparison.p_corrected.zip(comparison.always_p_corrected);
        vec![
            metrics::title(row.metric).into(),
            shown(value(&report.control)),
            comparison.bucket.clone(),
            shown(value(&comparison.bucket)),
            of(|difference| percent(difference.relative)),
            of(|difference| interval(difference.interval)),
            of(|difference| interval(difference.always_interval)),
            shown(p.map(|(p, always)| format!("{p:.3}, {always:.3}"))),
            comparison.verdict.name().into(),
        ]
    });
    cells.collect()
}

/// How the intervals are made and what a verdict takes.
pub fn method(report: &Report) -> String {
    let level = 100.0 * (1.0 - MISS);
    let mut text = format!(
        "Difference: relative to the control, in per cent; users are the unit, ratios by the delta method. If planned: {level:.0} % interval (Student's t) of one look at an end that was set before. At any time: {level:.0} % interval that holds at all looks together (mixture of normals, expected difference {} % for every experiment). p: both corrected by Holm for all comparisons of the table; the intervals are not. Higher or lower: the corrected p at any time is below {MISS}; with \"if planned\" only that of a planned look is.",
        100.0 * EXPECTED_DIFFERENCE
    );
    let rules = report.rules;
    if rules.days_before > 0 {
        let taken = report.tables.first().into_iter().flat_map(|table| &table.rows);
        let taken = taken.filter_map(|row| {
            let title = metric(row.metric)?.title;
            row.taken_off
                .filter(|share| *share > 0.0)
                .map(|share| format!("{title} {:.0} %", 100.0 * share))
        });
        let _ = write!(
            text,
            " Values are adjusted by CUPED with the {} days before; it took off of the variance: {}.",
            rules.days_before,
            taken.collect::<Vec<_>>().join(", ")
        );
    }
    text
}

/// The heading of the table of hidden channels.
pub const HIDDEN_TITLE: &str = "Channels without exposure before";
/// Its head.
pub const HIDDEN_HEAD: [&str; 8] = [
    "days without",
    "channels",
    "bucket",
    "shown",
    "share",
    "at equal size",
    "impressions",
    "watched",
];
/// What stands below it.
pub const HIDDEN_NOTE: &str = "Channels on offer that nobody was shown in so many days before the first day; how many of them a bucket showed, and how often. At equal size: the share expected of as many impressions as the smallest bucket has, since a larger bucket reaches more channels.";

/// Its cells.
pub fn hidden_cells(report: &Report) -> Vec<Vec<String>> {
    let rows = report.hidden.iter().flat_map(|hidden| {
        hidden.buckets.iter().map(|found| {
            let share = |share: Option<f64>| {
                share.map_or("-".into(), |share| format!("{:.2} %", 100.0 * share))
            };
            vec![
                hidden.days.to_string(),
                hidden.channels.to_string(),
                found.bucket.clone(),
                found.shown.to_string(),
                share(found.share),
                share(found.share_at_equal_size),
                found.impressions.to_string(),
                found.watched.to_string(),
            ]
        })
    });
    rows.collect()
}

/// The heading of the table of exposure.
pub const EXPOSURE_TITLE: &str = "Exposure";
/// Its head.
pub const EXPOSURE_HEAD: [&str; 3] = ["bucket", "channels shown", "Gini"];

/// Its cells.
pub fn exposure_cells(report: &Report) -> Vec<Vec<String>> {
    let rows = report.exposure.iter().map(|exposure| {
        let gini = exposure.spread.gini.map_or("-".into(), |gini| format!("{gini:.4}"));
        vec![exposure.bucket.clone(), exposure.shown.to_string(), gini]
    });
    rows.collect()
}

/// What stands below it.
pub fn exposure_note(report: &Report) -> String {
    format!(
        "Over the {} channels on offer, those in which anything happened on these days. Gini: 0 if every channel has as many impressions, 1 if one has all.",
        report.channels
    )
}

/// Nobody runs an experiment for longer, and no fall of a variance is known so far ahead.
const MOST_DAYS: f64 = 1_000.0;

/// Days of a need.
pub(crate) fn days(days: Option<f64>) -> String {
    match days {
        None => "-".into(),
        Some(days) if days > MOST_DAYS => format!("> {MOST_DAYS:.0}"),
        Some(days) => format!("{days:.1}"),
    }
}

/// The heading of what an experiment takes.
pub fn needs_title(report: &Report) -> String {
    let goal = report.goal;
    format!(
        "What it takes to find {:+.1} % with a probability of {:.0} %",
        100.0 * goal.effect,
        100.0 * goal.power
    )
}

/// Its head.
pub const NEEDS_HEAD: [&str; 7] =
    ["metric", "bucket", "error now", "falls by", "users", "days if planned", "days at any time"];
/// What stands below it.
pub const NEEDS_NOTE: &str = "Error now: standard error of the relative difference. Falls by: its square falls with the days to this power, as seen day by day. Users: of both buckets, seen for as long as now, for a planned end. Days: with users as they came and without correction for several comparisons; - where more days bring nothing.";

/// Its cells.
pub fn needs_cells(report: &Report) -> Vec<Vec<String>> {
    let rows = report.needs.iter().map(|need| {
        vec![
            metrics::title(need.metric).into(),
            need.bucket.clone(),
            format!("{:.2} %", 100.0 * need.standard_error),
            format!("{:.2}", need.falls_by),
            format!("{:.0}", need.users),
            days(need.days),
            days(need.always_days),
        ]
    });
    rows.collect()
}

/// What the metrics of the report are.
pub fn definitions(report: &Report) -> Vec<String> {
    let rows = report.tables.first().into_iter().flat_map(|table| &table.rows);
    let rows = rows.filter_map(|row| metric(row.metric));
    let threshold = format!(
        "a stay counts as a watch from {} s on; what was begun within {} minutes of a request counts for it",
        report.rules.stay_threshold_s,
        report.rules.attribution_window_ms / 60_000
    );
    let definitions = rows.map(|metric| format!("{}: {}.", metric.title, metric.definition));
    definitions.chain(std::iter::once(format!("{threshold}."))).collect()
}

/// Estimates of a policy from another's log, as text.
pub fn off_policy(found: &OffPolicy, on_policy: &Figure, format: Format) -> String {
    let rows = [
        ("the logging policy itself", &found.logged),
        ("inverse propensity", &found.inverse_propensity),
        ("self-normalised", &found.self_normalised),
        ("direct method", &found.direct),
        ("doubly robust", &found.doubly_robust),
        ("the target's own log", on_policy),
    ];
    let rows = rows.into_iter().enumerate().map(|(i, (name, figure))| {
        let agrees = match (i, figure.agrees(on_policy)) {
            (0 | 5, _) => "-",
            (_, true) => "yes",
            (_, false) => "no",
        };
        vec![
            name.into(),
            format!("{:.5}", figure.value),
            format!("[{:.5}, {:.5}]", figure.interval.0, figure.interval.1),
            agrees.into(),
        ]
    });
    let mut text = grid(&["estimate", "CTR", "95 %", "agrees"], rows.collect(), format);
    let _ = write!(
        text,
        "\n{} rows, as good as {:.0} of one weight; the largest weight {:.1}, the mean {:.3} (1 but for chance); {:.2} % of the target's choices were never logged.\nAgrees: it differs from the mean of the target's own log by no more than the two standard errors allow at 95 %.\nThe direct method is off by {:+.5} [{:+.5}, {:+.5}], as the propensities say; its own interval knows nothing of that.",
        found.rows,
        found.effective_rows,
        found.largest_weight,
        found.mean_weight,
        100.0 * found.unseen,
        found.direct_bias.value,
        found.direct_bias.interval.0,
        found.direct_bias.interval.1,
    );
    if !found.is_sound() {
        let _ = write!(
            text,
            "\nFewer than {FEWEST_EFFECTIVE:.0} effective rows: the weighted estimates rest on a few rows, and their intervals are not to be trusted."
        );
    }
    text
}

fn list(lines: &[String], format: Format) -> String {
    let bullet = if format == Format::Markdown { "- " } else { "" };
    lines.iter().fold(String::new(), |mut text, line| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{bullet}{line}");
        text
    })
}

pub(crate) fn percent(share: f64) -> String {
    format!("{:+.2} %", 100.0 * share)
}

pub(crate) fn interval((low, high): (f64, f64)) -> String {
    format!("[{:+.2}, {:+.2}]", 100.0 * low, 100.0 * high)
}

/// With the digits that a size needs.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.3}"),
        _ => format!("{value:.5}"),
    }
}
