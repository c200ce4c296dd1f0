//! The space file: which keys are drawn from which ranges, how many configurations, and what each rung costs.
//!
//! One file serves every model: the budget and the ranges of `[range]` are all models', `[models.NAME]` adds a model's own keys.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::path::Path;

use eliverec_run::{Config, Error};
use serde::Deserialize;
use toml::{Table, Value};

use super::range::Range;
use crate::commands::read_text;

/// A search, as its file declares it.
#[derive(Debug)]
pub(super) struct Space {
    /// Names the file in errors.
    pub(super) place: String,
    /// Every draw derives from it.
    pub(super) seed: u64,
    /// The base config and the drawn ones.
    pub(super) configurations: usize,
    /// One in so many of a rung's configurations goes on to the next.
    pub(super) eta: usize,
    /// What a run of each rung may cost, rising.
    pub(super) rungs: Vec<Budget>,
    shared: Ranges,
    own: BTreeMap<String, Ranges>,
}

/// By dotted key.
type Ranges = BTreeMap<String, Range>;

/// What a run may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Budget {
    Epochs(u64),
    Updates(u64),
}

/// As it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    seed: u64,
    configurations: usize,
    eta: usize,
    epochs: Option<Vec<u64>>,
    updates: Option<Vec<u64>>,
    #[serde(default)]
    range: Table,
    #[serde(default)]
    models: BTreeMap<String, Table>,
}

/// More would be a mistake, and every one of them is held in memory.
const MOST_CONFIGURATIONS: usize = 1_000;

/// Keys that cannot be drawn, and why.
const FIXED: [(&str, &str); 6] = [
    ("preset", "it stands for many keys; set it in the base config"),
    ("seed", "a search over seeds chooses luck; set it in the base config"),
    ("model.name", "models are tuned one by one; give each its own --config"),
    ("training.epochs", "the rungs set it"),
    ("training.max_steps", "the rungs set it"),
    ("training.stop_metric", "configurations are compared by it; set it in the base config"),
];

impl Space {
    /// Reads a space file.
    ///
    /// # Errors
    /// [`Error::Config`] names the file and the key.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        Self::parse(&read_text(path)?, &path.display().to_string())
    }

    /// Reads the text of one; `place` names the file in errors.
    pub(super) fn parse(text: &str, place: &str) -> Result<Self, Error> {
        let wrong = |reason: &str| Error::Config { place: place.into(), reason: reason.into() };
        let written: Written = toml::from_str(text).map_err(|e| {
            let line = e.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
            let reason = e.message().split_whitespace().collect::<Vec<_>>().join(" ");
            Error::Config { place: format!("{place}: line {line}"), reason }
        })?;
        if !(2..=MOST_CONFIGURATIONS).contains(&written.configurations) {
            return Err(wrong(&format!(
                "configurations is {}; it must lie between 2 and {MOST_CONFIGURATIONS}",
                written.configurations
            )));
        }
        if written.eta < 2 {
            return Err(wrong("eta must be at least 2: one in so many goes on to the next rung"));
        }
        let (name, budgets, unit): (_, _, fn(u64) -> Budget) = match (
            written.epochs,
            written.updates,
        ) {
            (Some(epochs), None) => ("epochs", epochs, Budget::Epochs),
            (None, Some(updates)) => ("updates", updates, Budget::Updates),
            _ => {
                return Err(wrong(
                    "give either epochs or updates, a number for each rung, for example epochs = [1, 3, 9]",
                ));
            }
        };
        if budgets.first().is_none_or(|first| *first == 0) || !budgets.is_sorted_by(|a, b| a < b) {
            return Err(wrong(&format!(
                "{name} must be at least 1 and rise from rung to rung, for example {name} = [1, 3, 9]"
            )));
        }
        let mut shared = Ranges::new();
        collect("", written.range, &mut shared, &format!("{place}: [range]"))?;
        let mut own = BTreeMap::new();
        for (model, table) in written.models {
            let place = format!("{place}: [models.{model}]");
            // Only to hear whether there is such a model.
            Config::parse("", &place, &[format!("model.name={model}")])?;
            let mut ranges = Ranges::new();
            collect("", table, &mut ranges, &place)?;
            if let Some(key) = ranges.keys().find(|key| shared.contains_key(*key)) {
                let reason = format!("{key} has a range for all models already; remove one");
                return Err(Error::Config { place, reason });
            }
            own.insert(model, ranges);
        }
        if shared.is_empty() && own.values().all(Ranges::is_empty) {
            return Err(wrong(
                "has no range; add for example [range] training.learning_rate = { low = 0.001, high = 0.1, scale = \"log\" }",
            ));
        }
        Ok(Self {
            place: place.into(),
            seed: written.seed,
            configurations: written.configurations,
            eta: written.eta,
            rungs: budgets.into_iter().map(unit).collect(),
            shared,
            own,
        })
    }

    /// The ranges of a model, in the order of their keys.
    pub(super) fn ranges(&self, model: &str) -> Ranges {
        let mut ranges = self.shared.clone();
        ranges
            .extend(self.own.get(model).into_iter().flatten().map(|(k, r)| (k.clone(), r.clone())));
        ranges
    }

    /// How many configurations a rung of `n` hands to the next.
    pub(super) fn survivors(&self, n: usize) -> usize {
        (n / self.eta).max(1)
    }
}

impl Budget {
    /// The config of a run with this budget.
    pub(super) fn of(self, config: &Config) -> Config {
        let mut config = config.clone();
        match self {
            Self::Epochs(epochs) => config.training.epochs = epochs,
            Self::Updates(updates) => {
                config.training.max_steps = Some(updates);
                // An epoch has at least one update, so this many never end a run before.
                config.training.epochs = updates;
            }
        }
        config
    }
}

impl Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (n, unit) = match self {
            Self::Epochs(n) => (n, "epoch"),
            Self::Updates(n) => (n, "update"),
        };
        write!(f, "{n} {unit}{}", if *n == 1 { "" } else { "s" })
    }
}

/// The ranges in a table that is nested as a config is.
fn collect(path: &str, table: Table, found: &mut Ranges, place: &str) -> Result<(), Error> {
    for (key, value) in table {
        let path = if path.is_empty() { key } else { format!("{path}.{key}") };
        let wrong =
            |reason: String| Err(Error::Config { place: format!("{place} {path}"), reason });
        match value {
            Value::Table(inner) if !Range::KEYS.iter().any(|key| inner.contains_key(*key)) => {
                if inner.is_empty() {
                    return wrong("is empty; give values = [...], or low, high and scale".into());
                }
                collect(&path, inner, found, place)?;
            }
            Value::Table(inner) => {
                if let Some((_, why)) = FIXED.iter().find(|(fixed, _)| *fixed == path) {
                    return wrong(format!("cannot be drawn: {why}"));
                }
                match Range::read(inner) {
                    Err(reason) => return wrong(reason),
                    // Once as a dotted key and once quoted, which TOML takes for two.
                    Ok(_) if found.contains_key(&path) => return wrong("is there twice".into()),
                    Ok(range) => drop(found.insert(path, range)),
                }
            }
            other => {
                return wrong(format!(
                    "is {other}, not a range; give {{ values = [...] }}, or set it in the base config"
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        seed = 1
        configurations = 9
        eta = 3
        epochs = [1, 3, 9]
        [range]
        training.learning_rate = { low = 0.001, high = 0.1, scale = "log" }
        "store.learning_rate" = { low = 0.01, high = 0.1, scale = "log" }
        [models.elive]
        model.blocks = { values = [1, 2] }
    "#;

    fn message(text: &str) -> String {
        Space::parse(text, "space.toml").unwrap_err().to_string()
    }

    #[test]
    fn models_share_ranges_and_budget_and_add_their_own_keys() {
        let space = Space::parse(TEXT, "space.toml").unwrap();
        let keys = |model: &str| space.ranges(model).into_keys().collect::<Vec<_>>();
        assert_eq!(keys("eta"), ["store.learning_rate", "training.learning_rate"]);
        assert_eq!(
            keys("elive"),
            ["model.blocks", "store.learning_rate", "training.learning_rate"]
        );
        assert_eq!(space.rungs, [1, 3, 9].map(Budget::Epochs));
    }

    #[test]
    fn a_rung_hands_on_one_in_eta_and_never_nothing() {
        let space = Space::parse(TEXT, "space.toml").unwrap();
        let sizes = |n| {
            std::iter::successors(Some(n), |n| Some(space.survivors(*n)))
                .take(4)
                .collect::<Vec<usize>>()
        };
        assert_eq!(sizes(9), [9, 3, 1, 1]);
        assert_eq!(sizes(16), [16, 5, 1, 1]);
        assert_eq!(sizes(2), [2, 1, 1, 1]);
    }

    #[test]
    fn budgets_set_what_ends_a_run() {
        let base = Config::parse("[model]\nname = \"eta\"\n", "", &[]).unwrap();
        let epochs = Budget::Epochs(3).of(&base).training;
        assert_eq!((epochs.epochs, epochs.max_steps), (3, None));
        let updates = Budget::Updates(700).of(&base).training;
        assert_eq!((updates.epochs, updates.max_steps), (700, Some(700)));
    }

    #[test]
    fn what_is_wrong_is_named_with_file_and_key() {
        for (from, to, expected) in [
            ("seed = 1", "seed = [", "line 3"),
            ("seed = 1", "sede = 1", "sede"),
            ("seed = 1", "", "seed"),
            ("configurations = 9", "configurations = 1", "between 2 and 1000"),
            ("eta = 3", "eta = 1", "eta must be at least 2"),
            ("epochs = [1, 3, 9]", "", "either epochs or updates"),
            ("epochs = [1, 3, 9]", "epochs = [1]\nupdates = [1]", "either epochs or updates"),
            ("epochs = [1, 3, 9]", "epochs = [3, 3]", "rise from rung to rung"),
            ("epochs = [1, 3, 9]", "updates = []", "updates must be at least 1"),
            ("epochs = [1, 3, 9]", "epochs = [0, 3]", "epochs must be at least 1"),
            ("low = 0.001", "low = 1", "[range] training.learning_rate: low is 1"),
            ("training.learning_rate", "training.epochs", "the rungs set it"),
            ("training.learning_rate", "preset", "[range] preset: cannot be drawn"),
            ("{ values = [1, 2] }", "2", "[models.elive] model.blocks: is 2, not a range"),
            ("{ values = [1, 2] }", "{}", "model.blocks: is empty"),
            ("models.elive", "models.elife", "did you mean `elive`"),
            ("model.blocks", "store.learning_rate", "for all models already"),
            (
                "training.learning_rate",
                "store.learning_rate",
                "store.learning_rate: is there twice",
            ),
        ] {
            let message = message(&TEXT.replace(from, to));
            assert!(message.starts_with("space.toml: "), "{message}");
            assert!(message.contains(expected), "{expected}: {message}");
            assert_eq!(message.lines().count(), 1, "{message}");
        }
        let none = message("seed = 1\nconfigurations = 9\neta = 3\nepochs = [1]\n");
        assert!(none.contains("has no range"), "{none}");
    }
}
