//! What a feed file says of itself, checked against the schema, and what is kept of that.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::DataType;
use parquet::file::metadata::{
    ParquetMetaData, ParquetMetaDataOptions, ParquetMetaDataReader, ParquetStatisticsPolicy,
};
use parquet::file::reader::Length;

use crate::contents::Contents;
use crate::error::Error;
use crate::file_columns::{FileColumns, KnownColumns};
use crate::id_types::IdType;
use crate::parquet_file::{check_extent, guarded};

/// What it says, and what the file holds. Clones share both.
#[derive(Clone, Debug)]
pub(crate) struct Footer {
    pub(crate) contents: Arc<Contents>,
    pub(crate) metadata: Arc<ParquetMetaData>,
    pub(crate) columns: Arc<FileColumns>,
    /// Bytes that it holds with its file, if the file is in memory.
    pub(crate) bytes: Option<usize>,
}

impl Footer {
    pub(crate) fn read(path: &Path, known: &KnownColumns) -> Result<Self, Error> {
        let contents = Contents::open(path)?;
        let read = || {
            let reader = ParquetMetaDataReader::new();
            reader.with_metadata_options(Some(without_statistics())).parse_and_finish(&contents)
        };
        let metadata = guarded(path, read)?;
        check_extent(path, &metadata, contents.len())?;
        let columns = known.of(path, &metadata)?;
        let bytes = contents.in_memory().map(|bytes| bytes + metadata.memory_size());
        Ok(Self { contents: Arc::new(contents), metadata: Arc::new(metadata), columns, bytes })
    }
}

/// Nobody asks the statistics of feed files, and they are most of a footer.
fn without_statistics() -> ParquetMetaDataOptions {
    let none = ParquetStatisticsPolicy::SkipAll;
    ParquetMetaDataOptions::new()
        .with_column_stats_policy(none.clone())
        .with_size_stats_policy(none.clone())
        .with_encoding_stats_policy(none)
}

/// A feed file whose schema and columns have been checked.
#[derive(Debug)]
pub(crate) struct FeedFile {
    path: Arc<Path>,
    /// Rows of every row group.
    row_groups: Vec<u64>,
    columns: Arc<FileColumns>,
    /// What was read to know this, where there is room for it.
    footer: Option<Footer>,
}

impl FeedFile {
    /// Reads the footer, and checks it against the schema of the directory.
    pub(crate) fn open(path: PathBuf, known: &KnownColumns) -> Result<Self, Error> {
        let footer = Footer::read(&path, known)?;
        let groups = footer.metadata.row_groups().iter();
        let row_groups = groups.map(|group| group.num_rows().max(0) as u64).collect();
        let columns = Arc::clone(&footer.columns);
        // A file that is open would stay so; thousands may not.
        let footer = Some(footer).filter(|footer| footer.bytes.is_some());
        Ok(Self { path: path.into(), row_groups, columns, footer })
    }

    /// The same with its footer and content if `room`, in bytes, is enough for them, and less room.
    pub(crate) fn kept_within(self, room: &mut usize) -> Self {
        let bytes = self.footer.as_ref().and_then(|footer| footer.bytes);
        let left = bytes.and_then(|bytes| room.checked_sub(bytes));
        *room = left.unwrap_or(*room);
        Self { footer: self.footer.filter(|_| left.is_some()), ..self }
    }

    /// Its footer, as it was when the file was opened first, or read again.
    pub(crate) fn footer(&self, known: &KnownColumns) -> Result<Footer, Error> {
        match &self.footer {
            Some(footer) => Ok(footer.clone()),
            None => Footer::read(&self.path, known),
        }
    }

    /// What it holds, where that is in memory.
    pub(crate) fn contents(&self) -> Option<&Arc<Contents>> {
        self.footer.as_ref().map(|footer| &footer.contents)
    }

    /// How it writes ids, by [`crate::id_types::id_columns`].
    pub(crate) fn id_types(&self) -> &[Option<IdType>] {
        &self.columns.id_types
    }

    /// The types of some columns, as (column, fields of its structs).
    pub(crate) fn types(&self, wanted: &[(&str, Vec<&str>)]) -> Vec<DataType> {
        self.columns.types(wanted)
    }

    /// Whether its columns are these.
    pub(crate) fn is_alike(&self, columns: &Arc<FileColumns>) -> bool {
        Arc::ptr_eq(&self.columns, columns)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The same, to keep.
    pub(crate) fn shared_path(&self) -> Arc<Path> {
        Arc::clone(&self.path)
    }

    pub(crate) fn feeds(&self) -> u64 {
        self.row_groups.iter().sum()
    }

    pub(crate) fn row_groups(&self) -> &[u64] {
        &self.row_groups
    }

    /// Whether its candidates have labels.
    pub(crate) fn labelled(&self) -> bool {
        self.columns.labelled
    }
}

/// Where a row group of a split is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowGroupPlace {
    pub(crate) file: usize,
    pub(crate) index: usize,
}

/// Every row group, in the order of the files.
pub(crate) fn row_groups(files: &[FeedFile]) -> Vec<RowGroupPlace> {
    let of_file = |(file, feeds): (usize, &FeedFile)| {
        (0..feeds.row_groups.len()).map(move |index| RowGroupPlace { file, index })
    };
    files.iter().enumerate().flat_map(of_file).collect()
}
