//! Labels from which nothing can be learnt or measured.

use eliverec_core::feed::Labels;
use eliverec_core::task::{Task, TaskKind};
use eliverec_core::{Feed, Schema};

use super::family::Family;
use super::finding::{Check, Findings, Level, level_of, percent, share};
use super::sample::{Magnitudes, SampledIds};
use crate::layout::Split;

/// A split that knows one outcome.
pub(super) const ONE_CLASS: Check = Check {
    name: "one_class",
    finds: "a split in which nothing, or everything, is watched",
    advice: "write every candidate that was shown with watched = 1 or 0, those that were passed over included",
};

/// Feeds that no metric within feeds can use.
pub(super) const FEEDS_OF_ONE_CLASS: Check = Check {
    name: "feeds_of_one_class",
    finds: "a split of whose feeds more than half (a warning: nine tenths) are watched throughout or not at all: gauc_feed and the ranking metrics leave them out",
    advice: "check that a feed is one request with everything that it showed, and not one row per impression",
};

/// Users that no metric within users can use.
pub(super) const USERS_OF_ONE_CLASS: Check = Check {
    name: "users_of_one_class",
    finds: "a split of whose users more than half (a warning: nine tenths) watched everything or nothing: gauc_user leaves them out",
    advice: "take more days into the split, or judge by auc",
};

/// A label that is nowhere known.
pub(super) const LABEL_MISSING: Check = Check {
    name: "label_missing",
    finds: "feeds without labels, or a label of the inter-channel tasks that is unknown for watched impressions of training",
    advice: "give the task the name of its label's column, or take the [[task]] out of schema.toml; `eliverec score` takes feeds without labels, training does not",
};

/// A label that says nothing.
pub(super) const LABEL_CONSTANT: Check = Check {
    name: "label_constant",
    finds: "a label of the inter-channel tasks that is the same for all watched impressions: a stay of 0, a click that never or always happens",
    advice: "fill the label, or leave its column out: a task that learns a constant takes weight from the others",
};

/// Stays in milliseconds.
pub(super) const STAY_UNIT: Check = Check {
    name: "stay_unit",
    finds: "a duration, such as stay_s, with a median above ten hours: milliseconds instead of seconds",
    advice: "write the label in seconds: divide by 1000",
};

/// Users remembered of a split.
const MOST_USERS: usize = 1 << 18;
/// Fewer labels may be alike by chance.
const FEWEST: u64 = 20;
/// Seconds, above which a median stay is none.
const LONGEST_STAY_S: f32 = 10.0 * 3600.0;

/// The labels of every split.
#[derive(Debug)]
pub(super) struct LabelColumns {
    tasks: Vec<Task>,
    splits: [Seen; Split::ALL.len()],
}

#[derive(Debug)]
struct Seen {
    feeds: u64,
    unlabelled: u64,
    impressions: u64,
    watched: u64,
    feeds_of_one_class: u64,
    /// Bit 0: passed something over; bit 1: watched something.
    users: SampledIds<u8>,
    /// In the order of the schema's tasks.
    tasks: Vec<OfTask>,
}

/// A task's label over the watched impressions.
#[derive(Debug, Default)]
struct OfTask {
    known: u64,
    /// Those that are not 0.
    some: u64,
    magnitudes: Option<Box<Magnitudes>>,
}

impl LabelColumns {
    pub(super) fn new(schema: &Schema) -> Self {
        let of_task = |task: &Task| OfTask {
            magnitudes: (task.kind == TaskKind::Duration).then(Box::default),
            ..OfTask::default()
        };
        let seen = |_| Seen {
            feeds: 0,
            unlabelled: 0,
            impressions: 0,
            watched: 0,
            feeds_of_one_class: 0,
            users: SampledIds::new(MOST_USERS),
            tasks: schema.task.iter().map(of_task).collect(),
        };
        Self { tasks: schema.task.clone(), splits: Split::ALL.map(seen) }
    }
}

impl Seen {
    fn add(&mut self, user_id: u64, labels: &Labels) {
        let impressions = labels.watched.len() as u64;
        let watched = labels.watched.iter().filter(|watched| **watched).count() as u64;
        self.impressions += impressions;
        self.watched += watched;
        self.feeds_of_one_class += u64::from(watched == 0 || watched == impressions);
        if let Some(classes) = self.users.entry(user_id) {
            *classes |= u8::from(watched < impressions) | u8::from(watched > 0) << 1;
        }
        for (i, _) in labels.watched.iter().enumerate().filter(|(_, watched)| **watched) {
            for (of_task, labels) in self.tasks.iter_mut().zip(&labels.tasks) {
                let Some(label) = labels[i] else { continue };
                of_task.known += 1;
                of_task.some += u64::from(label != 0.0);
                if let Some(magnitudes) = &mut of_task.magnitudes {
                    magnitudes.add(label);
                }
            }
        }
    }
}

impl Family for LabelColumns {
    fn feed(&mut self, split: Split, feed: &Feed) {
        let seen = &mut self.splits[split as usize];
        seen.feeds += 1;
        match &feed.candidates.labels {
            Some(labels) => seen.add(feed.user_id, labels),
            None => seen.unlabelled += 1,
        }
    }

    fn tell(&self, findings: &mut Findings) {
        for split in Split::ALL {
            let seen = &self.splits[split as usize];
            if seen.unlabelled > 0 {
                let says = format!("{} of {} feeds have no labels", seen.unlabelled, seen.feeds);
                let counts = (seen.unlabelled, seen.feeds);
                findings.add(&LABEL_MISSING, Level::Note, split.name(), counts, says);
            }
            if seen.impressions == 0 {
                continue;
            }
            if seen.watched == 0 || seen.watched == seen.impressions {
                let says = match seen.watched {
                    0 => format!("nothing is watched among {} impressions", seen.impressions),
                    _ => format!("all {} impressions are watched", seen.impressions),
                };
                let counts = (seen.impressions, seen.impressions);
                findings.add(&ONE_CLASS, Level::Severe, split.name(), counts, says);
                continue;
            }
            tell_of_classes(split, seen, findings);
            self.tell_of_tasks(split, seen, findings);
        }
    }

    fn covers(&self) -> Option<String> {
        let users = self.splits.iter().map(|seen| &seen.users).max_by_key(|users| users.one_in());
        users.map(|users| format!("classes per user: {}", users.part("users")))
    }
}

fn tell_of_classes(split: Split, seen: &Seen, findings: &mut Findings) {
    let labelled = seen.feeds - seen.unlabelled;
    let one = seen.feeds_of_one_class;
    if let Some(level) = level_of(share(one, labelled), 0.5, 0.9, f64::INFINITY) {
        let says = format!("{} of {labelled} feeds know one outcome only", percent(one, labelled));
        findings.add(&FEEDS_OF_ONE_CLASS, level, split.name(), (one, labelled), says);
    }
    let (users, one_in) = (seen.users.len(), seen.users.one_in());
    let one = seen.users.values().filter(|classes| **classes != 0b11).count() as u64;
    if let Some(level) = level_of(share(one, users), 0.5, 0.9, f64::INFINITY) {
        let counts = (one * one_in, users * one_in);
        let says = format!("{} of {} users know one outcome only", percent(one, users), counts.1);
        findings.add(&USERS_OF_ONE_CLASS, level, split.name(), counts, says);
    }
}

impl LabelColumns {
    fn tell_of_tasks(&self, split: Split, seen: &Seen, findings: &mut Findings) {
        for (task, of_task) in self.tasks.iter().zip(&seen.tasks) {
            let place = format!("{split}: candidates.{}", task.column());
            let OfTask { known, some, magnitudes } = of_task;
            let (known, some) = (*known, *some);
            // What is learnt is learnt from training.
            if known < seen.watched && split == Split::Train {
                let missing = seen.watched - known;
                let says = format!("unknown for {missing} of {} watched impressions", seen.watched);
                // The paper's tasks stand in schemas that say nothing of tasks; others were asked for.
                let asked_for = known == 0 && self.tasks != Task::paper();
                let level = if asked_for { Level::Warning } else { Level::Note };
                findings.add(&LABEL_MISSING, level, &place, (missing, seen.watched), says);
            }
            if known < FEWEST {
                continue;
            }
            let constant = match task.kind {
                TaskKind::Duration => (some == 0).then_some("0 for all"),
                TaskKind::Binary if some == 0 => Some("never true for"),
                TaskKind::Binary => (some == known).then_some("always true for"),
            };
            if let Some(constant) = constant {
                let says = format!("{constant} {known} watched impressions");
                findings.add(&LABEL_CONSTANT, Level::Warning, &place, (known, known), says);
            }
            let median = magnitudes.as_ref().map_or(0.0, |of| of.median_of_others());
            if median > LONGEST_STAY_S {
                let long = magnitudes.as_ref().map_or(0, |of| of.above(LONGEST_STAY_S));
                let says = format!("the median is about {:.0} hours", median / 3600.0);
                findings.add(&STAY_UNIT, Level::Warning, &place, (long, known), says);
            }
        }
    }
}
