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

/// Bytes of all files below a directory.
pub(super) fn bytes_below(directory: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in fs_err::read_dir(directory)? {
        let path = entry?.path();
        bytes += if path.is_dir() { bytes_below(&path)? } else { fs_err::metadata(path)?.len() };
    }
    Ok(bytes)
}

/// The most memory that the process has had, by the system's own account where there is one.
pub(super) fn peak_memory_mib() -> Option<u64> {
    let status = fs_err::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib >> 10)
}
