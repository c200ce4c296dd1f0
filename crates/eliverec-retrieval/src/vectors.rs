//! Channels' vectors, and the exact scan of those that are live.
//!
//! Vectors are compared by the cosine, without the mean of all channels' vectors: what all channels have in common tells none apart,
//! and would be most of a cosine.
//!
//! The scan lies in memory as it is read: groups of [`LANES`] channels, in each the first numbers of all its channels, then the
//! second ones, and so on. A query's number meets a register of channels' numbers, and nothing is summed across a register. The
//! sums run in the order of a plain loop, so every machine gives the same bits.

use std::io::{BufWriter, Write};
use std::path::Path;

use pulp::Arch;

use crate::error::Error;
use crate::file::{self, Content, Format, Sink};

const FORMAT: Format = Format { magic: b"elivvecs", version: 1, name: "channel vectors" };

/// Channels that are scanned side by side: two registers of the widest kind, so that one sum need not wait for the other.
const LANES: usize = 32;

/// The vectors of many channels, live or not.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelVectors {
    width: usize,
    /// Ascending.
    channels: Vec<u64>,
    /// `[channels, width]`, row-major.
    values: Vec<f32>,
    /// The mean of all vectors `[width]`.
    mean: Vec<f32>,
}

impl ChannelVectors {
    /// The vectors `[channels, width]`, row-major, of channels in any order.
    ///
    /// # Errors
    /// [`Error::Vectors`] for numbers that do not fit or are none, and two vectors of one channel.
    pub fn new(width: usize, channels: &[u64], values: &[f32]) -> Result<Self, Error> {
        let wrong = |reason: String| Err(Error::Vectors(reason));
        let (n, given) = (channels.len(), values.len());
        if width == 0 || n.checked_mul(width) != Some(given) {
            return wrong(format!("{given} numbers for {n} channels of width {width}"));
        }
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by_key(|row| channels[*row]);
        let sorted: Vec<u64> = order.iter().map(|row| channels[*row]).collect();
        if let Some([twice, ..]) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return wrong(format!("channel {twice} has two"));
        }
        if let Some(i) = values.iter().position(|x| !x.is_finite()) {
            let channel = channels[i / width];
            return wrong(format!(
                "that of channel {channel} holds {}, which is no number",
                values[i]
            ));
        }
        let rows = order.iter().flat_map(|row| &values[row * width..(row + 1) * width]);
        let values: Vec<f32> = rows.copied().collect();
        let mut mean = vec![0.0_f64; width];
        for row in values.chunks_exact(width) {
            mean.iter_mut().zip(row).for_each(|(mean, x)| *mean += f64::from(*x) / n as f64);
        }
        let mean = mean.into_iter().map(|mean| mean as f32).collect();
        Ok(Self { width, channels: sorted, values, mean })
    }

    /// Numbers of a vector.
    pub const fn width(&self) -> usize {
        self.width
    }

    /// The channels, in ascending order of ids.
    pub fn channels(&self) -> &[u64] {
        &self.channels
    }

    /// The vector of a channel.
    pub fn of(&self, channel_id: u64) -> Option<&[f32]> {
        let row = self.channels.binary_search(&channel_id).ok()?;
        Some(&self.values[row * self.width..(row + 1) * self.width])
    }

    /// The vectors of live channels, whose ids ascend, ready to be scanned. Channels without a vector, or with one that is the mean
    /// and so has no direction, are left out.
    pub fn of_live(&self, ids: &[u64]) -> LiveVectors {
        let width = self.width;
        let mut places = Vec::new();
        let mut blocks: Vec<f32> = Vec::new();
        for (place, id) in ids.iter().enumerate() {
            let Some(vector) = self.of(*id) else { continue };
            let own: Vec<f32> = vector.iter().zip(&self.mean).map(|(x, mean)| x - mean).collect();
            let Some(length) = norm(&own) else { continue };
            let (block, lane) = (places.len() / LANES, places.len() % LANES);
            if lane == 0 {
                blocks.resize(blocks.len() + LANES * width, 0.0);
            }
            let start = block * LANES * width;
            for (i, x) in own.iter().enumerate() {
                blocks[start + i * LANES + lane] = x / length;
            }
            places.push(place as u32);
        }
        LiveVectors { width, places, blocks }
    }

    /// Writes the file, which appears whole or not at all.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        file::write(path, FORMAT, |sink: &mut Sink<BufWriter<_>>| self.content(sink))
    }

    /// The bytes of the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        file::write_to(Vec::new(), FORMAT, |sink| self.content(sink))
            .expect("a vector takes everything")
    }

    fn content<W: Write>(&self, sink: &mut Sink<W>) -> std::io::Result<()> {
        sink.u64s(&[self.width as u64, self.channels.len() as u64])?;
        sink.u64s(&self.channels)?;
        sink.f32s(&self.values)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Damaged`] for one that is not what [`ChannelVectors::write`] wrote.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::from_bytes(&path.display().to_string(), &eliverec_core::regular::read(path)?)
    }

    /// Reads the bytes of a file called `name`.
    ///
    /// # Errors
    /// As [`ChannelVectors::open`].
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self, Error> {
        let mut content = Content::check(name, bytes, FORMAT)?;
        let (width, count) = (content.u64()?, content.u64()?);
        let channels = content.u64s(count)?;
        let numbers = count.checked_mul(width);
        let numbers = numbers.ok_or_else(|| content.damaged("is shorter than it says"))?;
        let values = content.f32s(numbers)?;
        content.end()?;
        if !channels.is_sorted_by(|a, b| a < b) {
            return Err(content.damaged("its channels are not in order"));
        }
        Self::new(width as usize, &channels, &values)
            .map_err(|error| content.damaged(&error.to_string()))
    }
}

/// The vectors of the channels that are live, without the mean of all, of length 1.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveVectors {
    width: usize,
    /// Of each vector: the place of its channel among the live ones, ascending.
    places: Vec<u32>,
    /// `[blocks, width, LANES]`
    blocks: Vec<f32>,
}

impl LiveVectors {
    /// The places of the channels that have a vector, ascending.
    pub fn places(&self) -> &[u32] {
        &self.places
    }

    /// How many they are.
    pub const fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether no live channel has a vector.
    pub const fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// For each query the cosines to the vectors of [`LiveVectors::places`]; none for a query that has no direction or another width.
    /// All queries share one pass over the vectors, which cost more to fetch than to multiply.
    pub fn cosines(&self, queries: &[Vec<f32>]) -> Vec<Vec<f32>> {
        let unit = |query: &Vec<f32>| {
            let length = norm(query).filter(|_| query.len() == self.width)?;
            Some(query.iter().map(|x| x / length).collect())
        };
        let all: Vec<Option<Vec<f32>>> = queries.iter().map(unit).collect();
        let units: Vec<&[f32]> = all.iter().flatten().map(Vec::as_slice).collect();
        let mut sums = vec![vec![0.0; self.blocks.len() / self.width]; units.len()];
        Arch::new().dispatch(Scan {
            blocks: &self.blocks,
            width: self.width,
            queries: &units,
            sums: &mut sums,
        });
        sums.iter_mut().for_each(|sums| sums.truncate(self.places.len()));
        let mut sums = sums.into_iter();
        let none = |unit: Option<Vec<f32>>| unit.and_then(|_| sums.next()).unwrap_or_default();
        all.into_iter().map(none).collect()
    }
}

/// Dot products of queries with blocks of vectors.
struct Scan<'a> {
    blocks: &'a [f32],
    width: usize,
    queries: &'a [&'a [f32]],
    sums: &'a mut [Vec<f32>],
}

impl pulp::NullaryFnOnce for Scan<'_> {
    type Output = ();

    #[expect(
        clippy::inline_always,
        reason = "only what is inlined is compiled for the wide registers"
    )]
    #[inline(always)]
    fn call(self) {
        for (i, block) in self.blocks.chunks_exact(LANES * self.width).enumerate() {
            let (rows, _) = block.as_chunks::<LANES>();
            for (query, sums) in self.queries.iter().zip(&mut *self.sums) {
                let mut of_block = [0.0; LANES];
                for (row, q) in rows.iter().zip(*query) {
                    for (sum, x) in of_block.iter_mut().zip(row) {
                        *sum += x * q;
                    }
                }
                sums[i * LANES..(i + 1) * LANES].copy_from_slice(&of_block);
            }
        }
    }
}

/// The length of a vector that has a direction.
fn norm(vector: &[f32]) -> Option<f32> {
    let squares: f64 = vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
    let length = squares.sqrt() as f32;
    (length.is_finite() && length > 0.0).then_some(length)
}
