//! A Parquet file of a store: its footer is read once, its row groups one at a time, and each of them in one request.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use bytes::{Buf, Bytes};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetStatisticsPolicy, RowGroupMetaData};
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::statistics::Statistics;

use super::store::{Store, StoredFile};
use crate::arrow_schema::{STANDS_TWICE, stands_twice};
use crate::error::Error;
use crate::hidden_times;
use crate::parquet_file::{check_extent, guarded};

/// Rows that are decoded at a time.
pub(super) const DECODED_ROWS: usize = 8_192;
/// What is read of a file's end at first; most footers fit.
const FOOTER_GUESS: u64 = 1 << 16;
/// The length of the footer and the mark that every Parquet file ends with.
const TRAILER: u64 = 8;

/// An opened Parquet file.
#[derive(Debug)]
pub(super) struct ParquetSource {
    store: Store,
    file: StoredFile,
    path: PathBuf,
    metadata: ArrowReaderMetadata,
}

impl ParquetSource {
    /// Reads the footer.
    ///
    /// # Errors
    /// A file that is no whole Parquet file, and what the store refuses.
    pub(super) fn open(store: &Store, file: StoredFile) -> Result<Self, Error> {
        let path = store.path(&file.name);
        if file.bytes < TRAILER {
            return Err(Error::parquet(&path, &format!("it has {} bytes", file.bytes)));
        }
        let end = |length: u64| {
            let start = file.bytes - length.min(file.bytes);
            let read = store.read_ranges(&file.name, std::slice::from_ref(&(start..file.bytes)));
            Ok::<_, Error>((start, read?.pop().unwrap_or_default()))
        };
        let mut tail = end(FOOTER_GUESS)?;
        if let Some(mut trailer) =
            tail.1.len().checked_sub(TRAILER as usize).map(|i| tail.1.slice(i..))
        {
            let footer = u64::from(trailer.get_u32_le()) + TRAILER;
            if footer > FOOTER_GUESS && footer <= file.bytes {
                tail = end(footer)?;
            }
        }
        let read = ReadParts { file_bytes: file.bytes, parts: [tail].into() };
        // As for feed files: Arrow's own schema says nothing more, and a damaged one makes its reader panic.
        let none = ParquetStatisticsPolicy::SkipAll;
        let options = ArrowReaderOptions::new()
            .with_skip_arrow_metadata(true)
            .with_size_stats_policy(none.clone())
            .with_encoding_stats_policy(none);
        let metadata = guarded(&path, || ArrowReaderMetadata::load(&read, options))?;
        check_extent(&path, metadata.metadata(), file.bytes)?;
        Ok(Self { store: store.clone(), file, path, metadata })
    }

    /// What messages call it.
    pub(super) fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// Its columns.
    pub(super) fn columns(&self) -> &SchemaRef {
        self.metadata.schema()
    }

    /// Whether a column of signed integers, or of lists of them, has values below 0, as far as the footer says.
    pub(super) fn is_negative(&self, column: &str) -> bool {
        let is_signed = |kind: &DataType| match kind {
            DataType::List(element) => element.data_type().is_signed_integer(),
            kind => kind.is_signed_integer(),
        };
        let signed =
            self.columns().field_with_name(column).is_ok_and(|of| is_signed(of.data_type()));
        let least = |statistics: &Statistics| match statistics {
            Statistics::Int32(values) => values.min_opt().map(|least| i64::from(*least)),
            Statistics::Int64(values) => values.min_opt().copied(),
            _ => None,
        };
        let groups = self.metadata.metadata().row_groups().iter();
        let mut leaves = groups.flat_map(RowGroupMetaData::columns);
        signed
            && leaves.any(|leaf| {
                leaf.column_path().parts().first().is_some_and(|name| name == column)
                    && leaf.statistics().and_then(least).is_some_and(|least| least < 0)
            })
    }

    /// Whether it has any rows.
    pub(super) fn has_rows(&self) -> bool {
        (0..self.row_groups()).any(|row_group| self.rows(row_group) > 0)
    }

    /// How many row groups it has.
    pub(super) fn row_groups(&self) -> usize {
        self.metadata.metadata().num_row_groups()
    }

    /// Rows that the footer promises of a row group.
    fn rows(&self, row_group: usize) -> u64 {
        self.metadata.metadata().row_group(row_group).num_rows().max(0) as u64
    }

    /// Reads the compressed bytes of some columns of a row group.
    pub(super) fn row_group(&self, index: usize, columns: &[&str]) -> Result<RowGroupRows, Error> {
        let names: Vec<(&str, Vec<&str>)> = columns.iter().map(|name| (*name, vec![])).collect();
        if let Some(field) = stands_twice(self.columns(), &names) {
            let path = self.path.clone();
            return Err(Error::Column { path, field, reason: STANDS_TWICE.into() });
        }
        if index == 0 {
            let metadata = self.metadata.metadata();
            let added = guarded(&self.path, || hidden_times::added_schema(metadata))?;
            let is_moment = |_: &str, kind: &DataType| matches!(kind, DataType::Timestamp(..));
            let added = added.as_ref();
            hidden_times::refuse(&self.path, self.columns(), added, &names, is_moment)?;
        }
        let descriptor = self.metadata.parquet_schema();
        let leaves = descriptor.columns().iter().enumerate();
        let wanted = leaves.filter(|(_, leaf)| columns.contains(&leaf.path().parts()[0].as_str()));
        let wanted: Vec<usize> = wanted.map(|(i, _)| i).collect();
        let group = self.metadata.metadata().row_group(index);
        let ranges = guarded(&self.path, || {
            let ranges = wanted.iter().map(|i| group.column(*i).byte_range());
            Ok::<_, ParquetError>(ranges.map(|(start, length)| start..start + length).collect())
        })?;
        let ranges: Vec<_> = ranges;
        let bytes = self.store.read_ranges(&self.file.name, &ranges)?;
        let parts = ranges.iter().map(|range| range.start).zip(bytes).collect();
        let read = ReadParts { file_bytes: self.file.bytes, parts };
        let rows = guarded(&self.path, || {
            ParquetRecordBatchReaderBuilder::new_with_metadata(read, self.metadata.clone())
                .with_projection(ProjectionMask::leaves(descriptor, wanted))
                .with_row_groups(vec![index])
                .with_batch_size(DECODED_ROWS)
                .build()
        })?;
        Ok(RowGroupRows { path: self.path.clone(), rows, left: self.rows(index) })
    }
}

/// The rows of a row group, some at a time.
#[derive(Debug)]
pub(super) struct RowGroupRows {
    path: PathBuf,
    rows: ParquetRecordBatchReader,
    /// Rows that the footer promises beyond those given.
    left: u64,
}

impl RowGroupRows {
    /// The next rows, `None` after the last.
    pub(super) fn next_rows(&mut self) -> Result<Option<RecordBatch>, Error> {
        match guarded(&self.path, || self.rows.next().transpose())? {
            Some(batch) => {
                self.left = self.left.saturating_sub(batch.num_rows() as u64);
                Ok(Some(batch))
            }
            None if self.left == 0 => Ok(None),
            None => {
                let reason = format!("{} rows fewer than promised", self.left);
                Err(Error::parquet(&self.path, &reason))
            }
        }
    }
}

/// The parts of a file that have been read; the Parquet reader finds nothing beyond them.
#[derive(Clone, Debug)]
struct ReadParts {
    file_bytes: u64,
    /// Where each starts, and its bytes.
    parts: Arc<[(u64, Bytes)]>,
}

impl ReadParts {
    /// From `start` to the end of the part that it is in.
    fn from(&self, start: u64) -> Result<Bytes, ParquetError> {
        let part = self.parts.iter().find_map(|(first, bytes)| {
            let offset = usize::try_from(start.checked_sub(*first)?).ok()?;
            (offset < bytes.len()).then(|| bytes.slice(offset..))
        });
        part.ok_or_else(|| ParquetError::EOF(format!("byte {start} is in no column")))
    }
}

impl Length for ReadParts {
    fn len(&self) -> u64 {
        self.file_bytes
    }
}

impl ChunkReader for ReadParts {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        if length == 0 {
            return Ok(Bytes::new());
        }
        let part = self.from(start)?;
        if part.len() < length {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} end too early")));
        }
        Ok(part.slice(..length))
    }
}
