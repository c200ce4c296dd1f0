//! The settings of the first start, kept beside what was made with them.

use std::path::Path;

use eliverec_run::{Error, durable};

/// Keeps the settings of the first start in a file of `out`, and refuses others.
pub(super) fn check(out: &Path, file: &str, settings: &str) -> anyhow::Result<()> {
    let path = out.join(file);
    match fs_err::read_to_string(&path) {
        Ok(first) if first == settings => Ok(()),
        Ok(first) => Err(Error::Run {
            path: out.into(),
            reason: format!(
                "was made with {}; start with the same, give another --out, or remove it",
                first.trim_end().replace('\n', ", ")
            ),
        }
        .into()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Ok(durable::write(&path, settings.as_bytes())?)
        }
        Err(error) => Err(error.into()),
    }
}
