//! `key=value` on the command line: one dotted key of the config file, replaced before it is read.

use toml::{Table, Value};

use crate::error::Error;

/// Puts `key=value` into `table`, making the tables on the way. Values are TOML; what is not TOML is a string, so that
/// `model.name=din` needs no quotes.
///
/// # Errors
/// [`Error::Config`] if there is no `=`, a key is empty, or the path leads through a value that is no table.
pub fn apply(table: &mut Table, assignment: &str) -> Result<(), Error> {
    let wrong = |reason: String| Err(wrong(assignment, reason));
    let Some((path, value)) = assignment.split_once('=') else {
        return wrong("write it as key=value, for example training.epochs=2".into());
    };
    let mut keys: Vec<&str> = path.split('.').map(str::trim).collect();
    let last = keys.pop().unwrap_or_default();
    if last.is_empty() || keys.iter().any(|key| key.is_empty()) {
        return wrong("a key is empty; write for example training.epochs=2".into());
    }
    let mut table = table;
    for key in keys {
        let entry = table.entry(key).or_insert_with(|| Value::Table(Table::new()));
        match entry {
            Value::Table(inner) => table = inner,
            _ => return wrong(format!("{key} is a value, not a table of the config")),
        }
    }
    table.insert(last.into(), parse(value.trim()));
    Ok(())
}

/// An override is at fault.
pub(crate) fn wrong(assignment: &str, reason: String) -> Error {
    Error::Config { place: format!("override {assignment:?}"), reason }
}

fn parse(text: &str) -> Value {
    let parsed = format!("value = {text}").parse::<Table>().ok();
    parsed
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::String(text.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(assignment: &str) -> Table {
        let mut table: Table = "seed = 1\n[training]\nepochs = 5\n".parse().unwrap();
        apply(&mut table, assignment).unwrap();
        table
    }

    #[test]
    fn values_keep_their_types() {
        assert_eq!(applied("training.epochs=2")["training"]["epochs"], Value::Integer(2));
        assert_eq!(applied("seed=3")["seed"], Value::Integer(3));
        assert_eq!(applied("model.name=din")["model"]["name"], Value::String("din".into()));
        assert_eq!(applied("tower.widths=[8, 4]")["tower"]["widths"].as_array().unwrap().len(), 2);
        assert_eq!(applied("store.learning_rate=0.1")["store"]["learning_rate"], 0.1.into());
    }

    #[test]
    fn what_cannot_be_applied_is_named() {
        for (assignment, expected) in
            [("epochs", "key=value"), ("training.=1", "empty"), ("seed.x=1", "seed is a value")]
        {
            let message = apply(&mut applied("seed=2"), assignment).unwrap_err().to_string();
            assert!(message.contains(assignment) && message.contains(expected), "{message}");
        }
    }
}
