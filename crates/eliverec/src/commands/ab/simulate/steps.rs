//! Commands of this program that are run on the way, each in a process of its own: what a person would call, word by word.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use super::folder::Folder;
use crate::commands::tell;

/// A command line of this program, on its way.
#[derive(Debug)]
pub(super) struct Step {
    words: Vec<OsString>,
}

impl Step {
    pub(super) fn new(command: &str) -> Self {
        Self { words: vec![command.into()] }
    }

    /// An option with a path or a word.
    #[must_use]
    pub(super) fn with(mut self, option: &str, value: impl AsRef<Path>) -> Self {
        self.words.extend([option.into(), value.as_ref().into()]);
        self
    }

    /// Words as they are.
    #[must_use]
    pub(super) fn words<W: Into<OsString>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        self.words.extend(words.into_iter().map(Into::into));
        self
    }

    /// Tells the command line, and runs it; what it prints is kept under a name.
    pub(super) fn run(&self, folder: &Folder, name: &str) -> anyhow::Result<()> {
        let line: Vec<_> = self.words.iter().map(|word| word.to_string_lossy()).collect();
        let line = format!("eliverec {}", line.join(" "));
        tell(&format!("$ {line}"));
        let program = std::env::current_exe().context("the path of this program")?;
        let path = folder.told(name);
        let file = fs_err::File::create(&path)?.into_parts().0;
        let mut command = Command::new(program);
        command.args(&self.words).stdin(Stdio::null());
        let status = command.stdout(file.try_clone()?).stderr(file).status();
        let status = status.with_context(|| line.clone())?;
        if status.success() {
            return Ok(());
        }
        let told = fs_err::read_to_string(&path).unwrap_or_default();
        let last = told.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it told nothing");
        bail!("{line}: ended with {status}: {last}; {} has the rest", path.display())
    }
}
