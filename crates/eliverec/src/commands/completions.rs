//! `eliverec completions`: a script that completes commands and options in a shell.

use clap_complete::Shell;

use super::print;

/// Print shell completions
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  eliverec completions bash > ~/.local/share/bash-completion/completions/eliverec"
)]
pub(crate) struct Arguments {
    /// Which shell
    shell: Shell,
}

/// `cli` is what is completed: the whole command line, with this command in it.
pub(crate) fn run(arguments: &Arguments, cli: &mut clap::Command) -> anyhow::Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, cli, "eliverec", &mut script);
    print(&String::from_utf8(script)?)?;
    Ok(crate::OK)
}
