//! Whether the days of a feed directory are there as they were written: a replay compares the requests that it finds, and those of a
//! day that is gone, or of a file that was emptied, are not among them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use eliverec_tables::Split;
use eliverec_tables::check::{Finding, Level};
use eliverec_tables::events::Day;

use crate::error::Error;
use crate::judge::OTHER_FILE;
use crate::made_of::{MADE_OF_FILE, MadeOf, mark_of};
use crate::publish::{day_of, files};

/// What is said of a day whose file is gone.
const GONE: &str = "its file of feeds is not there";

/// Days whose feeds are not those that were made, and why.
pub type DifferingDays = BTreeMap<Day, String>;

/// Compares the files of days in the folders of the splits with what was kept of them when they were made. Feeds that do not say what
/// they were made of give no days, and a finding.
///
/// # Errors
/// Files that cannot be read.
pub(crate) fn differing_days(feeds: &Path) -> Result<(DifferingDays, Option<Finding>), Error> {
    let mut there = BTreeMap::new();
    for split in Split::ALL {
        for file in files(&feeds.join(split.name()))? {
            if let Some(day) = day_of(&file) {
                there.insert(day, mark_of(&file)?);
            }
        }
    }
    let Some(made) = MadeOf::read(&feeds.join(MADE_OF_FILE), &there)? else {
        return Ok((DifferingDays::new(), Some(not_known(there.len() as u64))));
    };
    let days: BTreeSet<Day> = made.days.keys().chain(there.keys()).copied().collect();
    let why = |day: Day| match (made.days.get(&day).map(|made| &made.mark), there.get(&day)) {
        (Some(_), None) => Some(GONE.to_owned()),
        (None, Some(_)) => Some(format!("{MADE_OF_FILE} does not have it")),
        (made, there) => (made != there).then(|| OTHER_FILE.to_owned()),
    };
    Ok((days.into_iter().filter_map(|day| Some((day, why(day)?))).collect(), None))
}

/// Tells days whose feeds were made and are gone. Looks at names only; feeds that do not say which days there should be give nothing.
///
/// # Errors
/// Files that cannot be read.
pub fn missing_days(feeds: &Path) -> Result<Option<Finding>, Error> {
    let Some(made) = MadeOf::read(&feeds.join(MADE_OF_FILE), &BTreeMap::new())? else {
        return Ok(None);
    };
    let mut there = BTreeSet::new();
    for split in Split::ALL {
        there.extend(files(&feeds.join(split.name()))?.iter().filter_map(|file| day_of(file)));
    }
    let gone: Vec<String> =
        made.days.keys().filter(|day| !there.contains(day)).map(Day::to_string).collect();
    Ok((!gone.is_empty()).then(|| Finding {
        check: "days_missing",
        level: Level::Warning,
        place: gone[0].clone(),
        says: format!(
            "{MADE_OF_FILE} has {} days whose feeds are not there: {}",
            gone.len(),
            gone.join(", ")
        ),
        count: gone.len() as u64,
        of: made.days.len() as u64,
        advice: "run `eliverec samples` again, which makes missing days; in another folder to have others than all days",
    }))
}

fn not_known(days: u64) -> Finding {
    Finding {
        check: "days_not_known",
        level: Level::Warning,
        place: "feeds".into(),
        says: format!(
            "{MADE_OF_FILE} is not there to tell which days were made: what is there is compared; days, requests and candidates that are missing, and positions, are not noticed"
        ),
        count: days,
        of: days,
        advice: "make the feeds again with `eliverec samples`, which writes that file",
    }
}
