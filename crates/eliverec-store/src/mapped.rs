//! A saved store, or the several that have the rows among them, read-only, straight from the page cache: opening reads headers only, rows come in as they are asked
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
use crate::shard::shard_of;
use crate::store::{RowReader, ids_of};

/// The tables of a saved store.
#[derive(Debug)]
pub struct MappedStore {
    tables: Vec<ShardedTable>,
}

/// One table: a file of each store that has rows of it.
#[derive(Debug)]
struct ShardedTable {
    shards: Vec<MappedTable>,
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
    /// Maps what [`Store::save`](crate::Store::save) wrote into `directories`: one, or those of the stores that have the rows of an id
    /// by [`shard_of`], in their order. Lengths and headers are checked, rows are not: that would read the whole file; see
    /// [`MappedStore::verify`]. They must be the tables of `specs`, in their order, made with `seed`.
    ///
    /// # Errors
    /// [`Error::Damaged`] for truncated or foreign files, [`Error::Mismatch`] for other tables, [`Error::Io`] names the
    /// path.
    pub fn open(
        directories: &[impl AsRef<Path>],
        specs: &[TableSpec],
        seed: u64,
    ) -> Result<Self, Error> {
        let mut tables: Vec<ShardedTable> =
            specs.iter().map(|_| ShardedTable { shards: Vec::new() }).collect();
        for directory in directories {
            let directory = directory.as_ref();
            let manifest = Manifest::read(directory)?;
            manifest.check_names(specs.iter().map(|spec| spec.name.as_str()), directory)?;
            for (index, (table, spec)) in tables.iter_mut().zip(specs).enumerate() {
                let (file, checksum) = manifest.row_file(index);
                let rows = manifest.vocabularies[index].rows;
                let path = directory.join(file);
                table.shards.push(MappedTable::open(&path, spec, seed, rows, checksum)?);
            }
        }
        Ok(Self { tables })
    }

    /// Reads every byte and compares checksums.
    ///
    /// # Errors
    /// [`Error::Damaged`] names the first file that has changed since it was saved.
    pub fn verify(&self) -> Result<(), Error> {
        self.tables.iter().flat_map(|table| &table.shards).try_for_each(|table| {
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
        self.tables.iter().map(ShardedTable::rows).sum()
    }

    /// Numbers in the rows of all tables.
    pub fn parameters(&self) -> u64 {
        self.tables.iter().map(|table| (table.rows() * table.width()) as u64).sum()
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
        let ids = |table: &ShardedTable| ids_of(&table.shards[0].spec, unique).0;
        self.tables.par_iter().map(|table| table.gather(ids(table))).collect()
    }

    fn read(&self, table: usize, id: u64, to: &mut [f32]) {
        self.tables[table].row(id, to);
    }
}

impl ShardedTable {
    fn rows(&self) -> usize {
        self.shards.iter().map(|shard| shard.rows).sum()
    }

    fn width(&self) -> usize {
        self.shards[0].width
    }

    fn gather(&self, ids: &[u64]) -> Vec<f32> {
        let mut block = vec![0.0; ids.len() * self.width()];
        for (vector, id) in block.chunks_mut(self.width()).zip(ids) {
            self.row(*id, vector);
        }
        block
    }

    /// Writes the row of an id.
    fn row(&self, id: u64, vector: &mut [f32]) {
        self.shards[shard_of(id, self.shards.len())].row(id, vector);
    }

    fn write_compact(&self, precision: Precision, sink: &mut dyn Write) -> Result<(), Error> {
        let MappedTable { map, header, layout, spec, .. } = &self.shards[0];
        let Header { width, seed, init_std, rare_trained, .. } = *header;
        let (rows, name_bytes) = (self.rows() as u64, spec.name.len() as u32);
        let header =
            CompactHeader { precision, width, rows, seed, init_std, name_bytes, rare_trained };
        header.write(&spec.name, sink)?;
        let rare = &map[layout.rare..][..4 * width as usize];
        if let [only] = self.shards.as_slice() {
            return write_vectors(&header, &spec.name, [rare, only.ids(), only.vectors()], sink);
        }
        let mut all: Vec<(&[u8; 8], &[u8])> = Vec::with_capacity(self.rows());
        for shard in &self.shards {
            let vectors = shard.vectors().chunks_exact(4 * shard.width);
            all.extend(shard.ids().as_chunks::<8>().0.iter().zip(vectors));
        }
        all.sort_unstable_by_key(|(id, _)| u64::from_le_bytes(**id));
        let ids: Vec<u8> = all.iter().flat_map(|(id, _)| **id).collect();
        let vectors: Vec<u8> = all.iter().flat_map(|(_, vector)| *vector).copied().collect();
        write_vectors(&header, &spec.name, [rare, &ids, &vectors], sink)
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

    /// Writes the row of an id.
    fn row(&self, id: u64, vector: &mut [f32]) {
        match self.find(id) {
            Some(row) => self.read(self.layout.vectors + 4 * self.width * row, vector),
            None if self.header.rare_trained => self.read(self.layout.rare, vector),
            None => self.initial.fill(id, vector),
        }
    }

    fn ids(&self) -> &[u8] {
        &self.map[self.layout.ids..][..8 * self.rows]
    }

    fn vectors(&self) -> &[u8] {
        &self.map[self.layout.vectors..][..4 * self.width * self.rows]
    }

    fn find(&self, id: u64) -> Option<usize> {
        let (ids, _) = self.ids().as_chunks();
        ids.binary_search_by_key(&id, |bytes| u64::from_le_bytes(*bytes)).ok()
    }

    fn read(&self, at: usize, vector: &mut [f32]) {
        let (bytes, _) = self.map[at..][..4 * self.width].as_chunks();
        vector.iter_mut().zip(bytes).for_each(|(x, bytes)| *x = f32::from_le_bytes(*bytes));
    }
}
