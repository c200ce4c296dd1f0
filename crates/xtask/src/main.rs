//! Repository chores: `cargo xtask check` runs everything a change must pass, cheapest first.

mod budgets;
mod cycles;
mod layers;
mod new_model;
mod repository;
mod tables;

use std::process::{Command, ExitCode};

use anyhow::{Result, bail};

use repository::root;

const HELP: &str = "\
cargo xtask check            format, layers, cycles, file budgets, tables of the documentation, clippy, tests
cargo xtask check --no-tests the same without the tests
cargo xtask layers           which crate may depend on which
cargo xtask cycles           no file of a crate stands on one that stands on it
cargo xtask budgets          files over 400 lines need a reason in their module docs
cargo xtask tables           cuts the tables of the documentation from the reports again
cargo xtask new-model NAME   writes the model's file, registry line and experiment
";

#[expect(clippy::print_stderr, reason = "a command line tool talks on stderr")]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments[..] {
        ["check"] => check(true),
        ["check", "--no-tests"] => check(false),
        ["layers"] => layers::check(),
        ["cycles"] => cycles::check(),
        ["budgets"] => budgets::check(),
        ["tables"] => root().and_then(|root| tables::fill(&root, false)),
        ["new-model", name] => new_model::create(name),
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn check(tests: bool) -> Result<()> {
    cargo(&["fmt", "--all", "--check"])?;
    layers::check()?;
    cycles::check()?;
    budgets::check()?;
    tables::fill(&root()?, true)?;
    cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    if tests {
        cargo(&["test", "--workspace"])?;
    }
    Ok(())
}

#[expect(clippy::print_stderr, reason = "says what runs")]
fn cargo(arguments: &[&str]) -> Result<()> {
    eprintln!("$ cargo {}", arguments.join(" "));
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(arguments)
        .status()?;
    if !status.success() {
        bail!("cargo {} failed", arguments.join(" "));
    }
    Ok(())
}
