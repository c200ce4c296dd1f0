//! By what a run knows its own files again: a flipped bit in weights, moments or settings gives other numbers that look as good.
//!
//! The commit point holds them, so they change with what they are of, and its own among them, of its text without that. Rows have
//! checksums of their own, in the store's files.

use std::collections::BTreeMap;
use std::path::Path;

use eliverec_core::checksum::Checksum;
use eliverec_core::regular;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::kept;
use crate::run::{COMMIT_FILE, DENSE_FILE, RunDirectory, SETTLED_FILES};

/// Size and checksum of files by their names below the run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Checksums(BTreeMap<String, String>);

impl Checksums {
    /// Of what stands in a run from its beginning, and of the weights of some checkpoints. What the commit `before` knows is taken
    /// over, so that a file that has been damaged since is not taken for good. The config of a run that is being made comes last,
    /// and with the next commit.
    ///
    /// # Errors
    /// What the file system says.
    pub(crate) fn of(
        run: &RunDirectory,
        before: Option<&Self>,
        checkpoints: &[&str],
    ) -> Result<Self, Error> {
        let mut all = Self::default();
        for name in names(checkpoints) {
            let known = before.and_then(|before| before.0.get(&name)).cloned();
            let path = run.path().join(&name);
            if let Some(mark) = known {
                all.0.insert(name, mark);
            } else if path.exists() {
                all.0.insert(name, mark(&path)?);
            }
        }
        Ok(all)
    }

    /// Compares what stands in a run from its beginning, and the weights of some checkpoints.
    ///
    /// # Errors
    /// [`Error::Damaged`] names the file that has changed.
    pub(crate) fn check(&self, run: &RunDirectory, checkpoints: &[&str]) -> Result<(), Error> {
        for name in names(checkpoints) {
            let path = run.path().join(&name);
            if let Some(known) = self.0.get(&name)
                && *known != mark(&path)?
            {
                let reason = "has changed since it was written (its checksum is wrong)".into();
                return Err(Error::Damaged { path, reason });
            }
        }
        Ok(())
    }

    /// Whether the commit point that holds them has this text; true for one of a program that did not keep its checksum.
    pub(crate) fn are_of(&self, text: &str) -> bool {
        self.0.get(COMMIT_FILE).is_none_or(|own| of_text(&text.replacen(own, "", 1)) == *own)
    }

    /// With another one of the commit point.
    pub(crate) fn with_own(mut self, own: String) -> Self {
        self.0.insert(COMMIT_FILE.into(), own);
        self
    }
}

/// Size and checksum of a text.
pub(crate) fn of_text(text: &str) -> String {
    let mut checksum = Checksum::default();
    checksum.update(text.as_bytes());
    written(text.len() as u64, &checksum)
}

fn written(bytes: u64, checksum: &Checksum) -> String {
    format!("{bytes} bytes, content {:016x}", checksum.value())
}

fn names(checkpoints: &[&str]) -> impl Iterator<Item = String> {
    let dense = checkpoints.iter().map(|checkpoint| format!("{checkpoint}/{DENSE_FILE}"));
    SETTLED_FILES.into_iter().map(String::from).chain(dense)
}

fn mark(path: &Path) -> Result<String, Error> {
    let file = regular::open(path).map_err(|error| kept::of_the_run(path, error))?;
    let (bytes, checksum) = Checksum::of(file).map_err(|error| kept::of_the_run(path, error))?;
    Ok(written(bytes, &checksum))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_of_a_file_counts_and_what_was_known_stays_known() {
        let directory = tempfile::tempdir().unwrap();
        let run = RunDirectory::at(directory.path());
        let step = "checkpoints/step-1";
        fs_err::create_dir_all(run.path().join(step)).unwrap();
        let dense = format!("{step}/{DENSE_FILE}");
        for name in ["config.toml", "normalization.json", &dense] {
            fs_err::write(run.path().join(name), format!("content of {name}")).unwrap();
        }
        let known = Checksums::of(&run, None, &[step]).unwrap();
        known.check(&run, &[step]).unwrap();
        for name in ["config.toml", "normalization.json", &dense] {
            let path = run.path().join(name);
            let whole = fs_err::read(&path).unwrap();
            let mut flipped = whole.clone();
            *flipped.last_mut().unwrap() ^= 0x80;
            for changed in [flipped, [whole.as_slice(), &[0]].concat()] {
                fs_err::write(&path, changed).unwrap();
                let error = known.check(&run, &[step]).unwrap_err();
                assert!(
                    matches!(&error, Error::Damaged { path: of, .. } if *of == path),
                    "{error}"
                );
                assert_eq!(Checksums::of(&run, Some(&known), &[step]).unwrap(), known);
            }
            fs_err::write(&path, whole).unwrap();
        }
        // Of other checkpoints nothing is said.
        assert_ne!(Checksums::of(&run, Some(&known), &[]).unwrap(), known);
        known.check(&run, &[]).unwrap();
    }
}
