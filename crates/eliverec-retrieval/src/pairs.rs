//! How often each pair of numbers was given, exactly and in bounded memory: what does not fit goes to disk in sorted runs, which
//! are merged in the end. The temporary files have no names, so a killed process leaves none.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Two numbers.
pub(crate) type Pair = (u64, u64);

/// Runs that are merged at once; each has a buffer while it is read.
const MOST_RUNS: usize = 64;
const RUN_BUFFER_BYTES: usize = 64 << 10;
const RECORD_BYTES: usize = 20;

#[derive(Debug)]
pub(crate) struct PairCounter {
    buffer: Vec<Pair>,
    limit: usize,
    runs: Vec<File>,
    directory: PathBuf,
    /// Runs written so far, those that were merged on the way included.
    written: u64,
}

impl PairCounter {
    /// Holds at most `memory_bytes`, and beside it a little per run; runs lie in `directory`.
    pub(crate) fn new(memory_bytes: usize, directory: &Path) -> Self {
        let limit = (memory_bytes / size_of::<Pair>()).max(2);
        Self {
            buffer: Vec::new(),
            limit,
            runs: Vec::new(),
            directory: directory.into(),
            written: 0,
        }
    }

    pub(crate) fn push(&mut self, pair: Pair) -> Result<(), Error> {
        if self.buffer.len() == self.limit {
            self.spill()?;
        }
        if self.buffer.len() == self.buffer.capacity() {
            // Doubling would take half as much again as the limit says.
            let (length, room) = (self.buffer.len(), self.limit - self.buffer.len());
            let more = length.max(1024).min(room);
            self.buffer.reserve_exact(more);
        }
        self.buffer.push(pair);
        Ok(())
    }

    /// How many runs went to disk.
    pub(crate) const fn written(&self) -> u64 {
        self.written
    }

    fn spill(&mut self) -> Result<(), Error> {
        if self.runs.len() == MOST_RUNS {
            let merged = Merge::new(std::mem::take(&mut self.runs), Vec::new())?;
            self.write(merged)?;
        }
        self.buffer.sort_unstable();
        let buffer = std::mem::take(&mut self.buffer);
        self.write(counted(&buffer).map(Ok))?;
        self.buffer = buffer;
        self.buffer.clear();
        Ok(())
    }

    fn write(
        &mut self,
        records: impl Iterator<Item = Result<(Pair, u32), Error>>,
    ) -> Result<(), Error> {
        let mut out = BufWriter::new(tempfile::tempfile_in(&self.directory)?);
        for record in records {
            let ((a, b), count) = record?;
            out.write_all(&a.to_le_bytes())?;
            out.write_all(&b.to_le_bytes())?;
            out.write_all(&count.to_le_bytes())?;
        }
        let mut run = out.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        run.rewind()?;
        self.runs.push(run);
        self.written += 1;
        Ok(())
    }

    /// Every pair once with its count, in ascending order.
    pub(crate) fn finish(mut self) -> Result<Merge, Error> {
        self.buffer.sort_unstable();
        Merge::new(self.runs, self.buffer)
    }
}

/// The pairs of a sorted list with their counts.
fn counted(sorted: &[Pair]) -> impl Iterator<Item = (Pair, u32)> + '_ {
    sorted.chunk_by(|a, b| a == b).map(|equal| (equal[0], equal.len() as u32))
}

/// Sorted runs as one.
#[derive(Debug)]
pub(crate) struct Merge {
    runs: Vec<Run>,
    heads: BinaryHeap<Reverse<(Pair, usize, u32)>>,
}

#[derive(Debug)]
enum Run {
    File(BufReader<File>),
    Memory(std::vec::IntoIter<Pair>),
}

impl Run {
    fn next(&mut self) -> Result<Option<(Pair, u32)>, Error> {
        match self {
            Self::Memory(pairs) => Ok(pairs.next().map(|pair| (pair, 1))),
            Self::File(file) => {
                let mut record = [0; RECORD_BYTES];
                match file.read_exact(&mut record) {
                    Ok(()) => {}
                    Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
                    Err(e) => return Err(e.into()),
                }
                let (pair, count) = record.split_at(16);
                let (words, _) = pair.as_chunks::<8>();
                let count = count.iter().rev().fold(0, |all, byte| all << 8 | u32::from(*byte));
                Ok(Some(((u64::from_le_bytes(words[0]), u64::from_le_bytes(words[1])), count)))
            }
        }
    }
}

impl Merge {
    fn new(runs: Vec<File>, sorted: Vec<Pair>) -> Result<Self, Error> {
        let files =
            runs.into_iter().map(|run| Run::File(BufReader::with_capacity(RUN_BUFFER_BYTES, run)));
        let runs = files.chain([Run::Memory(sorted.into_iter())]).collect();
        let mut merge = Self { runs, heads: BinaryHeap::new() };
        for run in 0..merge.runs.len() {
            merge.advance(run)?;
        }
        Ok(merge)
    }

    fn advance(&mut self, run: usize) -> Result<(), Error> {
        if let Some((pair, count)) = self.runs[run].next()? {
            self.heads.push(Reverse((pair, run, count)));
        }
        Ok(())
    }

    fn step(&mut self) -> Result<Option<(Pair, u32)>, Error> {
        let Some(Reverse((pair, run, mut count))) = self.heads.pop() else { return Ok(None) };
        self.advance(run)?;
        while let Some(Reverse((next, run, more))) = self.heads.peek().copied() {
            if next != pair {
                break;
            }
            self.heads.pop();
            count += more;
            self.advance(run)?;
        }
        Ok(Some((pair, count)))
    }
}

impl Iterator for Merge {
    type Item = Result<(Pair, u32), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use eliverec_core::seed::Random;

    use super::*;

    #[test]
    fn counts_do_not_depend_on_the_memory() {
        let mut random = Random::new(1);
        let pairs: Vec<Pair> =
            (0..5_000).map(|_| (random.below(40) as u64, random.below(30) as u64)).collect();
        let mut expected: BTreeMap<Pair, u32> = BTreeMap::new();
        pairs.iter().for_each(|pair| *expected.entry(*pair).or_default() += 1);
        let directory = tempfile::tempdir().unwrap();
        // All in memory; a few runs; so many that runs are merged on the way.
        for (bytes, runs) in [(1 << 20, 0), (16 << 10, 4), (16 * 30, 168)] {
            let mut counter = PairCounter::new(bytes, directory.path());
            pairs.iter().for_each(|pair| counter.push(*pair).unwrap());
            assert_eq!(counter.written(), runs);
            assert!(counter.buffer.capacity() * size_of::<Pair>() <= bytes.max(32));
            let counts: Vec<(Pair, u32)> = counter.finish().unwrap().map(Result::unwrap).collect();
            assert_eq!(counts, expected.clone().into_iter().collect::<Vec<_>>());
        }
        assert_eq!(fs_err::read_dir(directory.path()).unwrap().count(), 0);
    }
}
