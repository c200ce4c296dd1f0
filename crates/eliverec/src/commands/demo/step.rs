//! Steps of the demo: command lines of this program, printed and run.

use std::ffi::OsString;
use std::path::Path;

use crate::commands::print;

/// What runs a command line of this program; the result is its exit code.
pub(super) type Runner = fn(Vec<OsString>) -> anyhow::Result<u8>;

/// A command line of this program.
pub(super) fn words(command: &str, paths: &[(&str, &Path)], rest: &[&str]) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec!["eliverec".into(), command.into()];
    for (name, path) in paths {
        words.extend([name.into(), path.into()]);
    }
    words.extend(rest.iter().map(Into::into));
    words
}

/// Prints a command line.
pub(super) fn show(words: &[OsString]) -> anyhow::Result<()> {
    let line: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    print(&format!("\n$ {}", line.join(" ")))
}

/// Prints a command line of this program and runs it.
pub(super) fn step(
    runner: Runner,
    command: &str,
    paths: &[(&str, &Path)],
    rest: &[&str],
) -> anyhow::Result<u8> {
    let words = words(command, paths, rest);
    show(&words)?;
    runner(words)
}
