//! Which runs have the same numbers: by their config, by their feeds. The digits that results carry, and kept results have had since
//! before [`eliverec_run::feeds_read`], which names the file where they differ.

use std::fmt::Write as _;
use std::path::PathBuf;

use eliverec_core::id::text_id;
use eliverec_run::Config;
use eliverec_run::config::TrainingConfig;
use eliverec_tables::FeedDirectory;
use eliverec_train::Error;
use toml::{Table, Value};

/// Keys of options that are gone (`docs/decisions.md`), with what they said where they did nothing.
const GONE: [(&str, &str, &str); 4] = [
    ("model", "intention_scale", "none"),
    ("model", "retrieval_scale", "none"),
    ("tower", "field_norm", "none"),
    ("tasks", "cosine_rows", "watched"),
];

/// The keys in which a run of the `resolved` config has other numbers than one of `config`. A config written before an option
/// existed means the option's default.
///
/// # Errors
/// A config that asks for an option that is gone: no run has its numbers any more.
pub(super) fn differences(resolved: &str, config: &Config) -> Result<Vec<String>, Error> {
    Ok(numbers_of(&kept(resolved)?).differences(&numbers_of(config)))
}

/// The config of a kept result, without the keys of options that are gone where these did nothing.
fn kept(resolved: &str) -> Result<Config, Error> {
    let place = "a result";
    let Ok(mut config) = resolved.parse::<Table>() else {
        return Ok(Config::parse(resolved, place, &[])?);
    };
    for (table, key, nothing) in GONE {
        let Some(table) = config.get_mut(table).and_then(Value::as_table_mut) else { continue };
        if table.get(key).and_then(Value::as_str) == Some(nothing) {
            table.remove(key);
        }
    }
    Ok(Config::parse(&config.to_string(), place, &[])?)
}

/// The config with what changes no number at its default.
fn numbers_of(config: &Config) -> Config {
    let mut config = config.clone();
    let defaults = TrainingConfig::default();
    config.training.threads = defaults.threads;
    config.training.log_every_steps = defaults.log_every_steps;
    config.training.checkpoint_every_steps = defaults.checkpoint_every_steps;
    config
}

/// Of what gives a run of the config its numbers.
pub(super) fn of_config(config: &Config) -> String {
    format!("{:016x}", text_id(&numbers_of(config).to_toml()))
}

/// Of the schema, and of the name and content of every file that is read, by its hash.
pub(super) fn of_feeds(feeds: &FeedDirectory, hashes: &[(PathBuf, u64)]) -> String {
    let mut text = feeds.schema().to_toml();
    for (file, hash) in hashes {
        let name = file.strip_prefix(feeds.path()).unwrap_or(file).display();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name} {hash:016x}");
    }
    format!("{:016x}", text_id(&text))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::commands::experiment::tuned::of_model;

    /// Options come and go, presets are added: the results that are kept must stay those of the experiments that are kept, or be of
    /// an option that is gone.
    #[test]
    fn kept_results_are_those_of_the_kept_experiments() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let inside = |path: &Path| -> Vec<PathBuf> {
            fs_err::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect()
        };
        let folders = |path: &Path| inside(path).into_iter().filter(|path| path.is_dir());
        let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
        let tuned = |data: &Path| root.join("experiments/tuned").join(name(data));
        let mut compared = 0;
        for data in folders(&root.join("results")) {
            for results in folders(&data) {
                let folder = format!("experiments/{}", name(&results));
                let found = eliverec_report::Results::read(&results).unwrap();
                for result in found.iter().flat_map(eliverec_report::Results::runs) {
                    let file = format!("{folder}/{}.toml", result.row);
                    if !root.join(&file).exists() {
                        assert!(
                            kept(&result.config).is_err(),
                            "{file} is gone, its options are not"
                        );
                        continue;
                    }
                    let text = fs_err::read_to_string(root.join(&file)).unwrap();
                    let seed = vec![format!("seed={}", result.seed)];
                    let config = Config::parse(&text, &file, &seed).unwrap();
                    let mut found = differences(&result.config, &config).unwrap();
                    // Made with what was chosen for the model on that set?
                    if !found.is_empty()
                        && let Some(chosen) = of_model(&tuned(&data), config.model.name()).unwrap()
                    {
                        let settings = [chosen, seed].concat();
                        let config = Config::parse(&text, &file, &settings).unwrap();
                        found = differences(&result.config, &config).unwrap();
                    }
                    assert_eq!(found, [""; 0], "{file}");
                    compared += 1;
                }
            }
        }
        assert!(compared > 0);
    }

    /// What an option that is gone did makes a result nobody's; that it did nothing changes none.
    #[test]
    fn options_that_are_gone_count_where_they_did_something() {
        let config = Config::parse("[model]\nname = \"elive\"\n", "", &[]).unwrap();
        for (table, key, nothing) in GONE {
            let of = |value: &str| {
                let mut resolved: Table = config.to_toml().parse().unwrap();
                let table = resolved.entry(table).or_insert_with(|| Table::new().into());
                table.as_table_mut().unwrap().insert(key.into(), value.into());
                differences(&resolved.to_string(), &config)
            };
            assert_eq!(of(nothing).unwrap(), [""; 0]);
            let error = of("layer").unwrap_err().to_string();
            assert!(error.contains(&format!("unknown field `{key}`")), "{error}");
        }
    }

    /// A preset is not part of a config, only its values are.
    #[test]
    fn a_preset_counts_by_its_values() {
        let of = |text: &str| {
            let text = format!("{text}\n[model]\nname = \"elive\"\n");
            of_config(&Config::parse(&text, "", &[]).unwrap())
        };
        assert_eq!(of("preset = \"default\""), of(""));
        assert_ne!(of("preset = \"paper\""), of(""));
    }
}
