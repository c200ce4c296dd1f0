//! Where the repository lies.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

/// The repository's root, two folders above this crate.
pub(crate) fn root() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.ancestors().nth(2).filter(|root| root.join("Cargo.lock").exists());
    ensure!(root.is_some(), "{} is not inside the workspace", here.display());
    Ok(root.map(Path::to_path_buf).unwrap_or_default())
}
