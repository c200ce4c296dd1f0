//! What the feeds of a directory are known again by ([`FeedsRead`]). Reads them all, files on as many threads as there are.

use std::hash::{BuildHasher, Hasher};
use std::io::Read;
use std::path::Path;

use eliverec_core::id::IdHash;
use eliverec_run::feeds_read::{FeedsRead, FileRead};
use eliverec_tables::{FeedDirectory, Split};
use rayon::prelude::*;

use crate::error::Error;

/// What is read of a file at a time, bytes.
const READ_BYTES: usize = 1 << 20;
/// Bytes that are hashed at a time.
const WORD: usize = 8;

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
    Ok(FeedsRead { file: read.collect::<Result<_, Error>>()? })
}

/// Size and hash. Words of eight bytes at a time: what a hash of bytes costs would show on every start of a large run.
fn content(path: &Path) -> Result<(u64, u64), Error> {
    let mut hash = IdHash::default().build_hasher();
    let mut file = fs_err::File::open(path)?;
    let (mut buffer, mut size) = (vec![0; READ_BYTES], 0);
    loop {
        let read = fill(&mut file, &mut buffer)?;
        size += read as u64;
        // The last word is filled up with zeros, which the size tells apart.
        buffer[read..].fill(0);
        for word in buffer[..read.next_multiple_of(WORD)].as_chunks::<WORD>().0 {
            hash.write_u64(u64::from_le_bytes(*word));
        }
        if read < buffer.len() {
            hash.write_u64(size);
            return Ok((size, hash.finish()));
        }
    }
}

/// Reads until the buffer is full or the file ends, so that words begin at multiples of their size.
fn fill(file: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

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
