//! The durable log: files in order, of which the last one is written.
//!
//! `DIR/2026-11-29-00000000000000000001.redb` begins with record 1 and holds records that arrived on that day. Records are numbered
//! from 1 without gaps. A file ends with its day or when it is full; whole days leave ([`Log::leave`]) when they stand elsewhere.
//! `DIR/files` has the names of the files, so that nobody takes a log that lacks one for a whole one.

use std::path::{Path, PathBuf};

use eliverec_core::Day;

use crate::error::Error;
use crate::files::{create_directory, names, replace};
use crate::record::Record;
use crate::segment::{Segment, SegmentName};

/// The names of all files of records, one a line, oldest first. It is replaced when a file was made, and before files leave: at any
/// moment all that it names are there, and perhaps one that was just made, or some that are about to leave.
const FILES: &str = "files";

/// What to do about what is missing.
const RESTORE: &str = "restore it from a backup, or move the whole state away to begin anew";

/// A file that is not written any more.
#[derive(Debug)]
pub(crate) struct ClosedFile {
    directory: PathBuf,
    schema: String,
    name: SegmentName,
    /// The number that the next file begins with.
    next: u64,
}

impl ClosedFile {
    /// Hands on its records from `from` on, in order.
    pub(crate) fn read(
        &self,
        from: u64,
        each: &mut dyn FnMut(u64, Record) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let segment = Segment::open(&self.directory, self.name, &self.schema)?;
        if segment.next() != self.next {
            let (ends, next) = (segment.next(), self.next);
            let reason = format!(
                "ends before record {ends}, and the next file begins with {next}; restore what is missing from a backup"
            );
            return Err(Error::log(&self.directory.join(self.name.text()), reason));
        }
        segment.read(from, each)
    }
}

/// The log of a state.
#[derive(Debug)]
pub(crate) struct Log {
    directory: PathBuf,
    schema: String,
    segment_records: u64,
    /// Closed files, in order.
    closed: Vec<SegmentName>,
    /// The file that is written; `None` before the first record and after the end of a day.
    current: Option<Segment>,
    /// The sequence number of the next record.
    next: u64,
}

impl Log {
    /// Opens the log, of a new state or one that had records; one without files has `first` as the number of its next record.
    ///
    /// # Errors
    /// A file that is missing, damaged or none of a log.
    pub(crate) fn open(
        directory: &Path,
        schema: &str,
        segment_records: u64,
        first: u64,
        is_new: bool,
    ) -> Result<Self, Error> {
        create_directory(directory)?;
        let mut closed = Vec::new();
        let mut listed = None;
        for name in names(directory)? {
            let path = directory.join(&name);
            if name == FILES {
                // Bytes that are no text name no file either.
                let text = String::from_utf8_lossy(&fs_err::read(&path)?).into_owned();
                let names: Option<Vec<SegmentName>> =
                    text.split_whitespace().map(SegmentName::parse).collect();
                let reason = "does not name files of the log; write the names of those that are there into it";
                listed = Some(names.ok_or_else(|| Error::log(&path, reason))?);
                continue;
            }
            let segment = SegmentName::parse(&name);
            let reason = "is no file of the log; move it away";
            closed.push(segment.ok_or_else(|| Error::directory(&path, reason))?);
        }
        closed.sort_by_key(|name| (name.first, name.day));
        if let Some(pair) = closed.windows(2).find(|pair| pair[0].day > pair[1].day) {
            let reason = format!("does not follow on {}; move one of them away", pair[0].text());
            return Err(Error::directory(&directory.join(pair[1].text()), reason));
        }
        if listed.is_none() {
            if !is_new || !closed.is_empty() {
                let reason = format!("is missing, and a state that has begun has it; {RESTORE}");
                return Err(Error::log(&directory.join(FILES), reason));
            }
            replace(&directory.join(FILES), "")?;
        }
        // A file that was just made may be missing from it, and some that are about to leave, but never all of several.
        if listed.as_ref().is_some_and(Vec::is_empty) && closed.len() > 1 {
            let reason = format!("names no file, and there are {}; {RESTORE}", closed.len());
            return Err(Error::log(&directory.join(FILES), reason));
        }
        if let Some(missing) = listed.iter().flatten().find(|name| !closed.contains(name)) {
            let reason = format!("is missing; {RESTORE}");
            return Err(Error::log(&directory.join(missing.text()), reason));
        }
        let last = closed.pop();
        closed.iter().try_for_each(|name| Segment::glance(directory, *name))?;
        let current = last.map(|name| Segment::open(directory, name, schema)).transpose()?;
        let next = current.as_ref().map_or(first, Segment::next);
        let (directory, schema) = (directory.into(), schema.into());
        Ok(Self { directory, schema, segment_records, closed, current, next })
    }

    /// Where its files are.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The sequence number of the next record.
    pub(crate) const fn next(&self) -> u64 {
        self.next
    }

    /// The number of the first record that is still there; that of the next one if there is none.
    pub(crate) fn first(&self) -> u64 {
        let first = self.closed.first().copied();
        first.or(self.current.as_ref().map(Segment::name)).map_or(self.next, |name| name.first)
    }

    /// Puts the records of a group, encoded for the numbers from [`Log::next`] on, on disk.
    pub(crate) fn append(&mut self, day: Day, records: &[Vec<u8>]) -> Result<(), Error> {
        let fits =
            |segment: &Segment| segment.name().day == day && segment.count() < self.segment_records;
        if !self.current.as_ref().is_some_and(fits) {
            self.close();
            let name = SegmentName { first: self.next, day };
            self.current = Some(Segment::create(&self.directory, name, &self.schema)?);
            self.list(0)?;
        }
        if let Some(current) = &mut self.current {
            current.append(records)?;
            self.next = current.next();
        }
        Ok(())
    }

    /// Hands on the records from `from` on, in order.
    pub(crate) fn read(
        &self,
        from: u64,
        each: &mut dyn FnMut(u64, Record) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for file in self.closed_files(|_| true).into_iter().filter(|file| file.next > from) {
            file.read(from, each)?;
        }
        self.current.as_ref().map_or(Ok(()), |current| current.read(from, each))
    }

    /// The days that have records, in order, each with its first number and the number behind its last.
    pub(crate) fn days(&self) -> Vec<(Day, u64, u64)> {
        let mut days: Vec<(Day, u64, u64)> = Vec::new();
        let current = self.current.as_ref().map(Segment::name);
        let names: Vec<SegmentName> = self.closed.iter().copied().chain(current).collect();
        for (i, name) in names.iter().enumerate() {
            let next = names.get(i + 1).map_or(self.next, |next| next.first);
            match days.last_mut() {
                Some((day, _, end)) if *day == name.day => *end = next,
                _ => days.push((name.day, name.first, next)),
            }
        }
        days.retain(|(_, first, end)| first < end);
        days
    }

    /// The closed files of a day, in order, to be read while others are written.
    pub(crate) fn files_of(&self, day: Day) -> Vec<ClosedFile> {
        self.closed_files(|name| name.day == day)
    }

    fn closed_files(&self, wanted: impl Fn(&SegmentName) -> bool) -> Vec<ClosedFile> {
        let of_day = self.closed.iter().enumerate().filter(|(_, name)| wanted(name));
        let file = |(i, name): (usize, &SegmentName)| {
            let current =
                || self.current.as_ref().map_or(self.next, |current| current.name().first);
            let next = self.closed.get(i + 1).map_or_else(current, |next| next.first);
            let (directory, schema) = (self.directory.clone(), self.schema.clone());
            ClosedFile { directory, schema, name: *name, next }
        };
        of_day.map(file).collect()
    }

    /// Ends the file that is written if its day is before `today`.
    pub(crate) fn end_days_before(&mut self, today: Day) {
        if self.current.as_ref().is_some_and(|current| current.name().day < today) {
            self.close();
        }
    }

    /// Ends the file that is written. One without records stays: the next begins with the same number.
    fn close(&mut self) {
        self.closed.extend(self.current.take().map(|current| current.name()));
    }

    /// Lets go of the files of days up to `last` whose records are all before number `before`: these, oldest first, which are the log's
    /// no more and are to be removed by whoever asks, who need not keep the log waiting for that.
    pub(crate) fn leave(&mut self, last: Day, before: u64) -> Result<Vec<PathBuf>, Error> {
        let days = self.days();
        let end_of = |name: &SegmentName| {
            days.iter().find(|(day, ..)| *day == name.day).map_or(name.first, |(.., end)| *end)
        };
        let leaving =
            self.closed.iter().take_while(|name| name.day <= last && end_of(name) <= before);
        let count = leaving.count();
        if count > 0 {
            self.list(count)?;
        }
        Ok(self.closed.drain(..count).map(|name| self.directory.join(name.text())).collect())
    }

    /// Writes down which files there are but for the `leaving` oldest.
    fn list(&self, leaving: usize) -> Result<(), Error> {
        let current = self.current.as_ref().map(Segment::name);
        let names = self.closed.iter().skip(leaving).copied().chain(current);
        let names: Vec<String> = names.map(SegmentName::text).collect();
        replace(&self.directory.join(FILES), &names.join("\n"))
    }
}
