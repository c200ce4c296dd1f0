//! A saved store, read-only, straight from the page cache: opening reads headers only, rows come in as they are asked
//! for, and any number of processes share one copy. For serving; a search for an id is a binary search in the file.

use std::io::Write;
use std::path::Path;

use eliverec_core::TableSpec;
use eliverec_core::checksum::Checksum;
use eliverec_core::unique::UniqueIds;
use rayon::prelude::*;

use crate::compact::{CompactHeader, Precision, write_vectors};
use crate::error::Error;
use crate::file::{Manifest, check_origin};
use crate::layout::{HEADER_BYTES, Header, Layout};
use crate::mapped_file::MappedFile;
use crate::row::Initial;
use crate::store::{RowReader, ids_of};

/// The tables of a saved store.
#[derive(Debug)]
pub struct MappedStore {
    tables: Vec<MappedTable>,
}

#[derive(Debug)]
struct MappedTable {
    map: MappedFile,
    header: Header,
    layout: Layout,
    checksum: u64,
    spec: TableSpec,
    width: usize,
    rows: usize,
    initial: Initial,
}

impl MappedStore {
    /// Maps what [`Store::save`](crate::Store::save) wrote. Lengths and headers are checked, rows are not: that would
    /// read the whole file; see [`MappedStore::verify`]. They must be the tables of `specs`, in their order, made with `seed`.
    ///
    /// # Errors
    /// [`Error::Damaged`] for truncated or foreign files, [`Error::Mismatch`] for other tables, [`Error::Io`] names the
    /// path.
    pub fn open(directory: &Path, specs: &[TableSpec], seed: u64) -> Result<Self, Error> {
        let manifest = Manifest::read(directory)?;
        manifest.check_names(specs.iter().map(|spec| spec.name.as_str()), directory)?;
        let tables = specs
            .iter()
            .enumerate()
            .map(|(index, spec)| {
                let (file, checksum) = manifest.row_file(index);
                let rows = manifest.vocabularies[index].rows;
                MappedTable::open(&directory.join(file), spec, seed, rows, checksum)
            })
            .collect::<Result<_, Error>>()?;
        Ok(Self { tables })
    }

    /// Reads every byte and compares checksums.
    ///
    /// # Errors
    /// [`Error::Damaged`] names the first file that has changed since it was saved.
    pub fn verify(&self) -> Result<(), Error> {
        self.tables.iter().try_for_each(|table| {
            let mut checksum = Checksum::default();
            checksum.update(&table.map[..table.layout.checksum]);
            if checksum.value() == table.checksum {
                return Ok(());
            }
            let reason = "has changed since it was written (its checksum is wrong)".into();
            Err(Error::Damaged { path: table.map.path().into(), reason })
        })
    }

    /// Rows of all vocabularies.
    pub fn rows(&self) -> usize {
        self.tables.iter().map(|table| table.rows).sum()
    }

    /// Numbers in the rows of all tables.
    pub fn parameters(&self) -> u64 {
        self.tables.iter().map(|table| (table.rows * table.width) as u64).sum()
    }

    /// Writes what reading needs of table number `table`, without what training needs, as
    /// [`CompactRows`](crate::CompactRows) reads it.
    ///
    /// # Errors
    /// [`Error::Config`] for a number that `precision` cannot hold, and what the sink says.
    ///
    /// # Panics
    /// If there are fewer tables.
    pub fn write_compact(
        &self,
        table: usize,
        precision: Precision,
        sink: &mut dyn Write,
    ) -> Result<(), Error> {
        self.tables[table].write_compact(precision, sink)
    }
}

impl RowReader for MappedStore {
    fn gather(&self, unique: &UniqueIds) -> Vec<Vec<f32>> {
        self.tables.par_iter().map(|table| table.gather(ids_of(&table.spec, unique).0)).collect()
    }

    fn read(&self, table: usize, id: u64, to: &mut [f32]) {
        self.tables[table].row(id, to);
    }
}

impl MappedTable {
    fn open(
        path: &Path,
        spec: &TableSpec,
        seed: u64,
        rows: usize,
        checksum: u64,
    ) -> Result<Self, Error> {
        let damaged = |reason: String| Error::Damaged { path: path.into(), reason };
        let map = MappedFile::open(path).map_err(|e| Error::of_kept(path, e))?;
        let header = map.first_chunk().ok_or_else(|| damaged("ends too early".into()))?;
        let (header, layout) = Header::parse(header, map.len() as u64).map_err(damaged)?;
        let saved_name = &map[HEADER_BYTES..][..header.name_bytes as usize];
        let saved_checksum = &map[layout.checksum..];
        if saved_name != spec.name.as_bytes()
            || header.rows != rows as u64
            || saved_checksum != checksum.to_le_bytes()
        {
            return Err(damaged("is not the file that was saved".into()));
        }
        check_origin([header.width as usize, spec.width], [header.seed, seed], path)?;
        Ok(Self {
            width: header.width as usize,
            rows,
            initial: Initial::new(header.seed, &spec.name, &spec.law, header.init_std),
            layout,
            checksum,
            map,
            spec: spec.clone(),
            header,
        })
    }

    fn write_compact(&self, precision: Precision, sink: &mut dyn Write) -> Result<(), Error> {
        let Header { width, rows, seed, init_std, rare_trained, .. } = self.header;
        let name_bytes = self.spec.name.len() as u32;
        let header =
            CompactHeader { precision, width, rows, seed, init_std, name_bytes, rare_trained };
        header.write(&self.spec.name, sink)?;
        let Layout { rare, ids, vectors, .. } = self.layout;
        let rare = &self.map[rare..][..4 * self.width];
        let ids = &self.map[ids..][..8 * self.rows];
        let vectors = &self.map[vectors..][..4 * self.width * self.rows];
        write_vectors(&header, &self.spec.name, [rare, ids, vectors], sink)
    }

    fn gather(&self, ids: &[u64]) -> Vec<f32> {
        let mut block = vec![0.0; ids.len() * self.width];
        for (vector, id) in block.chunks_mut(self.width).zip(ids) {
            self.row(*id, vector);
        }
        block
    }

    /// Writes the row of an id.
    fn row(&self, id: u64, vector: &mut [f32]) {
        match self.find(id) {
            Some(row) => self.read(self.layout.vectors + 4 * self.width * row, vector),
            None if self.header.rare_trained => self.read(self.layout.rare, vector),
            None => self.initial.fill(id, vector),
        }
    }

    fn find(&self, id: u64) -> Option<usize> {
        let (ids, _) = self.map[self.layout.ids..][..8 * self.rows].as_chunks();
        ids.binary_search_by_key(&id, |bytes| u64::from_le_bytes(*bytes)).ok()
    }

    fn read(&self, at: usize, vector: &mut [f32]) {
        let (bytes, _) = self.map[at..][..4 * self.width].as_chunks();
        vector.iter_mut().zip(bytes).for_each(|(x, bytes)| *x = f32::from_le_bytes(*bytes));
    }
}
