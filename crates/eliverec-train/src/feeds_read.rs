//! What the feeds of a directory are known again by ([`FeedsRead`]). Reads them all, files on as many threads as there are.

use std::hash::{BuildHasher, Hasher};
use std::io::{BufRead, BufReader};
use std::path::Path;

use eliverec_core::id::IdHash;
use eliverec_run::feeds_read::{FeedsRead, FileRead};
use eliverec_tables::{FeedDirectory, Split};
use rayon::prelude::*;

use crate::error::Error;

/// What is read of a file at a time, bytes.
const READ_BYTES: usize = 1 << 20;

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

/// Size and hash.
fn content(path: &Path) -> Result<(u64, u64), Error> {
    let mut hash = IdHash::default().build_hasher();
    let mut reader = BufReader::with_capacity(READ_BYTES, fs_err::File::open(path)?);
    let mut size = 0;
    loop {
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            return Ok((size, hash.finish()));
        }
        hash.write(bytes);
        let read = bytes.len();
        size += read as u64;
        reader.consume(read);
    }
}
