//! What the feeds of a directory are known again by ([`FeedsRead`]). Reads them all, files on as many threads as there are.

use std::path::Path;

use eliverec_core::checksum::Checksum;
use eliverec_run::RunDirectory;
use eliverec_run::feeds_read::{FeedsRead, FileRead};
use eliverec_tables::{FeedDirectory, Split};
use rayon::prelude::*;

use crate::error::Error;

/// The files of some splits.
///
/// # Errors
/// Files that cannot be read, and files of another schema.
pub fn feeds_read(feeds: &FeedDirectory, splits: &[Split]) -> Result<FeedsRead, Error> {
    let mut files = Vec::new();
    for split in splits {
        files.extend(feeds.files_read(*split)?.into_iter().map(|file| (*split, file)));
    }
    let read = files.into_par_iter().map(|(split, file)| {
        let (bytes, hash) = content(&file.path)?;
        let (split, hash) = (split.name().to_owned(), format!("{hash:016x}"));
        Ok(FileRead { split, name: file.name, feeds: file.feeds, bytes, hash })
    });
    Ok(FeedsRead { ids: feeds.id_kinds(), file: read.collect::<Result<_, Error>>()? })
}

/// Refuses feeds that a run cannot read as those that it was trained on: of another schema, or with ids of another kind.
///
/// # Errors
/// The differing fields, or the column and both kinds.
pub fn check_fit(run: &RunDirectory, feeds: &FeedDirectory) -> Result<(), Error> {
    run.check_schema(feeds.schema(), feeds.path())?;
    let kept = run.feeds_read()?.unwrap_or_default();
    let Some((column, here)) = kept.other_ids(&feeds.id_kinds()).map(|(column, now, kept)| {
        (column.to_owned(), format!("its ids are {now} here and {kept} in the feeds"))
    }) else {
        return Ok(());
    };
    let reason = format!(
        "{here} that the run {} was trained on, where the same id would never be met; write the column as it was there",
        run.path().display()
    );
    Err(eliverec_tables::Error::Column { path: feeds.path().into(), field: column, reason }.into())
}

/// Size and checksum.
fn content(path: &Path) -> Result<(u64, u64), Error> {
    let (size, mut checksum) = Checksum::of(fs_err::File::open(path)?)?;
    checksum.update(&size.to_le_bytes());
    Ok((size, checksum.value()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More than is read of a file at a time.
    const READ_BYTES: usize = 1 << 20;

    #[test]
    fn every_byte_and_the_size_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let of = |bytes: &[u8]| {
            fs_err::write(&path, bytes).unwrap();
            content(&path).unwrap()
        };
        let mut bytes: Vec<u8> = (0..READ_BYTES + 13).map(|i| (i % 251) as u8).collect();
        let whole = of(&bytes);
        assert_eq!((whole.0, of(&bytes)), (bytes.len() as u64, whole));
        for place in [0, 9, READ_BYTES - 1, READ_BYTES, READ_BYTES + 12] {
            bytes[place] ^= 1;
            assert_ne!(of(&bytes).1, whole.1, "byte {place}");
            bytes[place] ^= 1;
        }
        assert_ne!(of(&[1]).1, of(&[1, 0]).1);
        assert_ne!(of(&[]).1, of(&[0; 8]).1);
    }
}
