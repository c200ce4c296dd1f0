//! What a benchmark takes: files that it removes again, and memory.

use std::path::Path;

use anyhow::Context;

/// Removes what a benchmark wrote.
pub(super) fn clear(path: &Path) -> anyhow::Result<()> {
    match fs_err::remove_dir_all(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e).context("bench"),
        _ => Ok(()),
    }
}

/// The most memory that the process has had, by the system's own account where there is one.
pub(super) fn peak_memory_mib() -> Option<u64> {
    let status = fs_err::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib >> 10)
}
