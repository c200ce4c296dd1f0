//! From the log to feeds, by tasks (`eliverec samples --phase`).

use super::{GIB, HOUR};
use crate::asked::Asked;
use crate::line::Line;
use crate::measured::{Measured, Samples};

/// The most tasks of a phase, as the command has it.
const MOST_TASKS: u32 = 256;

/// Seconds of a job whose phases have so many tasks each, all of which run at once.
fn seconds(of: &Samples, impressions: f64, tasks: u32) -> f64 {
    let read = of.channels_read_s.value + of.users_read_s.value;
    let shared = (of.channels_s.value + of.users_s.value) / f64::from(tasks);
    impressions * (read + shared + of.feeds_s.value)
}

pub(crate) fn lines(asked: &Asked, measured: &Measured) -> Vec<Line> {
    let (of, impressions) = (&measured.samples, asked.impressions());
    let deadline = asked.sample_hours * HOUR * asked.utilisation;
    let takes = |tasks: &u32| seconds(of, impressions, *tasks) <= deadline;
    let fewest = (1..=MOST_TASKS).find(takes);
    let tasks = fewest.unwrap_or(MOST_TASKS);
    let time = [&of.channels_read_s, &of.users_read_s, &of.channels_s, &of.users_s, &of.feeds_s];
    let mut of_tasks = Line::new(
        "samples",
        "tasks of each phase",
        (f64::from(tasks), "tasks"),
        "the fewest N with impressions x (channels_read_s + users_read_s + (channels_s + users_s) / N + feeds_s) <= sample_hours x 3600 x utilisation",
        &time,
    );
    if fewest.is_none() {
        of_tasks.value = None;
        let hours = seconds(of, impressions, MOST_TASKS) / HOUR;
        of_tasks.note = Some(format!(
            "{MOST_TASKS} tasks, the most, take {hours:.1} h; allow more hours, or cut the days among jobs (--from, --to); the lines below are of {MOST_TASKS}"
        ));
    }
    let exchanged = impressions * of.exchange_bytes.value;
    let log = impressions * of.log_bytes.value;
    let count = f64::from(tasks);
    vec![
        of_tasks,
        Line::new(
            "samples",
            "time of the job",
            (seconds(of, impressions, tasks) / HOUR, "h"),
            "impressions x (channels_read_s + users_read_s + (channels_s + users_s) / N + feeds_s)",
            &time,
        ),
        Line::new(
            "samples",
            "of it, time that no further task shortens",
            (
                impressions * (of.channels_read_s.value + of.users_read_s.value + of.feeds_s.value)
                    / HOUR,
                "h",
            ),
            "impressions x (channels_read_s + users_read_s + feeds_s)",
            &[&of.channels_read_s, &of.users_read_s, &of.feeds_s],
        ),
        Line::new(
            "samples",
            "cores",
            (count * of.threads.value, "cores"),
            "N x sample_threads",
            &[&of.threads],
        ),
        Line::new(
            "samples",
            "memory",
            (count * of.memory_mib.value / 1_024.0, "GiB"),
            "N x sample_memory",
            &[&of.memory_mib],
        ),
        Line::new(
            "samples",
            "disk that tasks leave for one another",
            (exchanged / GIB, "GiB"),
            "impressions x exchange_bytes",
            &[&of.exchange_bytes],
        ),
        Line::new(
            "samples",
            "network, all of the job",
            ((2.0 * count * log + 2.0 * exchanged) / GIB, "GiB"),
            "2 N x impressions x log_bytes + 2 x impressions x exchange_bytes",
            &[&of.log_bytes, &of.exchange_bytes],
        ),
        Line::new(
            "samples",
            "disk of the feeds",
            (impressions * of.feeds_bytes.value / GIB, "GiB"),
            "impressions x feeds_bytes",
            &[&of.feeds_bytes],
        ),
    ]
}
