//! Whether a log is the one that feeds were made of.

use std::collections::BTreeMap;
use std::path::Path;

use eliverec_tables::check::{Finding, Level};
use eliverec_tables::events::EventLog;

use crate::error::Error;
use crate::made_of::{LogFiles, MADE_OF_FILE, MadeOf};

/// Tells that a log is not the one that the feeds of a directory were made of: a file of a day that both have is another, or has come
/// or gone. Days that a log has got since, or dropped at its beginning, are none of this, nor is a log of feeds that do not say what they
/// were made of.
///
/// # Errors
/// Files that cannot be read.
pub fn other_log(feeds: &Path, log: &EventLog) -> Result<Option<Finding>, Error> {
    let Some(made) = MadeOf::read(&feeds.join(MADE_OF_FILE), &BTreeMap::new())? else {
        return Ok(None);
    };
    let now = LogFiles::of(log)?.up_to(made.files.last());
    Ok(now.first_change(&made.files, None).map(|(day, why)| Finding {
        check: "log_differs",
        level: Level::Warning,
        place: day.to_string(),
        says: format!("the log is not as it was when the feeds were made: {why}"),
        count: 1,
        of: 1,
        advice: "give the log that the feeds were made of, or make them again of this one",
    }))
}
