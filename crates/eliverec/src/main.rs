//! The command line of eliverec: one file per command under `commands/`.

mod allocator;
mod commands;
mod exit;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

pub(crate) use exit::{FAILED, INTERRUPTED, OK};

/// Trains and evaluates eLiveRec, a recommender of live channels.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Examples:
  eliverec demo
  eliverec import ebnerd --from ../shared/data/ebnerd-demo --out work/ebnerd
  eliverec inspect work/ebnerd
  eliverec train --config experiments/quick/ebnerd-elive.toml --feeds work/ebnerd --out work/run
  eliverec evaluate --run work/run --feeds work/ebnerd --json
  eliverec score --run work/run --feeds work/ebnerd --out work/scores.parquet
  eliverec export --run work/run --feeds work/ebnerd --out work/bundle
  eliverec serve --bundle demo/bundle --state work/state

Exit codes:
  0    done
  1    failed: a number that is none, a damaged run, bundle, result or state, an experiment whose users are not in its buckets by
       their shares, a full disk
  2    wrong input or usage: the message names file, row and field, or the key
  130  interrupted (Ctrl-C); training has written a checkpoint, --resume goes on";

#[derive(Debug, Subcommand)]
enum Command {
    Demo(commands::demo::Arguments),
    Import(commands::import::Arguments),
    Check(commands::check::Arguments),
    Inspect(commands::inspect::Arguments),
    Simulate(commands::simulate::Arguments),
    Samples(commands::samples::Arguments),
    Replay(commands::replay::Arguments),
    Train(commands::train::Arguments),
    Evaluate(commands::evaluate::Arguments),
    Score(commands::score::Arguments),
    Explain(commands::explain::Arguments),
    CaseStudy(commands::case_study::Arguments),
    Export(commands::export::Arguments),
    Bundle(commands::bundle::Arguments),
    Serve(commands::serve::Arguments),
    Ab(commands::ab::Arguments),
    Experiment(commands::experiment::Arguments),
    Tune(commands::tune::Arguments),
    Report(commands::report::Arguments),
    Disentangling(commands::disentangling::Arguments),
    Retrieval(commands::retrieval::Arguments),
    Bench(commands::bench::Arguments),
    Plan(commands::plan::Arguments),
    Completions(commands::completions::Arguments),
}

fn main() -> ExitCode {
    allocator::keep_freed_memory();
    let code = run(Cli::parse()).unwrap_or_else(|error| {
        // Nobody is left to tell if standard error is closed.
        let _ = writeln!(std::io::stderr(), "error: {}", exit::line(&error));
        exit::code(&error)
    });
    ExitCode::from(code)
}

/// Runs a command; the result is its exit code.
fn run(cli: Cli) -> anyhow::Result<u8> {
    match cli.command {
        Command::Demo(arguments) => {
            commands::demo::run(&arguments, |words| run(Cli::try_parse_from(words)?))
        }
        Command::Import(arguments) => commands::import::run(&arguments),
        Command::Check(arguments) => commands::check::run(&arguments),
        Command::Inspect(arguments) => commands::inspect::run(&arguments),
        Command::Samples(arguments) => commands::samples::run(&arguments),
        Command::Simulate(arguments) => commands::simulate::run(&arguments),
        Command::Replay(arguments) => commands::replay::run(&arguments),
        Command::Train(arguments) => commands::train::run(&arguments),
        Command::Evaluate(arguments) => commands::evaluate::run(&arguments),
        Command::Score(arguments) => commands::score::run(&arguments),
        Command::Explain(arguments) => commands::explain::run(&arguments),
        Command::CaseStudy(arguments) => commands::case_study::run(&arguments),
        Command::Export(arguments) => commands::export::run(&arguments),
        Command::Bundle(arguments) => commands::bundle::run(&arguments),
        Command::Serve(arguments) => commands::serve::run(&arguments),
        Command::Ab(arguments) => commands::ab::run(&arguments),
        Command::Experiment(arguments) => commands::experiment::run(&arguments),
        Command::Tune(arguments) => commands::tune::run(&arguments),
        Command::Report(arguments) => commands::report::run(&arguments),
        Command::Disentangling(arguments) => commands::disentangling::run(&arguments),
        Command::Retrieval(arguments) => commands::retrieval::run(&arguments),
        Command::Bench(arguments) => commands::bench::run(&arguments),
        Command::Plan(arguments) => commands::plan::run(&arguments),
        Command::Completions(arguments) => {
            commands::completions::run(&arguments, &mut Cli::command())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_examples() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let name = command.get_name();
            assert!(help.contains(&format!("eliverec {name}")), "{name} has no example");
        }
    }
}
