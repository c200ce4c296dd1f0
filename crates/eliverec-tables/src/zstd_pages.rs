//! Pages that zstd has packed, of many small column chunks.
//!
//! The Parquet reader makes a context of zstd for each column chunk. Making one asks the processor what it can do, which takes
//! microseconds on a virtual machine, longer than all else about a chunk of one row. Here each thread has one context for all.

use std::cell::RefCell;
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::Compression;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::serialized_reader::SerializedPageReader;
use zstd::bulk::Decompressor;

use crate::contents::Contents;

const MOST_BYTES: usize = 1 << 30;

thread_local! {
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// The pages of a column chunk.
pub(crate) struct ZstdPages {
    /// As they are in the file.
    packed: SerializedPageReader<Contents>,
    /// Bytes that all of them have unpacked, and so at most one.
    most: usize,
}

impl ZstdPages {
    /// Of a chunk that zstd has packed.
    ///
    /// # Errors
    /// A chunk that is not within the file.
    pub(crate) fn new(
        contents: Arc<Contents>,
        column: &ColumnChunkMetaData,
        rows: usize,
    ) -> Result<Self> {
        // A damaged size asks for no more room than small files can need.
        let most = usize::try_from(column.uncompressed_size()).unwrap_or(0).min(MOST_BYTES);
        let as_it_is = column.clone().into_builder().set_compression(Compression::UNCOMPRESSED);
        let packed = SerializedPageReader::new(contents, &as_it_is.build()?, rows, None)?;
        Ok(Self { packed, most })
    }

    fn unpack(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        // A page of nulls alone has no values to pack.
        if bytes.is_empty() {
            return Ok(Vec::new());
        }
        let failed = |error: std::io::Error| ParquetError::General(error.to_string());
        DECOMPRESSOR.with_borrow_mut(|context| {
            let context = match context {
                Some(context) => context,
                none => none.insert(Decompressor::new().map_err(failed)?),
            };
            context.decompress(bytes, self.most).map_err(failed)
        })
    }

    fn unpacked(&self, mut page: Page) -> Result<Page> {
        match &mut page {
            Page::DataPage { buf, .. } | Page::DictionaryPage { buf, .. } => {
                *buf = Bytes::from(self.unpack(buf)?);
            }
            Page::DataPageV2 {
                buf,
                is_compressed: true,
                def_levels_byte_len,
                rep_levels_byte_len,
                ..
            } => {
                let levels = *def_levels_byte_len as usize + *rep_levels_byte_len as usize;
                let Some((levels, values)) = buf.split_at_checked(levels) else {
                    return Err(ParquetError::General("levels are longer than their page".into()));
                };
                let values = self.unpack(values)?;
                *buf = Bytes::from([levels, values.as_slice()].concat());
            }
            Page::DataPageV2 { .. } => {}
        }
        Ok(page)
    }
}

impl Iterator for ZstdPages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for ZstdPages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let page = self.packed.get_next_page()?;
        page.map(|page| self.unpacked(page)).transpose()
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.packed.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.packed.skip_next_page()
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        self.packed.at_record_boundary()
    }
}
