//! What the feeds of a directory are known again by ([`FeedsRead`]). Reads them all, files on as many threads as there are.

use std::hash::{BuildHasher, Hasher};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use eliverec_core::checksum::Checksum;
use eliverec_core::id::IdHash;
use eliverec_run::RunDirectory;
use eliverec_run::feeds_read::{FeedsRead, FileRead};
use eliverec_tables::{FeedDirectory, FeedFileRead, Split};
use rayon::prelude::*;

use crate::error::Error;

/// What is read of a file at a time.
const READ_BYTES: usize = 1 << 20;

/// The files of some splits.
///
/// # Errors
/// Files that cannot be read, and files of another schema.
pub fn feeds_read(feeds: &FeedDirectory, splits: &[Split]) -> Result<FeedsRead, Error> {
    let read = files(feeds, splits, |file| {
        let (bytes, checksum) = Checksum::of(file.open()?)?;
        Ok((content(bytes, checksum), ()))
    })?;
    let file = read.into_iter().map(|(_, read, ())| read).collect();
    Ok(FeedsRead { ids: feeds.id_kinds(), file })
}

/// The files of all splits, and beside them where each is and the [`IdHash`] of its bytes, of one reading.
///
/// # Errors
/// As [`feeds_read`].
pub fn feeds_hashed(feeds: &FeedDirectory) -> Result<(FeedsRead, Vec<(PathBuf, u64)>), Error> {
    let read = files(feeds, &Split::ALL, |file| {
        let mut reader = BufReader::with_capacity(READ_BYTES, file.open()?);
        let (mut checksum, mut hash, mut size) =
            (Checksum::default(), IdHash::default().build_hasher(), 0);
        loop {
            let bytes = reader.fill_buf()?;
            let read = bytes.len();
            if read == 0 {
                return Ok((content(size, checksum), hash.finish()));
            }
            checksum.update(bytes);
            hash.write(bytes);
            size += read as u64;
            reader.consume(read);
        }
    })?;
    let (mut file, mut hashes) = (Vec::new(), Vec::new());
    for (path, read, hash) in read {
        file.push(read);
        hashes.push((path, hash));
    }
    Ok((FeedsRead { ids: feeds.id_kinds(), file }, hashes))
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

/// A file by its size and checksum, and what else was made of it.
type Known<T> = ((u64, u64), T);

fn files<T: Send>(
    feeds: &FeedDirectory,
    splits: &[Split],
    know: impl Fn(&FeedFileRead) -> std::io::Result<Known<T>> + Sync,
) -> Result<Vec<(PathBuf, FileRead, T)>, Error> {
    let mut files = Vec::new();
    for split in splits {
        files.extend(feeds.files_read(*split)?.into_iter().map(|file| (*split, file)));
    }
    let read = files.into_par_iter().map(|(split, file)| {
        let ((bytes, hash), more) = know(&file)?;
        let (split, hash) = (split.name().to_owned(), format!("{hash:016x}"));
        let FeedFileRead { path, name, feeds, .. } = file;
        Ok((path, FileRead { split, name, feeds, bytes, hash }, more))
    });
    read.collect()
}

/// Size and checksum.
fn content(size: u64, mut checksum: Checksum) -> (u64, u64) {
    checksum.update(&size.to_le_bytes());
    (size, checksum.value())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_and_the_size_count() {
        let of = |bytes: &[u8]| {
            let (size, checksum) = Checksum::of(bytes).unwrap();
            content(size, checksum)
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
