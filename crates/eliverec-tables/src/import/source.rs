//! CSV tables with a header line, gzipped, read row by row. Every error names the file, and line and column if it has them.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::str::FromStr;

use csv::StringRecord;
use eliverec_core::Day;
use flate2::read::MultiGzDecoder;

use crate::Error;
use crate::check::{Part, Read};
use crate::listing;

/// Why a row of a table of events is not taken. Files that were put together by hand have the same rows twice.
pub(super) const REPEATED: &str = "exact duplicate of an earlier row";

/// 365 days.
const LONGEST_STAY_S: f32 = 31_536_000.0;

/// The folder of a set, and which of its tables have been read.
pub(super) struct Folder {
    path: PathBuf,
    tables: RefCell<Vec<Opened>>,
}

/// A table that was opened.
struct Opened {
    name: String,
    counts: Rc<Counts>,
}

/// How far a table was read.
#[derive(Default)]
struct Counts {
    rows: Cell<u64>,
    /// Those among them that repeat an earlier one.
    repeated: Cell<u64>,
}

impl Folder {
    /// Refuses a path that is no folder before any importer looks for files in it.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        if path.is_dir() {
            return Ok(Self { path: path.into(), tables: RefCell::default() });
        }
        Err(Error::directory(path, "is no folder; give the one that holds the set's .csv.gz files"))
    }

    /// What was read of it so far, and what else lies there.
    pub(super) fn read(&self) -> Read {
        let tables = self.tables.borrow();
        // What cannot be listed is no part of the set either.
        let entries = fs_err::read_dir(&self.path).into_iter().flatten().flatten();
        let is_table = |path: &Path| tables.iter().any(|table| path.ends_with(&table.name));
        let mut beside: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        beside.retain(|path| !is_table(path));
        beside.sort();
        let parts = tables.iter().map(|table| Part {
            name: table.name.clone(),
            files: 1,
            rows: table.counts.rows.get(),
            impressions: None,
        });
        let mut read = Read::of(parts.collect(), beside);
        let repeated = tables.iter().map(|table| table.counts.repeated.get()).sum();
        if repeated > 0 {
            read.leave_out(&BTreeMap::from([(REPEATED.to_owned(), repeated)]));
        }
        read
    }
}

/// A table and its current row.
pub(super) struct Table {
    file: PathBuf,
    header: StringRecord,
    row: StringRecord,
    counts: Rc<Counts>,
    /// The rows so far, of a table that takes each once.
    known: Option<HashSet<Vec<String>>>,
    reader: csv::Reader<EndedLines<MultiGzDecoder<fs_err::File>>>,
}

impl Table {
    /// Opens `folder/name` and finds the columns wanted; their indices come in the order of `columns`.
    pub(super) fn open<const N: usize>(
        folder: &Folder,
        name: &str,
        columns: [&str; N],
    ) -> Result<(Self, [usize; N]), Error> {
        let file = folder.path.join(name);
        if let Some(why) = listing::unreadable(&file) {
            return Err(Error::directory(&file, why));
        }
        if file.is_dir() {
            return Err(Error::directory(&file, "is a folder, where a file should be"));
        }
        if !file.is_file() {
            let reason =
                format!("has no {name}; give the folder that holds the set's .csv.gz files");
            return Err(Error::directory(&folder.path, reason));
        }
        let text = EndedLines::of(MultiGzDecoder::new(fs_err::File::open(&file)?));
        let mut reader = csv::Reader::from_reader(text);
        let header = match reader.headers() {
            Ok(header) => header.clone(),
            Err(error) => return Err(unreadable(&file, error)),
        };
        if header.is_empty() {
            return Err(Error::directory(&file, "is empty; give the whole set"));
        }
        check_line(&file, &header, &header)?;
        let mut indices = [0; N];
        for (index, column) in indices.iter_mut().zip(columns) {
            let mut places = header.iter().enumerate().filter(|(_, name)| *name == column);
            let reason = match (places.next(), places.next()) {
                (Some((place, _)), None) => {
                    *index = place;
                    continue;
                }
                (None, _) => {
                    let present: Vec<&str> = header.iter().collect();
                    format!("is missing; the columns are {}", present.join(", "))
                }
                (Some(_), Some(_)) => "stands there twice; leave the one that is meant".into(),
            };
            return Err(Error::Source { path: file, line: 1, column: column.into(), reason });
        }
        let counts = Rc::default();
        let opened = Opened { name: name.to_owned(), counts: Rc::clone(&counts) };
        folder.tables.borrow_mut().push(opened);
        Ok((Self { file, header, row: StringRecord::new(), counts, known: None, reader }, indices))
    }

    /// The same as [`Table::open`], of a table in which a row that says what an earlier one says is passed over and counted. It
    /// remembers its rows.
    pub(super) fn open_distinct<const N: usize>(
        folder: &Folder,
        name: &str,
        columns: [&str; N],
    ) -> Result<(Self, [usize; N]), Error> {
        let (table, indices) = Self::open(folder, name, columns)?;
        Ok((Self { known: Some(HashSet::new()), ..table }, indices))
    }

    /// Goes to the next row that is taken; false after the last one. A table without rows is an error: no set has one, and what is made of the
    /// others would quietly lack what it tells.
    pub(super) fn advance(&mut self) -> Result<bool, Error> {
        while self.next_row()? {
            let Some(known) = &mut self.known else { return Ok(true) };
            if known.insert(self.row.iter().map(str::to_owned).collect()) {
                return Ok(true);
            }
            self.counts.repeated.set(self.counts.repeated.get() + 1);
        }
        Ok(false)
    }

    fn next_row(&mut self) -> Result<bool, Error> {
        let more = self.reader.read_record(&mut self.row);
        let is_whole =
            |error: &csv::Error| matches!(error.kind(), csv::ErrorKind::UnequalLengths { .. });
        if more.as_ref().map_or_else(is_whole, |more| *more) {
            check_line(&self.file, &self.header, &self.row)?;
        }
        let more = more.map_err(|error| unreadable(&self.file, error))?;
        let rows = self.counts.rows.get() + u64::from(more);
        self.counts.rows.set(rows);
        if rows == 0 {
            return Err(Error::directory(
                &self.file,
                "has a header and no rows; give the whole set",
            ));
        }
        Ok(more)
    }

    /// The text of a column, without white space around it.
    pub(super) fn text(&self, column: usize) -> &str {
        self.row[column].trim()
    }

    /// A whole number or id.
    pub(super) fn number<T: FromStr>(&self, column: usize) -> Result<T, Error> {
        let text = self.text(column);
        text.parse().map_err(|_| self.wrong(column, format!("{text:?} is not a whole number")))
    }

    /// A moment in whole seconds, in milliseconds.
    pub(super) fn seconds(&self, column: usize) -> Result<i64, Error> {
        let seconds: i64 = self.number(column)?;
        self.moment(column, "seconds", seconds.checked_mul(1000))
    }

    /// A moment in whole milliseconds.
    pub(super) fn milliseconds(&self, column: usize) -> Result<i64, Error> {
        let milliseconds = self.number(column)?;
        self.moment(column, "milliseconds", Some(milliseconds))
    }

    /// Feeds and logs alike take a moment that leaves room for what is made of it: a year on both sides, see [`Table::known_stay`].
    fn moment(&self, column: usize, unit: &str, ts_ms: Option<i64>) -> Result<i64, Error> {
        let is_near = |ts_ms: i64, days| Day::of(ts_ms).and_then(|day| day.plus(days)).is_some();
        ts_ms.filter(|ts_ms| is_near(*ts_ms, -366) && is_near(*ts_ms, 365)).ok_or_else(|| {
            let text = self.text(column);
            let reason = format!("{text} {unit} since 1970 lie outside the years 1 to 9998");
            self.wrong(column, reason)
        })
    }

    /// A finite number that is not negative, such as seconds or a price.
    pub(super) fn amount(&self, column: usize) -> Result<f32, Error> {
        let text = self.text(column);
        let fits = |x: &f32| x.is_finite() && *x >= 0.0;
        text.parse()
            .ok()
            .filter(fits)
            .ok_or_else(|| self.wrong(column, format!("{text:?} is not a number of at least 0")))
    }

    /// As [`Table::amount`]; empty is unknown.
    pub(super) fn known_amount(&self, column: usize) -> Result<Option<f32>, Error> {
        if self.text(column).is_empty() { Ok(None) } else { self.amount(column).map(Some) }
    }

    /// Seconds that somebody stayed, at most a year; empty is unknown.
    pub(super) fn known_stay(&self, column: usize) -> Result<Option<f32>, Error> {
        let stay_s = self.known_amount(column)?;
        if stay_s.is_some_and(|stay_s| stay_s > LONGEST_STAY_S) {
            let text = self.text(column);
            return Err(self.wrong(column, format!("{text} s are a stay of more than a year")));
        }
        Ok(stay_s)
    }

    /// 0 or 1.
    pub(super) fn flag(&self, column: usize) -> Result<bool, Error> {
        Ok(self.choice(column, ["0", "1"])? == 1)
    }

    /// Which of the texts stands there.
    pub(super) fn choice<const N: usize>(
        &self,
        column: usize,
        choices: [&str; N],
    ) -> Result<usize, Error> {
        let text = self.text(column);
        choices.iter().position(|choice| *choice == text).ok_or_else(|| {
            self.wrong(column, format!("{text:?} is none of {}", choices.join(", ")))
        })
    }

    /// An error at a column of the current row.
    pub(super) fn wrong(&self, column: usize, reason: String) -> Error {
        Error::Source {
            path: self.file.clone(),
            line: self.row.position().map_or(0, csv::Position::line),
            column: self.header[column].into(),
            reason,
        }
    }
}

/// Refuses a row with a value that took in other rows: a quote that nobody closed goes on to the next one, or to the end of the file.
/// Titles have line breaks, too; what follows one there has fewer commas than a row.
fn check_line(file: &Path, header: &StringRecord, row: &StringRecord) -> Result<(), Error> {
    let commas = header.len().saturating_sub(1);
    let is_row = |line: &str| commas > 0 && line.matches(',').count() >= commas;
    let took_in = |value: &str| value.ends_with('\n') || value.lines().skip(1).any(is_row);
    let Some(column) = row.iter().position(took_in) else { return Ok(()) };
    let name = header.get(column).unwrap_or_default().lines().next().unwrap_or_default();
    Err(Error::Source {
        path: file.into(),
        line: row.position().map_or(1, csv::Position::line),
        column: name.into(),
        reason: "a quote (\") opens a value that goes on after the end of the line and takes in other rows; close it there, or write \
                 it twice within quotes"
            .into(),
    })
}

/// A text whose last line has an end, so that a value goes on after it only if its quote was not closed.
struct EndedLines<R> {
    text: R,
    last: u8,
}

impl<R> EndedLines<R> {
    /// An empty text has no line to end.
    const fn of(text: R) -> Self {
        Self { text, last: b'\n' }
    }
}

impl<R: io::Read> io::Read for EndedLines<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut read = self.text.read(bytes)?;
        if read == 0 && self.last != b'\n' && !bytes.is_empty() {
            bytes[0] = b'\n';
            read = 1;
        }
        if let Some(last) = read.checked_sub(1) {
            self.last = bytes[last];
        }
        Ok(read)
    }
}

fn unreadable(file: &Path, error: csv::Error) -> Error {
    let line = error.position().map_or(0, csv::Position::line);
    let reason = match error.into_kind() {
        csv::ErrorKind::Io(error) => {
            use std::io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
            if !matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof) {
                let reason = format!("{}: {error}", file.display());
                return Error::Io(std::io::Error::new(error.kind(), reason));
            }
            let reason = format!("not a whole gzip file ({error}); copy it again");
            return Error::directory(file, reason);
        }
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("has {len} values, the header {expected_len}")
        }
        csv::ErrorKind::Utf8 { .. } => "is not UTF-8 text".into(),
        kind => format!("{kind:?}"),
    };
    Error::Source { path: file.into(), line, column: "row".into(), reason }
}
