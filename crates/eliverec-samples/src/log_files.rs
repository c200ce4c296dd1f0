//! The files of a log, by what they are known again by.

use std::collections::{BTreeMap, BTreeSet};

use eliverec_core::checksum::Checksum;
use eliverec_tables::events::{Day, EventLog, Marks};

use crate::error::Error;

/// The files of a log.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct LogFiles {
    pub(crate) tables: Marks,
    /// By day of arrival.
    pub(crate) days: BTreeMap<Day, Marks>,
}

impl LogFiles {
    pub(crate) fn of(log: &EventLog) -> Result<Self, Error> {
        let days = log.days().map(|day| Ok((day, log.marks(day)?)));
        Ok(Self { tables: log.table_marks()?, days: days.collect::<Result<_, Error>>()? })
    }

    /// The first day that has arrivals.
    pub(crate) fn first(&self) -> Option<Day> {
        self.days.keys().next().copied()
    }

    /// The last day that has arrivals.
    pub(crate) fn last(&self) -> Option<Day> {
        self.days.keys().next_back().copied()
    }

    /// Without the days after one.
    pub(crate) fn up_to(mut self, last: Option<Day>) -> Self {
        self.days.retain(|day, _| Some(*day) <= last);
        self
    }

    /// The first day of arrival, from `from` on, whose files are not those of `before`, and which of them.
    pub(crate) fn first_change(&self, before: &Self, from: Option<Day>) -> Option<(Day, String)> {
        let days: BTreeSet<Day> = before.days.keys().chain(self.days.keys()).copied().collect();
        days.into_iter().filter(|day| from <= Some(*day)).find_map(|day| {
            let none = Marks::new();
            let of =
                |files: &'_ Self| files.days.get(&day).cloned().unwrap_or_else(|| none.clone());
            Some((day, difference(&of(self), &of(before))?))
        })
    }

    /// By what the tables are known together.
    pub(crate) fn known_tables(&self) -> String {
        let mut checksum = Checksum::default();
        for (name, mark) in &self.tables {
            checksum.update(format!("{name}: {mark}\n").as_bytes());
        }
        format!("{:016x}", checksum.value())
    }

    /// Which table is not the one that it was, and how.
    pub(crate) fn other_table(&self, before: &Self) -> Option<String> {
        difference(&self.tables, &before.tables)
    }

    /// With the days that the log had before its first one now.
    pub(crate) fn with_dropped(mut self, before: &Self) -> Self {
        if let Some(first) = self.first() {
            let dropped = before.days.range(..first);
            self.days.extend(dropped.map(|(day, marks)| (*day, marks.clone())));
        }
        self
    }
}

/// The first name whose mark is another, and how.
fn difference(now: &Marks, before: &Marks) -> Option<String> {
    let names: BTreeSet<&String> = now.keys().chain(before.keys()).collect();
    names.into_iter().find_map(|name| match (now.get(name), before.get(name)) {
        (Some(_), None) => Some(format!("{name} has come")),
        (None, Some(_)) => Some(format!("{name} is gone")),
        (now, before) => (now != before).then(|| format!("{name} has changed")),
    })
}
