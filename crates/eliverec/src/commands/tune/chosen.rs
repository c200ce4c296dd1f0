//! The files of the chosen config, below a comment that says where it comes from: the whole of it, which `eliverec train` reads, and
//! its searched keys alone, which `eliverec experiment --tuned` puts into every row of the model.

use std::path::Path;

use eliverec_run::Config;

use super::trials::value_of;

/// Where a config comes from.
pub(super) struct Origin<'a> {
    /// As typed.
    pub(super) command: String,
    pub(super) data_fingerprint: &'a str,
    /// How many were tried, and how.
    pub(super) search: String,
    /// What was measured.
    pub(super) result: String,
}

/// The text of the whole config.
pub(super) fn whole(origin: &Origin<'_>, config: &Config) -> String {
    format!("{}\n{}", comment(origin, config), config.to_toml())
}

/// The text of its values of `keys`.
pub(super) fn searched(origin: &Origin<'_>, config: &Config, keys: &[String]) -> String {
    let line = |key: &String| Some(format!("{key} = {}\n", value_of(config, key)?));
    let lines: String = keys.iter().filter_map(line).collect();
    format!("{}\n{lines}", comment(origin, config))
}

fn comment(origin: &Origin<'_>, config: &Config) -> String {
    let lines = [
        format!("{}, chosen on the validation split by", config.model.name()),
        String::new(),
        format!("  {}", origin.command),
        String::new(),
        format!("Feeds {}. {}", origin.data_fingerprint, origin.search),
        origin.result.clone(),
    ];
    let mut text = String::new();
    for line in lines {
        // A path may hold what a comment may not.
        let line = line.replace(char::is_control, " ");
        text.push_str(format!("# {line}").trim_end());
        text.push('\n');
    }
    text
}

/// A search's command line from its ranges, its options that are paths and its overrides, quoted for a shell.
pub(super) fn command(
    space: &Path,
    paths: &[(&str, Option<&Path>)],
    overrides: &[String],
) -> String {
    let mut words = vec!["eliverec".to_string(), "tune".into(), path(space)];
    for (name, value) in paths {
        words.extend(value.iter().flat_map(|value| [(*name).to_string(), path(value)]));
    }
    words.extend(overrides.iter().map(|word| quoted(word)));
    words.join(" ")
}

fn path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

/// A word as a shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_reads_back_as_the_config_whatever_the_command_was() {
        let config = Config::parse("[model]\nname = \"eta\"\n", "", &["seed=9".into()]).unwrap();
        let origin = Origin {
            command: "eliverec tune 'odd\nname'".into(),
            data_fingerprint: "0123",
            search: "3 tried.".into(),
            result: "0.7".into(),
        };
        let text = whole(&origin, &config);
        assert!(text.starts_with("# eta, chosen on the validation split by\n#\n#   eliverec tune"));
        assert_eq!(Config::parse(&text, "", &[]).unwrap(), config);
        let keys = ["store.learning_rate".into(), "seed".into(), "store.id_dropout".into()];
        let text = searched(&origin, &config, &keys);
        assert!(text.starts_with("# eta, chosen on the validation split by\n#\n#   eliverec tune"));
        assert!(
            text.ends_with("\n\nstore.learning_rate = 0.05\nseed = 9\nstore.id_dropout = 0.0\n"),
            "{text}"
        );
    }

    #[test]
    fn words_are_quoted_where_a_shell_would_split_them() {
        assert_eq!(quoted("training.epochs=2"), "training.epochs=2");
        assert_eq!(quoted("tower.widths=[8, 4]"), "'tower.widths=[8, 4]'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
