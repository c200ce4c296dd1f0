//! A saved store, read-only, straight from the page cache: opening reads headers only, rows come in as they are asked
//! for, and any number of processes share one copy. For serving; a search for an id is a binary search in the file.

use std::path::{Path, PathBuf};

use eliverec_core::TableSpec;
use eliverec_core::checksum::Checksum;
use eliverec_core::unique::UniqueIds;
use fs_err as fs;
use memmap2::Mmap;
use rayon::prelude::*;

use crate::error::Error;
use crate::file::{Manifest, check_origin};
use crate::layout::{HEADER_BYTES, Header, Layout};
use crate::row::Initial;
use crate::store::{RowReader, ids_of};

/// The tables of a saved store.
#[derive(Debug)]
pub struct MappedStore {
    tables: Vec<MappedTable>,
}

#[derive(Debug)]
struct MappedTable {
    path: PathBuf,
    map: Mmap,
    layout: Layout,
    checksum: u64,
    spec: TableSpec,
    width: usize,
    rows: usize,
    initial: Initial,
    rare_trained: bool,
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
                MappedTable::open(directory.join(file), spec, seed, rows, checksum)
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
            Err(Error::Damaged { path: table.path.clone(), reason })
        })
    }

    /// Rows of all vocabularies.
    pub fn rows(&self) -> usize {
        self.tables.iter().map(|table| table.rows).sum()
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
        path: PathBuf,
        spec: &TableSpec,
        seed: u64,
        rows: usize,
        checksum: u64,
    ) -> Result<Self, Error> {
        let damaged = |reason: String| Error::Damaged { path: path.clone(), reason };
        let file = fs::File::open(&path)?;
        if file.metadata()?.len() < HEADER_BYTES as u64 {
            return Err(damaged("ends too early".into()));
        }
        #[expect(unsafe_code, reason = "a memory map can change under its reader")]
        // SAFETY: a save writes row files under temporary names and never again after the rename; it replaces and
        // removes whole files, and a removed file lives as long as its map. Any bytes are valid here, and every
        // access is checked against the length of the map.
        let map = unsafe { Mmap::map(&file) }
            .map_err(|error| damaged(format!("cannot be mapped ({error})")))?;
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
        check_origin([header.width as usize, spec.width], [header.seed, seed], &path)?;
        Ok(Self {
            width: header.width as usize,
            rows,
            initial: Initial::new(header.seed, &spec.name, &spec.law, header.init_std),
            rare_trained: header.rare_trained,
            path,
            layout,
            checksum,
            map,
            spec: spec.clone(),
        })
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
            None if self.rare_trained => self.read(self.layout.rare, vector),
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
