//! Files stay readable: one over 400 lines says why in its module docs, in a sentence with the words "This file is long".

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::repository::root;

const BUDGET: usize = 400;
const REASON: &str = "This file is long";

/// Looks through every source file of the workspace.
pub(crate) fn check() -> Result<()> {
    let root = root()?;
    let mut files = Vec::new();
    for folder in ["crates", "python/src"] {
        collect(&root.join(folder), &mut files)?;
    }
    files.sort();
    let mut over = Vec::new();
    for file in files {
        let text = fs_err::read_to_string(&file)?;
        if let Some(lines) = excess(&text) {
            over.push(format!(
                "{} has {lines} lines",
                file.strip_prefix(&root).unwrap_or(&file).display()
            ));
        }
    }
    if !over.is_empty() {
        bail!("over {BUDGET} lines without a reason:\n  {}", over.join("\n  "));
    }
    Ok(())
}

fn excess(text: &str) -> Option<usize> {
    let lines = text.lines().count();
    let mut docs = text.lines().take_while(|line| line.starts_with("//!"));
    (lines > BUDGET && !docs.any(|line| line.contains(REASON))).then_some(lines)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_long_files_without_a_reason_are_over() {
        let long = "let x = 1;\n".repeat(401);
        assert_eq!(excess(&long), Some(401));
        assert_eq!(excess(&format!("//! {REASON}: a flat list.\n{long}")), None);
        assert_eq!(excess("fn main() {}\n"), None);
    }
}
