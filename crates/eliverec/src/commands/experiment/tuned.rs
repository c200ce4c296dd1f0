//! What a search chose for a model, put into each of its rows.

use std::path::Path;

use eliverec_run::Error;
use toml::{Table, Value};

use crate::commands::read_text;

/// The keys of the model's file and their values, as overrides; `None` if there is no such file.
///
/// # Errors
/// [`Error::Config`] names a file that cannot be read.
pub(crate) fn of_model(folder: &Path, model: &str) -> Result<Option<Vec<String>>, Error> {
    let place = folder.display().to_string();
    if !folder.is_dir() {
        let reason = "is no folder; give one that `tune --write` has written files into".into();
        return Err(Error::Config { place, reason });
    }
    let path = folder.join(format!("{model}.toml"));
    let wrong = |reason: String| Error::Config { place: path.display().to_string(), reason };
    if !path.exists() {
        return Ok(None);
    }
    let text = read_text(&path)?;
    let table: Table = toml::from_str(&text).map_err(|error| wrong(error.message().into()))?;
    let mut settings = Vec::new();
    collect("", &table, &mut settings);
    match settings.iter().find(|setting| setting.starts_with("model.name=")) {
        // It would make other models of the rows without a word.
        Some(_) => Err(wrong("names a model; it may only have what was searched".into())),
        None => Ok(Some(settings)),
    }
}

fn collect(prefix: &str, table: &Table, settings: &mut Vec<String>) {
    for (key, value) in table {
        let key = format!("{prefix}{key}");
        match value {
            Value::Table(inner) => collect(&format!("{key}."), inner, settings),
            value => settings.push(format!("{key}={value}")),
        }
    }
}
