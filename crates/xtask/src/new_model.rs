//! `cargo xtask new-model NAME`: a file in the zoo that compiles, its registry line, and an experiment. The battery over the
//! registry tests it from then on.

use std::path::Path;

use anyhow::{Context, Result, ensure};

const TEMPLATE: &str = include_str!("new_model.template");

pub(crate) fn create(name: &str) -> Result<()> {
    create_in(&crate::root()?, name)
}

fn create_in(root: &Path, name: &str) -> Result<()> {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    ensure!(plain, "{name:?}: a model's name is lower case letters and digits, such as \"hgn\"");
    let model: String = name[..1].to_uppercase() + &name[1..];
    let models = root.join("crates/eliverec-models/src");
    let file = models.join(format!("zoo/{name}.rs"));
    ensure!(!file.exists(), "{} exists already", file.display());

    let registry = models.join("registry.rs");
    let text = fs_err::read_to_string(&registry)?;
    let text = with_line_before(
        &text,
        "use crate::zoo::elive::",
        &format!("use crate::zoo::{name}::{{{model}, {model}Config}};"),
    )?;
    let line = format!("    \"{name}\" {model} {model}Config \"one line on what it does\",");
    let text = with_line_before(&text, "    \"elive\" Elive", &line)?;
    let zoo = models.join("zoo/mod.rs");
    let modules = fs_err::read_to_string(&zoo)?;
    let modules = with_line_before(&modules, "pub mod elive;", &format!("pub mod {name};"))?;

    fs_err::write(&file, TEMPLATE.replace("MODEL", &model).replace("NAME", name))?;
    fs_err::write(&registry, text)?;
    fs_err::write(&zoo, modules)?;
    let experiment = root.join(format!("experiments/quick/ebnerd-{name}.toml"));
    let example = fs_err::read_to_string(root.join("experiments/quick/ebnerd-din-both.toml"))?;
    fs_err::write(
        experiment,
        example
            .replace("\"din\"", &format!("\"{name}\""))
            .replace("ebnerd-din-both", &format!("ebnerd-{name}")),
    )?;
    Ok(())
}

fn with_line_before(text: &str, anchor: &str, line: &str) -> Result<String> {
    let at = text
        .find(anchor)
        .with_context(|| format!("found no line with {anchor:?} to put the new one before"))?;
    Ok(format!("{}{line}\n{}", &text[..at], &text[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_no_module_are_refused() {
        for name in ["", "Din", "my-model", "1st"] {
            assert!(create_in(Path::new("."), name).is_err(), "{name}");
        }
    }

    #[test]
    fn lines_are_put_before_their_anchor() {
        assert_eq!(with_line_before("a\nb\n", "b", "x").unwrap(), "a\nx\nb\n");
        assert!(with_line_before("a\n", "z", "x").is_err());
    }

    /// The anchors that `create_in` looks for stand where they should.
    #[test]
    fn a_new_model_gets_its_file_and_lines() {
        let root = crate::root().unwrap();
        let copy = std::env::temp_dir().join(format!("eliverec-new-model-{}", std::process::id()));
        for file in [
            "crates/eliverec-models/src/registry.rs",
            "crates/eliverec-models/src/zoo/mod.rs",
            "experiments/quick/ebnerd-din-both.toml",
        ] {
            let to = copy.join(file);
            fs_err::create_dir_all(to.parent().unwrap()).unwrap();
            fs_err::copy(root.join(file), to).unwrap();
        }
        create_in(&copy, "fresh").unwrap();
        let read = |file: &str| fs_err::read_to_string(copy.join(file)).unwrap();
        assert!(
            read("crates/eliverec-models/src/registry.rs").contains("\"fresh\" Fresh FreshConfig")
        );
        assert!(read("crates/eliverec-models/src/zoo/mod.rs").contains("pub mod fresh;"));
        assert!(read("crates/eliverec-models/src/zoo/fresh.rs").contains("pub struct FreshConfig"));
        assert!(read("experiments/quick/ebnerd-fresh.toml").contains("\"fresh\""));
        fs_err::remove_dir_all(copy).unwrap();
    }
}
