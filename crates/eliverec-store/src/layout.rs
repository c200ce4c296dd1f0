//! Where things stand in the file of one vocabulary. Everything is little-endian; every section starts at a multiple
//! of 8 bytes. Equal states give equal files.
//!
//! | section | bytes |
//! | --- | --- |
//! | header: magic, version u32, width u32, rows u64, counters u64, seed u64, `init_std` f32, `min_count` u32, length of the name u32, rare row's period u32, whether it is trained u32, zero u32 | 64 |
//! | name, filled up with zeros | name |
//! | rare row: vector, accumulator | 8 width |
//! | ids, ascending | 8 rows |
//! | marks: step last seen u64, count u32, period u32 | 16 rows |
//! | vectors, filled up with zeros | 4 width rows |
//! | accumulators, filled up with zeros | 4 width rows |
//! | counters, ascending: id u64, count u32, step last seen u32 | 16 counters |
//! | checksum of everything before | 8 |
//!
//! Vectors stand apart from accumulators, because serving maps the file and touches vectors only.

use std::io;

use crate::codec::Encoder;

pub(crate) const MAGIC: [u8; 8] = *b"ELIVROWS";
pub(crate) const VERSION: u32 = 1;
pub(crate) const HEADER_BYTES: usize = 64;

/// The header of a file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Header {
    pub(crate) width: u32,
    pub(crate) rows: u64,
    pub(crate) counters: u64,
    pub(crate) seed: u64,
    pub(crate) init_std: f32,
    pub(crate) min_count: u32,
    pub(crate) name_bytes: u32,
    pub(crate) rare_period: u32,
    pub(crate) rare_trained: bool,
}

/// First bytes of sections.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Layout {
    pub(crate) rare: usize,
    pub(crate) ids: usize,
    pub(crate) vectors: usize,
    pub(crate) checksum: usize,
}

/// Zeros that follow `bytes` bytes up to a multiple of 8.
pub(crate) fn padding(bytes: usize) -> usize {
    bytes.next_multiple_of(8) - bytes
}

impl Header {
    pub(crate) fn write<W: io::Write>(&self, encoder: &mut Encoder<W>) -> io::Result<()> {
        encoder.bytes(&MAGIC)?;
        encoder.u32(VERSION)?;
        encoder.u32(self.width)?;
        encoder.u64(self.rows)?;
        encoder.u64(self.counters)?;
        encoder.u64(self.seed)?;
        encoder.f32s(&[self.init_std])?;
        encoder.u32(self.min_count)?;
        encoder.u32(self.name_bytes)?;
        encoder.u32(self.rare_period)?;
        encoder.u32(u32::from(self.rare_trained))?;
        encoder.u32(0)
    }

    /// The header in `bytes`, and the layout of a file of `length` bytes. Otherwise what is wrong.
    ///
    /// The length is checked here, before anyone allocates what the header claims.
    pub(crate) fn parse(bytes: &[u8; HEADER_BYTES], length: u64) -> Result<(Self, Layout), String> {
        if bytes[..8] != MAGIC {
            return Err("is not a row file of a store".into());
        }
        let (words, _) = bytes.as_chunks::<4>();
        let u32_at = |at: usize| u32::from_le_bytes(words[at / 4]);
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        let version = u32_at(8);
        if version != VERSION {
            return Err(format!("has format version {version}, and this program reads {VERSION}"));
        }
        let header = Self {
            width: u32_at(12),
            rows: u64_at(16),
            counters: u64_at(24),
            seed: u64_at(32),
            init_std: f32::from_bits(u32_at(40)),
            min_count: u32_at(44),
            name_bytes: u32_at(48),
            rare_period: u32_at(52),
            rare_trained: u32_at(56) != 0,
        };
        let layout = header
            .layout(length)
            .ok_or_else(|| format!("has {length} bytes, but its header tells of another length"))?;
        Ok((header, layout))
    }

    fn layout(&self, length: u64) -> Option<Layout> {
        // In 128 bits, where no header can overflow.
        let (width, rows) = (u128::from(self.width), u128::from(self.rows));
        let rare = (HEADER_BYTES as u128 + u128::from(self.name_bytes)).next_multiple_of(8);
        let ids = rare + 8 * width;
        let vectors = ids + 24 * rows;
        let counters = vectors + 2 * (4 * width * rows).next_multiple_of(8);
        let checksum = counters + 16 * u128::from(self.counters);
        let sound = checksum + 8 == u128::from(length) && width > 0 && rows < 1 << 32;
        let place = |at: u128| usize::try_from(at).ok();
        sound.then_some(())?;
        Some(Layout {
            rare: place(rare)?,
            ids: place(ids)?,
            vectors: place(vectors)?,
            checksum: place(checksum)?,
        })
    }
}
