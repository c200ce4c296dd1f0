//! `preset = "paper"` at the top of a config file, or as an override: values for the keys that neither sets.
//!
//! Overrides come before the file, the file before the preset, the preset before the defaults. A resolved config has every
//! value and names no preset, so a run stays what it was when a preset changes.

use toml::{Table, Value};

use crate::suggestion::suggestion;

/// The key at the top of a config.
pub(crate) const KEY: &str = "preset";

/// Presets by name, each with its text: tables as in a config file, a model's own keys in `[models.NAME]`.
pub const PRESETS: [(&str, &str); 2] = [
    // What a config gets that says nothing.
    ("default", ""),
    ("paper", include_str!("presets/paper.toml")),
];

/// Takes the preset out of `config` and puts its values for `model` where `config` has none.
///
/// # Errors
/// A sentence that names the presets there are, for any other.
pub(crate) fn resolve(config: &mut Table, model: &str) -> Result<(), String> {
    let Some(asked) = config.remove(KEY) else { return Ok(()) };
    let names = PRESETS.map(|(name, _)| name);
    let Value::String(asked) = asked else {
        return Err(format!("preset is {asked}; it must be a name, one of {}", names.join(", ")));
    };
    let Some((_, text)) = PRESETS.iter().find(|(name, _)| *name == asked) else {
        let suggestion = suggestion(&asked, names.into_iter());
        return Err(format!("unknown preset `{asked}`; {suggestion}"));
    };
    let mut preset: Table = text.parse().expect("a preset is TOML");
    if let Some(Value::Table(mut models)) = preset.remove("models") {
        preset.extend(models.remove(model).map(|own| ("model".to_string(), own)));
    }
    fill(config, preset);
    Ok(())
}

fn fill(table: &mut Table, values: Table) {
    for (key, value) in values {
        match (table.get_mut(&key), value) {
            (None, value) => drop(table.insert(key, value)),
            (Some(Value::Table(inner)), Value::Table(values)) => fill(inner, values),
            (Some(_), _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use eliverec_models::registry::{MODELS, ModelConfig};
    use eliverec_models::zoo::elive::EliveConfig;

    use super::*;
    use crate::Config;
    use crate::tasks::{GradientScope, WeightUpdate};

    fn parse(text: &str, assignments: &[&str]) -> Config {
        let assignments: Vec<String> = assignments.iter().map(|a| (*a).into()).collect();
        Config::parse(text, "paper.toml", &assignments).unwrap()
    }

    fn elive(config: &Config) -> &EliveConfig {
        let ModelConfig::Elive(elive) = &config.model else { panic!("{:?}", config.model) };
        elive
    }

    #[test]
    fn paper_says_what_the_paper_says() {
        let config = parse("preset = \"paper\"\n[model]\nname = \"elive\"\n", &[]);
        assert_eq!(config.input.width, 128);
        assert_eq!((config.input.product_length, config.input.channel_length), (50, 50));
        assert_eq!(config.training.batch_impressions, 2_048);
        assert_eq!((config.training.learning_rate, config.store.learning_rate), (0.05, 0.05));
        assert_eq!((config.training.warmup_steps, config.training.clip_norm), (0, None));
        assert_eq!((elive(&config).heads, elive(&config).temperature), (8, 0.5));
        assert_eq!(config.tasks.gradient_scope, GradientScope::Parameters);
        assert_eq!(config.tasks.weight_update, WeightUpdate::Joint);
    }

    #[test]
    fn overrides_come_before_the_file_the_file_before_the_preset() {
        const FILE: &str = "preset = \"paper\"\n[model]\nname = \"elive\"\nheads = 4\n\
                            [input]\nwidth = 64\n[training]\nwarmup_steps = 7\n";
        let overrides = ["input.width=32", "training.epochs=9", "model.temperature=0.1"];
        let config = parse(FILE, &overrides);
        assert_eq!(config.input.width, 32, "override before file");
        assert_eq!(elive(&config).temperature, 0.1, "override before preset");
        assert_eq!(elive(&config).heads, 4, "file before preset");
        assert_eq!(config.training.warmup_steps, 7, "file before preset");
        assert_eq!(config.training.learning_rate, 0.05, "preset before default");
        assert_eq!(config.training.patience, 2, "the default where nothing else speaks");
        // An override may choose the preset, before or after those of keys.
        assert_eq!(parse(FILE, &["preset=default"]).training.learning_rate, 0.01);
        let unset = FILE.replace("preset = \"paper\"\n", "");
        let chosen = ["input.width=32", "preset=paper", "training.epochs=9"];
        assert_eq!(parse(&unset, &[&chosen[..], &overrides].concat()), config);
    }

    #[test]
    fn a_resolved_preset_is_complete_and_reads_back_equal() {
        for (preset, _) in PRESETS {
            for (model, _) in MODELS {
                let text = format!("preset = \"{preset}\"\n[model]\nname = \"{model}\"\n");
                let config = parse(&text, &[]);
                let resolved = config.to_toml();
                assert!(!resolved.contains(KEY), "{resolved}");
                assert_eq!(parse(&resolved, &[]), config);
                let default = parse(&format!("[model]\nname = \"{model}\"\n"), &[]);
                assert_eq!(default == config, preset == "default", "{preset} {model}");
            }
        }
    }

    #[test]
    fn an_unknown_preset_names_those_there_are() {
        let message = |preset: &str| {
            let text = format!("preset = {preset}\n[model]\nname = \"din\"\n");
            Config::parse(&text, "mine.toml", &[]).unwrap_err().to_string()
        };
        for (preset, parts) in [
            ("\"papre\"", ["mine.toml", "did you mean `paper`", "default, paper"]),
            ("\"xyz\"", ["mine.toml", "unknown preset `xyz`", "default, paper"]),
            ("128", ["mine.toml", "preset is 128", "default, paper"]),
        ] {
            let message = message(preset);
            assert!(parts.iter().all(|part| message.contains(part)), "{message}");
            assert_eq!(message.lines().count(), 1, "{message}");
        }
    }
}
