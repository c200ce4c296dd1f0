//! Reads columns of feed files as batches of rows.
//!
//! What comes before the rows of a file (readers of its columns, one after the other) takes longer than the rows of a small one, so
//! small files that are written alike are read as one.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::TimeUnit;
use parquet::arrow::FieldLevels;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, RowGroups};
use parquet::basic::Compression;
use parquet::column::page::{PageIterator, PageReader};
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::serialized_reader::SerializedPageReader;

use crate::decode::Problem;
use crate::error::Error;
use crate::file_columns::{FileColumns, KnownColumns};
use crate::footer::{FeedFile, Footer, RowGroupPlace};
use crate::parquet_file::{guarded, located};
use crate::zstd_pages::ZstdPages;

/// How many rows a reader decodes at a time, whatever the size of a file's row groups.
pub const DECODED_FEEDS: usize = 256;

/// Bytes of files that are read as one, at most, but for the first.
const TOGETHER_BYTES: usize = 16 << 20;

/// Some columns of some row groups, one after the other.
#[derive(Debug)]
pub(crate) struct RowReader {
    known: Arc<KnownColumns>,
    files: Arc<[FeedFile]>,
    ahead: VecDeque<RowGroupPlace>,
    /// The columns, each with the fields of its structs.
    wanted: Vec<(String, Vec<String>)>,
    /// The columns of the files that were opened last, ready to be read.
    levels: Option<(Arc<FileColumns>, FieldLevels)>,
    /// The footer of the file that was opened last.
    footer: Option<(usize, Footer)>,
    current: Option<Open>,
    /// Row groups that are read one by one, for together something was wrong with them.
    alone: usize,
}

/// Row groups that are read as one.
#[derive(Debug)]
struct Open {
    rows: ParquetRecordBatchReader,
    spans: Arc<[Span]>,
    ts_unit: TimeUnit,
    /// Rows so far.
    given: u64,
}

/// Where the rows of a row group, or of a table, are.
#[derive(Clone, Debug)]
struct Span {
    place: RowGroupPlace,
    path: Arc<Path>,
    /// Row of its file that is its first.
    first: u64,
    /// Rows of all up to it.
    end: u64,
}

/// Rows that were read together, at least one.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) batch: RecordBatch,
    /// Of `ts`, where it is stored as a plain integer.
    pub(crate) ts_unit: TimeUnit,
    spans: Arc<[Span]>,
    /// Rows of the spans that were given before.
    before: u64,
}

impl Rows {
    /// Rows that follow each other in what stands alone and messages call `path`; the first is its row `first`.
    pub(crate) fn alone(
        path: &Arc<Path>,
        first: u64,
        ts_unit: TimeUnit,
        batch: RecordBatch,
    ) -> Self {
        let (place, end) = (RowGroupPlace { file: 0, index: 0 }, batch.num_rows() as u64);
        let spans = [Span { place, path: Arc::clone(path), first, end }];
        Self { batch, ts_unit, spans: spans.into(), before: 0 }
    }

    /// The file of a row, and which row of the file it is.
    pub(crate) fn place(&self, row: usize) -> (usize, u64) {
        let (span, row) = self.span(row);
        (span.place.file, row)
    }

    /// The path of a row's file.
    pub(crate) fn path(&self, row: usize) -> &Path {
        &self.span(row).0.path
    }

    fn span(&self, row: usize) -> (&Span, u64) {
        let row = self.before + row as u64;
        let span = self.spans.partition_point(|span| span.end <= row).min(self.spans.len() - 1);
        let start = span.checked_sub(1).map_or(0, |before| self.spans[before].end);
        let span = &self.spans[span];
        (span, span.first + (row - start))
    }

    /// The problem with its file and row.
    pub(crate) fn located(&self, problem: Problem) -> Error {
        match problem {
            Problem::Value { row, field, reason } => {
                let (span, of_file) = self.span(row);
                located(&span.path, of_file, Problem::Value { row: 0, field, reason })
            }
            Problem::Column { .. } => located(&self.span(0).0.path, 0, problem),
        }
    }
}

impl RowReader {
    /// Of columns, each with the fields of its structs.
    pub(crate) fn new(
        known: &Arc<KnownColumns>,
        files: &Arc<[FeedFile]>,
        order: impl IntoIterator<Item = RowGroupPlace>,
        wanted: &[(&str, Vec<&str>)],
    ) -> Self {
        let owned = |(column, fields): &(&str, Vec<&str>)| {
            ((*column).to_owned(), fields.iter().map(|field| (*field).to_owned()).collect())
        };
        Self {
            known: Arc::clone(known),
            files: Arc::clone(files),
            ahead: order.into_iter().collect(),
            wanted: wanted.iter().map(owned).collect(),
            levels: None,
            footer: None,
            current: None,
            alone: 0,
        }
    }

    /// Ends: there are no further rows.
    pub(crate) fn end(&mut self) {
        self.ahead.clear();
        self.current = None;
    }

    /// The next rows.
    pub(crate) fn next(&mut self) -> Result<Option<Rows>, Error> {
        loop {
            if let Some(open) = &mut self.current {
                let (before, spans) = (open.given, Arc::clone(&open.spans));
                match open.next() {
                    Ok(Some(batch)) => {
                        let ts_unit = open.ts_unit;
                        return Ok(Some(Rows { batch, ts_unit, spans, before }));
                    }
                    Ok(None) => {}
                    // One by one they come, too, up to the file that has the error.
                    Err(_) if spans.len() > 1 => self.again_alone(&spans),
                    Err(error) => return Err(error),
                }
                self.current = None;
            }
            let Some(place) = self.ahead.pop_front() else { return Ok(None) };
            self.current = Some(self.open(place)?);
        }
    }

    /// Row groups that were to be read as one are read one by one.
    fn again_alone(&mut self, spans: &[Span]) {
        self.alone = spans.len();
        spans.iter().rev().for_each(|span| self.ahead.push_front(span.place));
    }

    /// Opens a row group, and those of small files that follow and are written alike.
    fn open(&mut self, first: RowGroupPlace) -> Result<Open, Error> {
        let mut footers = vec![self.footer_of(first.file)?];
        let columns = Arc::clone(&footers[0].columns);
        let mut spans = vec![self.span(first, 0)];
        let mut bytes = footers[0].bytes;
        let alone = self.alone > 0;
        self.alone = self.alone.saturating_sub(1);
        while let (false, Some(so_far), Some(next)) = (alone, bytes, self.ahead.front().copied()) {
            let span = self.span(next, spans[spans.len() - 1].end);
            if span.end > DECODED_FEEDS as u64 || !self.files[next.file].is_alike(&columns) {
                break;
            }
            // An error is that of the file when it is its turn.
            let Ok(footer) = self.footer_of(next.file) else { break };
            let more = footer.bytes.filter(|more| so_far + more <= TOGETHER_BYTES);
            if more.is_none() || !Arc::ptr_eq(&footer.columns, &columns) {
                break;
            }
            bytes = more.map(|more| so_far + more);
            footers.push(footer);
            spans.push(span);
            self.ahead.pop_front();
        }
        let path = self.files[first.file].path();
        let known = self.levels.take().filter(|(of, _)| Arc::ptr_eq(of, &columns));
        let known = match known {
            Some(known) => known,
            None => (Arc::clone(&columns), columns.levels(path, &borrowed(&self.wanted))?),
        };
        let (_, levels) = self.levels.insert(known);
        let parts = footers.into_iter().zip(&spans).map(|(of, span)| (of, span.place.index));
        let together = Together { parts: parts.collect() };
        let rows = guarded(path, || {
            let size = DECODED_FEEDS.min(together.num_rows()).max(1);
            ParquetRecordBatchReader::try_new_with_row_groups(levels, &together, size, None)
        })?;
        Ok(Open { rows, spans: spans.into(), ts_unit: columns.ts_unit, given: 0 })
    }

    fn span(&self, place: RowGroupPlace, before: u64) -> Span {
        let file = &self.files[place.file];
        let groups = file.row_groups();
        let first = groups[..place.index].iter().sum();
        Span { place, path: file.shared_path(), first, end: before + groups[place.index] }
    }

    fn footer_of(&mut self, file: usize) -> Result<Footer, Error> {
        if let Some((number, footer)) = &self.footer
            && *number == file
        {
            return Ok(footer.clone());
        }
        let footer = self.files[file].footer(&self.known)?;
        self.footer = Some((file, footer.clone()));
        Ok(footer)
    }
}

fn borrowed(wanted: &[(String, Vec<String>)]) -> Vec<(&str, Vec<&str>)> {
    let columns = wanted.iter();
    columns
        .map(|(column, fields)| (column.as_str(), fields.iter().map(String::as_str).collect()))
        .collect()
}

impl Open {
    /// The next rows, at least one, or none at the end. Several row groups give all of theirs at once.
    fn next(&mut self) -> Result<Option<RecordBatch>, Error> {
        let path = &self.spans[0].path;
        let promised = self.spans[self.spans.len() - 1].end;
        let batch = guarded(path, || self.rows.next().transpose())?;
        self.given += batch.as_ref().map_or(0, |batch| batch.num_rows() as u64);
        let is_last = batch.is_none() || self.spans.len() > 1;
        if is_last && self.given < promised {
            let reason = format!("{} rows fewer than promised", promised - self.given);
            return Err(Error::parquet(path, &reason));
        }
        Ok(batch.filter(|batch| batch.num_rows() > 0))
    }
}

/// Row groups of files that are written alike, as one.
struct Together {
    parts: Arc<[(Footer, usize)]>,
}

impl RowGroups for Together {
    fn num_rows(&self) -> usize {
        self.row_groups().map(|group| group.num_rows().max(0) as usize).sum()
    }

    fn column_chunks(&self, column: usize) -> ParquetResult<Box<dyn PageIterator>> {
        Ok(Box::new(Chunks { column, parts: Arc::clone(&self.parts), next: 0 }))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(self.parts.iter().map(|(footer, index)| footer.metadata.row_group(*index)))
    }

    fn metadata(&self) -> &ParquetMetaData {
        &self.parts[0].0.metadata
    }
}

/// The pages of a column, row group by row group.
struct Chunks {
    column: usize,
    parts: Arc<[(Footer, usize)]>,
    next: usize,
}

impl Iterator for Chunks {
    type Item = ParquetResult<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        let (footer, index) = self.parts.get(self.next)?;
        self.next += 1;
        let group = footer.metadata.row_group(*index);
        let rows = group.num_rows().max(0) as usize;
        let contents = Arc::clone(&footer.contents);
        let column = group.column(self.column);
        // Alone a file is read as Parquet's own reader has it, whose errors are told.
        let is_one_of_many = self.parts.len() > 1;
        Some(if is_one_of_many && matches!(column.compression(), Compression::ZSTD(_)) {
            let pages = ZstdPages::new(contents, column, rows);
            pages.map(|pages| Box::new(pages) as Box<dyn PageReader>)
        } else {
            let pages = SerializedPageReader::new(contents, column, rows, None);
            pages.map(|pages| Box::new(pages) as Box<dyn PageReader>)
        })
    }
}

impl PageIterator for Chunks {}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Schema as ArrowSchema;

    use super::*;

    #[test]
    fn a_problem_has_the_row_of_its_file() {
        let span = |path: &str, file, first, end| Span {
            place: RowGroupPlace { file, index: 0 },
            path: Path::new(path).into(),
            first,
            end,
        };
        let batch = RecordBatch::new_empty(Arc::new(ArrowSchema::empty()));
        let spans = [span("a", 0, 0, 3), span("b", 1, 7, 6), span("c", 2, 0, 9)];
        let rows = |before| Rows {
            batch: batch.clone(),
            ts_unit: TimeUnit::Second,
            spans: spans.clone().into(),
            before,
        };
        let told = |before, row| {
            let (field, reason) = ("user_id".into(), "is null".into());
            rows(before).located(Problem::Value { row, field, reason }).to_string()
        };
        assert_eq!(told(0, 2), "a: row 2: user_id: is null");
        assert_eq!(told(0, 4), "b: row 8: user_id: is null");
        assert_eq!(told(2, 6), "c: row 2: user_id: is null");
    }
}
