//! The settings of a directory of feeds, kept beside them.

use std::path::Path;

use eliverec_features::FeatureConfig;
use eliverec_tables::layout::SAMPLES_FILES;

use crate::config::Recipe;
use crate::error::Error;
use crate::text_file::read;

/// The settings that the feeds of a directory were made with.
pub const RECIPE_FILE: &str = SAMPLES_FILES[0];

/// The settings as they are kept.
pub(crate) fn settings_text(path: &Path, recipe: &Recipe) -> Result<String, Error> {
    toml::to_string(recipe)
        .map_err(|e| Error::Feeds { path: path.into(), reason: format!("cannot be written: {e}") })
}

/// Refuses other settings than those that are kept; whether any are.
pub(crate) fn check_recipe(path: &Path, recipe: &Recipe) -> Result<bool, Error> {
    let text = settings_text(path, recipe)?;
    match read(path)? {
        None => Ok(false),
        Some(there) if there == text => Ok(true),
        Some(there) => {
            parse_recipe(path, &there)?;
            let reason = format!(
                "the feeds there were made with other settings ({}); choose another directory",
                other_settings(&there, &text).join(", ")
            );
            Err(Error::Feeds { path: path.into(), reason })
        }
    }
}

/// The lines of settings that feeds were made with and are others now, and the names of those that they were made without.
fn other_settings(there: &str, now: &str) -> Vec<String> {
    let name = |line: &str| line.split_once(" = ").map(|(name, _)| name.to_owned());
    let has = |text: &str, of: &str| text.lines().any(|line| name(line).is_some_and(|n| n == of));
    let others = there.lines().filter(|line| !now.lines().any(|of_now| of_now == *line));
    let without = now.lines().filter_map(name).filter(|of| !has(there, of));
    others.map(str::to_owned).chain(without.map(|of| format!("no {of}"))).collect()
}

/// The settings of the folds that the feeds of a directory were made with; `None` if they were not made by
/// [`samples`](crate::samples).
///
/// # Errors
/// Settings that do not parse.
pub fn feature_settings(feeds: &Path) -> Result<Option<FeatureConfig>, Error> {
    let file = feeds.join(RECIPE_FILE);
    if !file.exists() {
        return Ok(None);
    }
    Ok(Some(read_recipe(&file)?.features))
}

/// The settings that the feeds beside it were made with.
pub(crate) fn read_recipe(path: &Path) -> Result<Recipe, Error> {
    let wrong = |reason: String| Error::Feeds { path: path.into(), reason };
    let text = read(path)?.ok_or_else(|| {
        wrong("is not there, so the feeds beside it were not made by `eliverec samples`".into())
    })?;
    parse_recipe(path, &text)
}

fn parse_recipe(path: &Path, text: &str) -> Result<Recipe, Error> {
    toml::from_str(text).map_err(|e| Error::Damaged {
        path: path.into(),
        reason: format!("does not parse: {}", e.message()),
    })
}
