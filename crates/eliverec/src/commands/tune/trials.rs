//! The configurations of a search: the base config and what is drawn around it, all checked before anything runs.

use eliverec_run::{Config, Error};
use toml::{Table, Value};

use super::range::Range;
use super::space::{Budget, Space};

/// The config that a search begins with, and its text, in which drawn keys are replaced.
#[derive(Debug)]
pub(super) struct Base {
    text: String,
    place: String,
    overrides: Vec<String>,
    /// Itself.
    pub(super) config: Config,
}

impl Base {
    /// Reads the text of a config file; `place` names it in errors.
    ///
    /// # Errors
    /// As [`Config::parse`].
    pub(super) fn parse(text: String, place: String, overrides: &[String]) -> Result<Self, Error> {
        let config = Config::parse(&text, &place, overrides)?;
        Ok(Self { text, place, overrides: overrides.into(), config })
    }

    /// The keys that `space` draws for this config's model, and the configurations: the base config itself, so that what
    /// stands is tried with the rest, then the drawn ones.
    ///
    /// # Errors
    /// [`Error::Config`] names a range that the model or the config cannot have.
    pub(super) fn trials(&self, space: &Space) -> Result<(Vec<String>, Vec<Config>), Error> {
        let model = self.config.model.name();
        let ranges = space.ranges(model);
        if ranges.is_empty() {
            let reason =
                format!("has no range for {model}; add one to [range] or [models.{model}]");
            return Err(Error::Config { place: space.place.clone(), reason });
        }
        if matches!(space.rungs[0], Budget::Epochs(_)) && self.config.training.max_steps.is_some() {
            let reason = format!(
                "training.max_steps would end the rungs of {} early; take it out, or give the rungs as updates",
                space.place
            );
            return Err(Error::Config { place: self.place.clone(), reason });
        }
        let n = space.configurations - 1;
        let mut drawn = vec![Vec::new(); n];
        for (key, range) in &ranges {
            self.check(key, range).map_err(|reason| Error::Config {
                place: format!("{}: {key}", space.place),
                reason,
            })?;
            for (assignments, value) in drawn.iter_mut().zip(range.draw(space.seed, key, n)) {
                assignments.push(format!("{key}={value}"));
            }
        }
        let mut trials = vec![self.config.clone()];
        for assignments in &drawn {
            trials.push(self.with(assignments)?);
        }
        Ok((ranges.into_keys().collect(), trials))
    }

    /// Whether the config takes the ends of a range, with all other keys as they are.
    fn check(&self, key: &str, range: &Range) -> Result<(), String> {
        for value in range.ends() {
            let config = self.with(&[format!("{key}={value}")]).map_err(|e| e.to_string())?;
            let whole = matches!(range, Range::Between { whole: true, .. });
            if whole && value_of(&config, key).is_some_and(|value| value.is_float()) {
                return Err(
                    "is a number with a fraction; write low and high with one, as 1.0".into()
                );
            }
        }
        Ok(())
    }

    fn with(&self, assignments: &[String]) -> Result<Config, Error> {
        Config::parse(&self.text, &self.place, &[&self.overrides, assignments].concat())
    }
}

/// The value of a dotted key; `None` if it is unset or its table is at its defaults.
pub(super) fn value_of(config: &Config, key: &str) -> Option<Value> {
    let mut table: Table = config.to_toml().parse().ok()?;
    let (tables, last) = key.rsplit_once('.').unwrap_or(("", key));
    for name in tables.split('.').filter(|name| !name.is_empty()) {
        match table.remove(name)? {
            Value::Table(inner) => table = inner,
            _ => return None,
        }
    }
    table.remove(last)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const ELIVE: &str = "[model]\nname = \"elive\"\nheads = 4\n";

    fn base(text: &str, overrides: &[&str]) -> Base {
        let overrides: Vec<String> = overrides.iter().map(|&o| o.into()).collect();
        Base::parse(text.into(), "base.toml".into(), &overrides).unwrap()
    }

    fn space(ranges: &str) -> Space {
        let head = "seed = 1\nconfigurations = 5\neta = 2\nepochs = [1, 2]\n[range]\n";
        Space::parse(&format!("{head}{ranges}"), "space.toml").unwrap()
    }

    const RATE: &str = "training.learning_rate = { low = 0.001, high = 0.1, scale = \"log\" }\n";

    #[test]
    fn the_first_is_the_base_and_models_share_draws() {
        let own = "[models.elive]\nmodel.blocks = { values = [1, 2, 3] }\n";
        let space = space(&format!("{RATE}{own}"));
        let (keys, elive) = base(ELIVE, &["seed=7"]).trials(&space).unwrap();
        assert_eq!(keys, ["model.blocks", "training.learning_rate"]);
        let (_, eta) = base("[model]\nname = \"eta\"\n", &[]).trials(&space).unwrap();
        assert_eq!((elive.len(), eta.len()), (5, 5));
        assert_eq!(elive[0], base(ELIVE, &["seed=7"]).config);
        let rates = |trials: &[Config]| {
            trials.iter().map(|config| config.training.learning_rate).collect::<Vec<f32>>()
        };
        assert_eq!(rates(&elive), rates(&eta));
        assert!(elive.iter().all(|config| config.seed == 7));
        assert_eq!(base(ELIVE, &["seed=7"]).trials(&space).unwrap().1, elive);
    }

    #[test]
    fn values_are_found_by_their_key_and_stay_short() {
        let config = base(ELIVE, &["training.learning_rate=0.0123"]).config;
        let text = |key| value_of(&config, key).map(|value| value.to_string());
        assert_eq!(text("training.learning_rate").unwrap(), "0.0123");
        assert_eq!(text("model.heads").unwrap(), "4");
        assert_eq!(text("training.clip_norm"), None);
        assert_eq!(text("nowhere.at.all"), None);
    }

    #[test]
    fn ranges_that_do_not_fit_are_named_with_their_key() {
        for (text, ranges, expected) in [
            (
                "eta",
                "model.blocks = { values = [1] }",
                "model.blocks: override \"model.blocks=1\": unknown",
            ),
            ("eta", "training.lerning_rate = { values = [1] }", "did you mean `learning_rate`"),
            ("eta", "training.patience = { values = [\"many\"] }", "training.patience"),
            ("eta", "store.learning_rate = { values = [-1.0] }", "store.learning_rate"),
            ("eta", "store.id_dropout = { low = 0, high = 1, scale = \"linear\" }", "as 1.0"),
            ("eta", "[models.elive]\nmodel.blocks = { values = [1] }", "no range for eta"),
        ] {
            let base = base(&format!("[model]\nname = \"{text}\"\n"), &[]);
            let message = base.trials(&space(ranges)).unwrap_err().to_string();
            assert!(message.starts_with("space.toml"), "{message}");
            assert!(message.contains(expected), "{expected}: {message}");
        }
        let capped = base(ELIVE, &["training.max_steps=5"]);
        let message = capped.trials(&space(RATE)).unwrap_err().to_string();
        assert!(message.contains("base.toml") && message.contains("max_steps"), "{message}");
    }

    #[test]
    fn the_space_that_is_shipped_fits_every_quick_experiment() {
        let experiments = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments");
        let space = Space::read(&experiments.join("tune/space.toml")).unwrap();
        for entry in fs_err::read_dir(experiments.join("quick")).unwrap() {
            let file = entry.unwrap().path();
            if file.extension().is_some_and(|ending| ending == "toml") {
                let text = fs_err::read_to_string(&file).unwrap();
                let base = Base::parse(text, file.display().to_string(), &[]).unwrap();
                base.trials(&space).unwrap();
            }
        }
    }
}
