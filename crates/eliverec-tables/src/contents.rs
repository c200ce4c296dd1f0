//! What a file holds, for the Parquet reader: it asks for every page with several calls of the system, which are most of the cost
//! of a set of thousands of small files, so these are read as a whole.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use bytes::Bytes;
use eliverec_core::regular;
use parquet::errors::Result as ParquetResult;
use parquet::file::reader::{ChunkReader, Length};

/// Files of up to this many bytes are read as a whole.
const SMALL_BYTES: u64 = 1 << 20;

/// A file, open or in memory.
#[derive(Debug)]
pub(crate) enum Contents {
    Large(File),
    Small(Bytes),
}

impl Contents {
    /// Opens a file.
    pub(crate) fn open(path: &Path) -> std::io::Result<Self> {
        let mut file = regular::open(path)?;
        let length = file.metadata()?.len();
        if length > SMALL_BYTES {
            return Ok(Self::Large(file));
        }
        let mut bytes = Vec::with_capacity(length as usize + 1);
        file.read_to_end(&mut bytes)?;
        Ok(Self::Small(bytes.into()))
    }

    /// Bytes that it holds in memory, if it is in memory.
    pub(crate) fn in_memory(&self) -> Option<usize> {
        match self {
            Self::Large(_) => None,
            Self::Small(bytes) => Some(bytes.len()),
        }
    }
}

impl Length for Contents {
    fn len(&self) -> u64 {
        match self {
            Self::Large(file) => Length::len(file),
            Self::Small(bytes) => bytes.len() as u64,
        }
    }
}

impl ChunkReader for Contents {
    type T = Box<dyn Read>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(match self {
            Self::Large(file) => Box::new(file.get_read(start)?),
            Self::Small(bytes) => Box::new(bytes.get_read(start)?),
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        match self {
            Self::Large(file) => file.get_bytes(start, length),
            Self::Small(bytes) => bytes.get_bytes(start, length),
        }
    }
}
