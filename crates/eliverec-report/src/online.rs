//! The paper's online figures (Table V and Sec. VI-C) beside those of an experiment, and of its truth where users are simulated.

use eliverec_ab::comparison::Comparison;
use eliverec_ab::metrics::title;
use eliverec_ab::power::{Goal, Need};
use eliverec_ab::report::{ALL_USERS, HIGH_ACTIVE, LOW_ACTIVE, Report};
use eliverec_ab::truth::{Coverage, TrueDifference};
use eliverec_metrics::table::Format;

use crate::comparison_text::{days, interval, percent, section};
use crate::text::grid;

/// What the paper says of a metric.
#[derive(Debug)]
struct Told {
    /// A group of users by its name in reports.
    group: &'static str,
    /// By its name for programs.
    metric: &'static str,
    /// eLiveRec against ETA with both sequences, Sec. VI-C.2 and VI-C.3.
    against_eta: &'static str,
    /// Adaptive against vanilla weights of the tasks, the online row of Table V.
    table_5: &'static str,
}

const fn told(
    group: &'static str,
    metric: &'static str,
    against_eta: &'static str,
    table_5: &'static str,
) -> Told {
    Told { group, metric, against_eta, table_5 }
}

/// What stands in the table, and what the paper has for it. Its AUC is of no table of an experiment; the other figures are gains in
/// per cent.
const TOLD: &[Told] = &[
    told(ALL_USERS, "ctr", "+1.0 %", "-"),
    told(ALL_USERS, "bag_ctr", "-", "+1.32 %"),
    told(ALL_USERS, "product_ctr", "+5.8 %", "+0.24 %"),
    told(ALL_USERS, "stay_per_user", "comparable", "+0.78 %"),
    told(ALL_USERS, "conversion", "+4.0 %", "+0.48 %"),
    told(ALL_USERS, "revenue_per_user", "-", "-"),
    told(ALL_USERS, "found_7", "> +1.0 %", "+0.18 %"),
    told(ALL_USERS, "found_14", "> +1.0 %", "+0.18 %"),
    told(ALL_USERS, "found_30", "> +1.0 %", "+0.18 %"),
    told(LOW_ACTIVE, "ctr", "-", "-"),
    told(LOW_ACTIVE, "stay_per_user", "+10.27 %", "-"),
    told(LOW_ACTIVE, "conversion", "+28.64 %", "-"),
    told(LOW_ACTIVE, "revenue_per_user", "higher", "-"),
    told(HIGH_ACTIVE, "ctr", "-", "-"),
    told(HIGH_ACTIVE, "stay_per_user", "-1.08 %", "-"),
    told(HIGH_ACTIVE, "conversion", "+3.47 %", "-"),
    told(HIGH_ACTIVE, "revenue_per_user", "-", "-"),
];

const TABLE_5_NOTE: &str = "The paper's platform and ours are different worlds: its figures stand here for their signs. Sec. VI-C has eLiveRec against ETA with both sequences; Table V adaptive against vanilla weights of the tasks, its discoverability being one figure. Truth: the difference with every user in the one bucket and in the other (docs/ab-simulate.md).";

/// Table V: the paper's figures, the experiment's with their intervals, and the truth.
pub fn table_5(report: &Report, truth: &[TrueDifference], format: Format) -> String {
    let mut rows = Vec::new();
    for told in TOLD {
        let table = report.tables.iter().find(|table| table.group == told.group);
        let row = table.and_then(|table| table.rows.iter().find(|row| row.metric == told.metric));
        let Some(row) = row else { continue };
        for of in &row.comparisons {
            let truth = truth.iter().find(|truth| {
                truth.group == told.group
                    && truth.metric == told.metric
                    && truth.bucket == of.bucket
            });
            rows.push(cells(told, of, truth));
        }
    }
    let head = [
        "users",
        "metric",
        "paper, VI-C",
        "paper, Table V",
        "here",
        "if planned",
        "truth",
        "inside",
    ];
    let title = format!("Table V: {} against {}", others(report).join(", "), report.control);
    let body = format!("{}\n{TABLE_5_NOTE}", grid(&head, rows, format));
    let mut text = String::new();
    section(&mut text, &title, &body, format);
    text
}

fn others(report: &Report) -> Vec<&str> {
    let names = report.buckets.iter().map(String::as_str);
    names.filter(|name| *name != report.control).collect()
}

fn cells(told: &Told, of: &Comparison, truth: Option<&TrueDifference>) -> Vec<String> {
    let shown = |cell: Option<String>| cell.unwrap_or_else(|| "-".into());
    vec![
        told.group.trim_end_matches(" users").into(),
        title(told.metric).into(),
        told.against_eta.into(),
        told.table_5.into(),
        shown(of.difference.map(|seen| percent(seen.relative))),
        shown(of.difference.map(|seen| interval(seen.interval))),
        shown(truth.and_then(|truth| truth.relative).map(percent)),
        shown(truth.and_then(|truth| truth.is_inside).map(yes)),
    ]
}

fn yes(is_so: bool) -> String {
    if is_so { "yes".into() } else { "no".into() }
}

const TRUTH_NOTE: &str = "Each bucket's column is what it would have earned with every user of the group in it: the same users lived the same days once more, all of them answered by that bucket's bundle of the day, with the same random numbers.";

/// What each bucket would have earned with every user in it, beside what the experiment saw.
pub fn truth(report: &Report, truth: &[TrueDifference], format: Format) -> String {
    let number = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.5}"));
    let share = |value: Option<f64>| value.map_or("-".into(), percent);
    let rows = truth.iter().map(|of| {
        vec![
            of.group.trim_end_matches(" users").into(),
            title(&of.metric).into(),
            number(of.control_value),
            number(of.bucket_value),
            share(of.relative),
            share(of.seen),
            of.is_inside.map_or("-".into(), yes),
            of.is_inside_always.map_or("-".into(), yes),
        ]
    });
    let (control, others) = (format!("all {}", report.control), others(report).join(", "));
    let others = format!("all {others}");
    let head: [&str; 8] =
        ["users", "metric", &control, &others, "truth", "seen", "in if planned", "in at any time"];
    let known = truth.iter().filter_map(|of| of.is_inside.zip(of.is_inside_always));
    let (all, planned, always) = known.fold((0, 0, 0), |(all, planned, always), of| {
        (all + 1, planned + u32::from(of.0), always + u32::from(of.1))
    });
    let body = format!(
        "{}\nOf {all} differences the truth lies in {planned} intervals of a planned look and in {always} of those for any time.\n{TRUTH_NOTE}",
        grid(&head, rows.collect(), format)
    );
    let mut text = String::new();
    section(&mut text, "The truth", &body, format);
    text
}

const SEEN_NOTE: &str = "For an effect of exactly the size that was seen, which is chance in part: of two experiments of the same buckets each asks for other days. Days with users as they came, a planned look, or looks at any time, without correction for several comparisons; - where more days bring nothing.";

/// How long an experiment has to be for the effects that were seen.
pub fn needs_of_seen(needs: &[(Goal, Need)], power: f64, format: Format) -> String {
    let rows = needs.iter().map(|(goal, need)| {
        vec![
            title(need.metric).into(),
            need.bucket.clone(),
            percent(goal.effect).trim_start_matches('+').into(),
            percent(need.standard_error).trim_start_matches('+').into(),
            format!("{:.0} %", 100.0 * Goal::power_at(goal.effect, need.standard_error)),
            format!("{:.0}", need.users),
            days(need.days),
            days(need.always_days),
        ]
    });
    let head = [
        "metric",
        "bucket",
        "effect seen",
        "error now",
        "power now",
        "users",
        "days if planned",
        "days at any time",
    ];
    let title = format!(
        "How long for the effect that was seen, with a probability of {:.0} %",
        100.0 * power
    );
    let body = format!("{}\n{SEEN_NOTE}", grid(&head, rows.collect(), format));
    let mut text = String::new();
    section(&mut text, &title, &body, format);
    text
}

/// In how many of several experiments the truth lay in the intervals.
pub fn coverage(found: &[Coverage], format: Format) -> String {
    let share = |inside: u64, all: u64| {
        format!("{inside} of {all} ({:.0} %)", 100.0 * inside as f64 / all as f64)
    };
    let head =
        ["metric", "in if planned", "in at any time", "truth, mean", "seen, mean", "error, mean"];
    let mut text = String::new();
    for group in [ALL_USERS, LOW_ACTIVE, HIGH_ACTIVE] {
        let rows = found.iter().filter(|of| of.group == group).map(|of| {
            vec![
                title(&of.metric).into(),
                share(of.inside, of.experiments),
                share(of.inside_always, of.experiments),
                percent(of.mean_truth),
                percent(of.mean_seen),
                percent(of.mean_standard_error).trim_start_matches('+').into(),
            ]
        });
        let mut rows: Vec<Vec<String>> = rows.collect();
        if !rows.is_empty() {
            let sum = |number: fn(&Coverage) -> u64| {
                found.iter().filter(|of| of.group == group).map(number).sum::<u64>()
            };
            let all = sum(|of| of.experiments);
            let [inside, always] = [sum(|of| of.inside), sum(|of| of.inside_always)];
            let together = ["together".into(), share(inside, all), share(always, all)];
            rows.push(together.into_iter().chain(std::iter::repeat_n("-".into(), 3)).collect());
            let title = format!("How often the truth lay within the intervals: {group}");
            section(&mut text, &title, &grid(&head, rows, format), format);
        }
    }
    text
}
