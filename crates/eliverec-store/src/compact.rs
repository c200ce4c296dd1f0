//! Rows for reading alone: without accumulators, marks and counters, and if asked in fewer bits. One file per table, mapped.
//!
//! Everything is little-endian; every section starts at a multiple of 8 bytes. Equal rows give equal files.
//!
//! | section | bytes |
//! | --- | --- |
//! | header: magic, version u32, precision u32, width u32, length of the name u32, rows u64, seed u64, `init_std` f32, whether the rare row is trained u32, zeros | 64 |
//! | name | name |
//! | rare row, float32 | 4 width |
//! | ids, ascending | 8 rows |
//! | scales, for int8 alone: float32 | 4 rows |
//! | vectors: float32, float16 or int8 | 4, 2 or 1 width rows |
//!
//! A float16 is the nearest one. An int8 row has a scale of its own, its largest magnitude / 127, so that no number is off by
//! more than half of that. The rare row and the initial values of ids without a row stay float32.

use std::io::{self, Write};
use std::path::Path;
use std::str::FromStr;

use eliverec_core::TableSpec;
use eliverec_core::unique::UniqueIds;
use half::f16;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::file::check_origin;
use crate::layout::padding;
use crate::mapped_file::MappedFile;
use crate::row::Initial;
use crate::store::{RowReader, ids_of};

const MAGIC: [u8; 8] = *b"ELIVCOMP";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 64;

/// Bits of the numbers of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// As trained.
    #[default]
    Float32,
    /// Half the bytes; 11 significant bits.
    Float16,
    /// A quarter of the bytes, and a scale per row.
    Int8,
}

impl Precision {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Float32, Self::Float16, Self::Int8];

    /// As on the command line and in manifests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Float32 => "float32",
            Self::Float16 => "float16",
            Self::Int8 => "int8",
        }
    }

    const fn bytes(self) -> usize {
        match self {
            Self::Float32 => 4,
            Self::Float16 => 2,
            Self::Int8 => 1,
        }
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = Self::ALL.into_iter().find(|precision| precision.name() == text);
        named.ok_or_else(|| format!("no precision {text:?}; give float32, float16 or int8"))
    }
}

/// The header of a file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CompactHeader {
    pub(crate) precision: Precision,
    pub(crate) width: u32,
    pub(crate) rows: u64,
    pub(crate) seed: u64,
    pub(crate) init_std: f32,
    pub(crate) name_bytes: u32,
    pub(crate) rare_trained: bool,
}

/// First bytes of sections.
#[derive(Clone, Copy, Debug)]
struct Sections {
    rare: usize,
    ids: usize,
    scales: usize,
    vectors: usize,
}

impl CompactHeader {
    /// Writes header and name.
    pub(crate) fn write(&self, name: &str, sink: &mut dyn Write) -> io::Result<()> {
        let precision = Precision::ALL.iter().position(|p| *p == self.precision);
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend((precision.unwrap_or_default() as u32).to_le_bytes());
        bytes.extend(self.width.to_le_bytes());
        bytes.extend(self.name_bytes.to_le_bytes());
        bytes.extend(self.rows.to_le_bytes());
        bytes.extend(self.seed.to_le_bytes());
        bytes.extend(self.init_std.to_le_bytes());
        bytes.extend(u32::from(self.rare_trained).to_le_bytes());
        bytes.resize(HEADER_BYTES, 0);
        sink.write_all(&bytes)?;
        padded(name.as_bytes(), sink)
    }

    /// The header in `bytes`, a whole file, and where its sections are. Otherwise what is wrong.
    fn parse(bytes: &[u8]) -> Result<(Self, Sections), String> {
        let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err("ends too early".into());
        };
        if header[..8] != MAGIC {
            return Err("is not a file of compact rows".into());
        }
        let (words, _) = header.as_chunks::<4>();
        let u32_at = |at: usize| u32::from_le_bytes(words[at / 4]);
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        if u32_at(8) != VERSION {
            let version = u32_at(8);
            return Err(format!("has format version {version}, and this program reads {VERSION}"));
        }
        let Some(precision) = Precision::ALL.get(u32_at(12) as usize) else {
            return Err(format!("has numbers of an unknown kind ({})", u32_at(12)));
        };
        let header = Self {
            precision: *precision,
            width: u32_at(16),
            name_bytes: u32_at(20),
            rows: u64_at(24),
            seed: u64_at(32),
            init_std: f32::from_bits(u32_at(40)),
            rare_trained: u32_at(44) != 0,
        };
        let sections = header.sections(bytes.len()).ok_or_else(|| {
            format!("has {} bytes, but its header tells of another length", bytes.len())
        })?;
        Ok((header, sections))
    }

    fn sections(&self, length: usize) -> Option<Sections> {
        // In 128 bits, where no header can overflow.
        let (width, rows) = (u128::from(self.width), u128::from(self.rows));
        let whole = |bytes: u128| bytes.next_multiple_of(8);
        let rare = HEADER_BYTES as u128 + whole(u128::from(self.name_bytes));
        let ids = rare + whole(4 * width);
        let scales = ids + 8 * rows;
        let of_scales = if self.precision == Precision::Int8 { whole(4 * rows) } else { 0 };
        let vectors = scales + of_scales;
        let end = vectors + whole(self.precision.bytes() as u128 * width * rows);
        (end == length as u128 && width > 0 && rows < 1 << 32).then_some(())?;
        let place = |at: u128| usize::try_from(at).ok();
        Some(Sections {
            rare: place(rare)?,
            ids: place(ids)?,
            scales: place(scales)?,
            vectors: place(vectors)?,
        })
    }
}

/// Writes what follows the name: from the bytes of the rare row, of the ids and of the vectors, float32 all of them.
pub(crate) fn write_vectors(
    header: &CompactHeader,
    name: &str,
    [rare, ids, vectors]: [&[u8]; 3],
    sink: &mut dyn Write,
) -> Result<(), Error> {
    let (width, precision) = (header.width as usize, header.precision);
    padded(rare, sink)?;
    padded(ids, sink)?;
    if precision == Precision::Float32 {
        return Ok(padded(vectors, sink)?);
    }
    let rows = || {
        let (numbers, _) = vectors.as_chunks::<4>();
        numbers.chunks_exact(width).zip(ids.as_chunks::<8>().0)
    };
    let numbers = |row: &[[u8; 4]]| -> Vec<f32> {
        row.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    };
    for (row, id) in rows() {
        let unfit = |x: &&f32| !x.is_finite() || !f16::from_f32(**x).is_finite();
        // An int8 row has a scale; of it, only numbers that are none cannot be had.
        let unfit = |x: &&f32| if precision == Precision::Int8 { !x.is_finite() } else { unfit(x) };
        if let Some(x) = numbers(row).iter().find(unfit) {
            let id = u64::from_le_bytes(*id);
            return Err(Error::Config {
                option: format!("{} of vocabulary {name:?}", precision.name()),
                reason: format!("cannot hold {x} in the row of id {id}; write float32"),
            });
        }
    }
    let mut written = 0;
    if precision == Precision::Int8 {
        for (row, _) in rows() {
            sink.write_all(&scale(&numbers(row)).to_le_bytes())?;
            written += 4;
        }
        sink.write_all(&[0; 8][..padding(written)])?;
        written = 0;
    }
    let mut bytes = Vec::with_capacity(2 * width);
    for (row, _) in rows() {
        let row = numbers(row);
        bytes.clear();
        if precision == Precision::Int8 {
            let scale = scale(&row);
            bytes.extend(row.iter().map(|x| quantised(*x, scale).cast_unsigned()));
        } else {
            bytes.extend(row.iter().flat_map(|x| f16::from_f32(*x).to_le_bytes()));
        }
        sink.write_all(&bytes)?;
        written += bytes.len();
    }
    Ok(sink.write_all(&[0; 8][..padding(written)])?)
}

/// `max |x| / 127`
fn scale(row: &[f32]) -> f32 {
    row.iter().fold(0.0_f32, |most, x| most.max(x.abs())) / 127.0
}

/// `round(x / scale)`, 0 in a row of zeros.
fn quantised(x: f32, scale: f32) -> i8 {
    if scale > 0.0 { (x / scale).round().clamp(-127.0, 127.0) as i8 } else { 0 }
}

fn padded(bytes: &[u8], sink: &mut dyn Write) -> io::Result<()> {
    sink.write_all(bytes)?;
    sink.write_all(&[0; 8][..padding(bytes.len())])
}

/// The tables of a bundle, read-only.
#[derive(Debug)]
pub struct CompactRows {
    tables: Vec<CompactTable>,
}

#[derive(Debug)]
struct CompactTable {
    map: MappedFile,
    sections: Sections,
    header: CompactHeader,
    spec: TableSpec,
    initial: Initial,
}

impl CompactRows {
    /// Takes one file per table of `specs`, in their order, made of rows that were trained with `seed`. Whether the bytes are
    /// those that were written is for the caller to know: there are no checksums in the files.
    ///
    /// # Errors
    /// [`Error::Damaged`] for truncated or foreign files, [`Error::Mismatch`] for those of other tables.
    pub fn new(files: Vec<MappedFile>, specs: &[TableSpec], seed: u64) -> Result<Self, Error> {
        assert_eq!(files.len(), specs.len(), "one file per table");
        let tables = files.into_iter().zip(specs);
        let tables = tables.map(|(map, spec)| CompactTable::new(map, spec, seed));
        Ok(Self { tables: tables.collect::<Result<_, Error>>()? })
    }

    /// Rows of all tables.
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.header.rows).sum()
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.tables.iter().map(|table| table.map.len() as u64).sum()
    }
}

impl RowReader for CompactRows {
    fn gather(&self, unique: &UniqueIds) -> Vec<Vec<f32>> {
        self.tables.par_iter().map(|table| table.gather(ids_of(&table.spec, unique).0)).collect()
    }

    fn read(&self, table: usize, id: u64, to: &mut [f32]) {
        self.tables[table].row(id, to);
    }
}

impl CompactTable {
    fn new(map: MappedFile, spec: &TableSpec, seed: u64) -> Result<Self, Error> {
        let path: &Path = map.path();
        let damaged = |reason: String| Error::Damaged { path: path.into(), reason };
        let (header, sections) = CompactHeader::parse(&map).map_err(damaged)?;
        if map[HEADER_BYTES..][..header.name_bytes as usize] != *spec.name.as_bytes() {
            return Err(damaged(format!("holds another table than {:?}", spec.name)));
        }
        check_origin([header.width as usize, spec.width], [header.seed, seed], path)?;
        let initial = Initial::new(header.seed, &spec.name, &spec.law, header.init_std);
        Ok(Self { map, sections, header, spec: spec.clone(), initial })
    }

    fn gather(&self, ids: &[u64]) -> Vec<f32> {
        let width = self.header.width as usize;
        let mut block = vec![0.0; ids.len() * width];
        for (vector, id) in block.chunks_mut(width).zip(ids) {
            self.row(*id, vector);
        }
        block
    }

    /// Writes the row of an id.
    fn row(&self, id: u64, vector: &mut [f32]) {
        match self.find(id) {
            Some(row) => self.read(row, vector),
            None if self.header.rare_trained => floats(&self.map[self.sections.rare..], vector),
            None => self.initial.fill(id, vector),
        }
    }

    fn find(&self, id: u64) -> Option<usize> {
        let ids = &self.map[self.sections.ids..][..8 * self.header.rows as usize];
        ids.as_chunks().0.binary_search_by_key(&id, |bytes| u64::from_le_bytes(*bytes)).ok()
    }

    fn read(&self, row: usize, vector: &mut [f32]) {
        let bytes = self.header.precision.bytes() * vector.len();
        let stored = &self.map[self.sections.vectors + bytes * row..][..bytes];
        match self.header.precision {
            Precision::Float32 => floats(stored, vector),
            Precision::Float16 => {
                let halves = stored.as_chunks().0.iter().map(|bytes| f16::from_le_bytes(*bytes));
                vector.iter_mut().zip(halves).for_each(|(x, half)| *x = half.to_f32());
            }
            Precision::Int8 => {
                let mut scale = [0.0];
                floats(&self.map[self.sections.scales + 4 * row..], &mut scale);
                let whole = stored.iter().map(|byte| f32::from(byte.cast_signed()));
                vector.iter_mut().zip(whole).for_each(|(x, whole)| *x = scale[0] * whole);
            }
        }
    }
}

/// The float32 at the beginning of `bytes`.
fn floats(bytes: &[u8], vector: &mut [f32]) {
    let stored = bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
    vector.iter_mut().zip(stored).for_each(|(x, stored)| *x = stored);
}
