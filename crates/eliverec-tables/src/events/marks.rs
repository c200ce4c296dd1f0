//! By what a file of a log is known again: its name below the log's root, its size, a checksum of its footer. The footer of a
//! Parquet file has the sizes, the numbers of values and the extremes of all its columns, so files need not be read for it.
//!
//! Not for feeds: two files of the same rows with other labels can have one footer, and feeds are small beside their log.

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
}
