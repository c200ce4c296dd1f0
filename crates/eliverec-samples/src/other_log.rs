//! Whether a log is the one that feeds were made of.

use std::collections::BTreeMap;
use std::path::Path;

use eliverec_tables::check::{Finding, Level};
use eliverec_tables::events::EventLog;

use crate::error::Error;
use crate::judge::{OTHER_TABLES, longer};
use crate::log_files::LogFiles;
use crate::made_of::{MADE_OF_FILE, MadeOf};
use crate::recipe_file::{RECIPE_FILE, read_recipe};

/// Tells that a log is not the one that the feeds of a directory were made of: a file of a day that they drew on is another, or has come
/// or gone, also at the log's beginning, or a table is another. Days that a log has got since are none of this, nor is a log of feeds
/// that do not say what they were made of.
///
/// # Errors
/// Files that cannot be read.
pub fn other_log(feeds: &Path, log: &EventLog) -> Result<Vec<Finding>, Error> {
    let Some(made) = MadeOf::read(&feeds.join(MADE_OF_FILE), &BTreeMap::new())? else {
        return Ok(Vec::new());
    };
    let recipe = feeds.join(RECIPE_FILE);
    let from = if recipe.exists() { read_recipe(&recipe)?.first_day() } else { None };
    let now = LogFiles::of(log)?.up_to(made.files.last());
    let finding = |place: String, why: String| Finding {
        check: "log_differs",
        level: Level::Warning,
        place,
        says: format!("the log is not as it was when the feeds were made: {why}"),
        count: 1,
        of: 1,
        advice: "give the log that the feeds were made of, or make them again of this one",
    };
    let shorter = || {
        let first = now.first().max(from)?;
        let mut days = made.days.iter();
        days.find_map(|(day, made)| Some((*day, longer(made.log_from.max(from)?, first)?)))
    };
    let day = now.first_change(&made.files, from).or_else(shorter);
    let day = day.map(|(day, why)| finding(day.to_string(), why));
    let tables = now.known_tables();
    let is_other = made.days.values().any(|day| day.tables != tables);
    let why = || now.other_table(&made.files).unwrap_or_else(|| OTHER_TABLES.to_owned());
    let table = is_other.then(|| finding("tables".into(), why()));
    Ok(day.into_iter().chain(table).collect())
}
