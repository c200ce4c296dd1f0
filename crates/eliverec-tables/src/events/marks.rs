//! By what a file of a log is known again: its name below the log's root, its size, and a checksum of all its bytes on the local
//! disk, of its footer at an address.
//!
//! A footer has the sizes, the numbers of values and the extremes of all columns, and still two files that differ in one value can
//! have the same. Reading a file from the local disk once more costs little beside decoding its rows; fetching a log twice does not.

use std::collections::BTreeMap;

use bytes::{Buf, Bytes};
use eliverec_core::Day;
use eliverec_core::checksum::Checksum;
use eliverec_core::dimensions::TABLE_GROUPS;

use super::store::StoredFile;
use super::{EventLog, dimensions};
use crate::error::Error;

/// What is read of a file's end at first; most footers fit.
const FOOTER_GUESS: u64 = 1 << 16;
/// What is read at a time of a whole file.
const READ_BYTES: u64 = 1 << 23;
/// The length of the footer and the mark that every Parquet file ends with.
const TRAILER: usize = 8;

/// Files by their names below the log's root, each with what it is known by.
pub type Marks = BTreeMap<String, String>;

impl EventLog {
    /// The marks of the files of a day of arrival; none for a day without files.
    ///
    /// # Errors
    /// What the store refuses.
    pub fn marks(&self, day: Day) -> Result<Marks, Error> {
        self.marks_of(self.days.get(&day).map(Vec::as_slice).unwrap_or_default())
    }

    /// The marks of the tables of users, products and channels.
    ///
    /// # Errors
    /// What the store refuses.
    pub fn table_marks(&self) -> Result<Marks, Error> {
        let mut files = self.store.list("")?.1;
        let tables = TABLE_GROUPS.map(dimensions::file_name);
        files.retain(|file| tables.contains(&file.name));
        self.marks_of(&files)
    }

    fn marks_of(&self, files: &[StoredFile]) -> Result<Marks, Error> {
        let mark = |file: &StoredFile| Ok((file.name.clone(), self.mark(file)?));
        files.iter().map(mark).collect()
    }

    fn mark(&self, file: &StoredFile) -> Result<String, Error> {
        if self.store.is_local() {
            return self.mark_of_content(file);
        }
        let end = |length: u64| {
            let range = file.bytes - length.min(file.bytes)..file.bytes;
            let read = self.store.read_ranges(&file.name, std::slice::from_ref(&range));
            Ok::<_, Error>(read?.pop().unwrap_or_default())
        };
        let mut tail = if file.bytes == 0 { Bytes::new() } else { end(FOOTER_GUESS)? };
        if let Some(start) = tail.len().checked_sub(TRAILER) {
            let footer = u64::from(tail.slice(start..).get_u32_le()) + TRAILER as u64;
            let whole = footer.min(file.bytes);
            if whole > tail.len() as u64 {
                tail = end(whole)?;
            }
            // The rest of what was read are rows, which need not be there in whole.
            tail = tail.slice(tail.len() - (whole as usize).min(tail.len())..);
        }
        let mut footer = Checksum::default();
        footer.update(&tail);
        Ok(format!("{} bytes, footer {:016x}", file.bytes, footer.value()))
    }

    fn mark_of_content(&self, file: &StoredFile) -> Result<String, Error> {
        let mut content = Checksum::default();
        let mut start = 0;
        while start < file.bytes {
            let range = start..(start + READ_BYTES).min(file.bytes);
            start = range.end;
            let read = self.store.read_ranges(&file.name, std::slice::from_ref(&range))?;
            read.iter().for_each(|bytes| content.update(bytes));
        }
        Ok(format!("{} bytes, content {:016x}", file.bytes, content.value()))
    }
}
