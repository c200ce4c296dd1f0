//! Files of rows that tasks hand to one another: Arrow's stream format under zstd, one file for each shard of the next phase.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::io::{self, BufReader, Read, Write};

use arrow::array::RecordBatch;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use eliverec_core::checksum::Checksum;
use eliverec_tables::events::{NewFile, Store, StoredReader};

use crate::error::Error;
use crate::record::RowsFile;
use crate::rows::{Row, Rows, RowsBuilder, columns};
use crate::shard::shard_of;

/// The lowest level: most of a file is histories, which compress well at any.
const LEVEL: i32 = 1;

/// Files of a task on their way, of which one attempt's never take another's names.
pub(crate) struct RowsFiles(Vec<RowsWriter>);

impl RowsFiles {
    /// So many files in a folder of the exchange.
    pub(crate) fn create(store: &Store, folder: &str, count: u32) -> Result<Self, Error> {
        // Any number that no other attempt has: the standard library's hashers have keys of their own, drawn from the system.
        let attempt = RandomState::new().hash_one(0_u8);
        let create = |i| RowsWriter::create(store, format!("{folder}/{i}-{attempt:016x}.rows"));
        (0..count).map(create).collect::<Result<_, _>>().map(Self)
    }

    /// Adds a row, in which there are so many impressions, to the file of its key.
    pub(crate) fn push(&mut self, row: Row<'_>, impressions: u64) -> Result<(), Error> {
        let of = shard_of(row.key, self.0.len() as u32);
        self.0[of as usize].push(row, impressions)
    }

    /// Gives the files their names.
    pub(crate) fn publish(self) -> Result<Vec<RowsFile>, Error> {
        self.0.into_iter().map(RowsWriter::publish).collect()
    }
}

/// One file on its way.
struct RowsWriter {
    name: String,
    rows: RowsBuilder,
    count: u64,
    impressions: u64,
    writer: StreamWriter<zstd::Encoder<'static, Summed<NewFile>>>,
}

impl RowsWriter {
    fn create(store: &Store, name: String) -> Result<Self, Error> {
        let file = Summed::new(store.create_file(&name)?);
        let writer = StreamWriter::try_new(zstd::Encoder::new(file, LEVEL)?, &columns());
        let writer = writer.map_err(|e| cannot_write(&name, &e))?;
        Ok(Self { name, rows: RowsBuilder::default(), count: 0, impressions: 0, writer })
    }

    fn push(&mut self, row: Row<'_>, impressions: u64) -> Result<(), Error> {
        self.count += 1;
        self.impressions += impressions;
        self.rows.push(row)?;
        self.write_full()
    }

    fn write_full(&mut self) -> Result<(), Error> {
        while let Some(batch) = self.rows.next_full() {
            self.writer.write(&batch).map_err(|e| cannot_write(&self.name, &e))?;
        }
        Ok(())
    }

    fn publish(mut self) -> Result<RowsFile, Error> {
        self.rows.end_batch()?;
        self.write_full()?;
        let Self { name, count: rows, impressions, writer, .. } = self;
        let encoder = writer.into_inner().map_err(|e| cannot_write(&name, &e))?;
        let Summed { inner, checksum, bytes } = encoder.finish()?;
        inner.publish()?;
        Ok(RowsFile { name, bytes, checksum: checksum.value(), rows, impressions })
    }
}

fn cannot_write(name: &str, error: &impl fmt::Display) -> Error {
    Error::Io(io::Error::other(format!("{name}: cannot write: {error}")))
}

/// Reads a file and hands its batches on; gives up quietly if nobody takes them. The last batch comes before the file is known to be
/// what was written: who cannot take back what was made of it asks [`check`] first.
pub(crate) fn read(
    store: &Store,
    file: &RowsFile,
    send: &mut dyn FnMut(RecordBatch) -> bool,
) -> Result<(), Error> {
    let damaged = |e: &dyn fmt::Display| damaged(store, file, e);
    let input = Summed::new(store.open_file(&file.name, file.bytes));
    let decoder = zstd::Decoder::with_buffer(BufReader::new(input)).map_err(|e| damaged(&e))?;
    let mut reader = StreamReader::try_new(decoder, None).map_err(|e| damaged(&e))?;
    let mut rows = 0;
    for batch in &mut reader {
        let batch = batch.map_err(|e| damaged(&e))?;
        rows += batch.num_rows() as u64;
        Rows::of(&batch)?;
        if !send(batch) {
            return Ok(());
        }
    }
    // Whatever stands behind the end of the rows counts, too.
    io::copy(reader.get_mut(), &mut io::sink()).map_err(|e| damaged(&e))?;
    let Summed { checksum, bytes, .. } = reader.get_ref().get_ref().get_ref();
    if (rows, *bytes, checksum.value()) == (file.rows, file.bytes, file.checksum) {
        Ok(())
    } else {
        Err(damaged(&"its content is not what was written"))
    }
}

/// Whether a file is what was written.
pub(crate) fn check(store: &Store, file: &RowsFile) -> Result<(), Error> {
    let read = Checksum::of(store.open_file(&file.name, file.bytes));
    let (bytes, checksum) = read.map_err(|e| damaged(store, file, &e))?;
    if (bytes, checksum.value()) == (file.bytes, file.checksum) {
        Ok(())
    } else {
        Err(damaged(store, file, &"its content is not what was written"))
    }
}

fn damaged(store: &Store, file: &RowsFile, reason: &dyn fmt::Display) -> Error {
    Error::Task { path: store.root().join(&file.name), reason: reason.to_string() }
}

/// Counts and sums the bytes that go through.
struct Summed<T> {
    inner: T,
    checksum: Checksum,
    bytes: u64,
}

impl<T> Summed<T> {
    fn new(inner: T) -> Self {
        Self { inner, checksum: Checksum::default(), bytes: 0 }
    }

    fn add(&mut self, bytes: &[u8]) {
        self.checksum.update(bytes);
        self.bytes += bytes.len() as u64;
    }
}

impl Read for Summed<StoredReader> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(to)?;
        self.add(&to[..read]);
        Ok(read)
    }
}

impl Write for Summed<NewFile> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.add(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::PROBE;

    #[test]
    fn rows_come_back_by_shard_and_damage_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::local(folder.path()).unwrap();
        let mut files = RowsFiles::create(&store, "channels/0-of-1", 3).unwrap();
        let payload = vec![7; 500];
        for key in 0..3_000 {
            files.push(Row::new(key, 5, PROBE, &payload[..key as usize % 500]), key % 2).unwrap();
        }
        let files = files.publish().unwrap();
        assert_eq!(files.iter().map(|file| file.rows).sum::<u64>(), 3_000);
        assert_eq!(files.iter().map(|file| file.impressions).sum::<u64>(), 1_500);
        let mut keys = Vec::new();
        for (i, file) in files.iter().enumerate() {
            check(&store, file).unwrap();
            let mut take = |batch: RecordBatch| {
                for row in Rows::of(&batch).unwrap().iter() {
                    assert_eq!(shard_of(row.key, 3), i as u32);
                    assert_eq!(row.payload, &payload[..row.key as usize % 500]);
                    keys.push(row.key);
                }
                true
            };
            read(&store, file, &mut take).unwrap();
        }
        keys.sort_unstable();
        assert!(keys.into_iter().eq(0..3_000));
        let path = folder.path().join(&files[1].name);
        let whole = fs_err::read(&path).unwrap();
        for at in [0, whole.len() / 2, whole.len() - 1] {
            let mut changed = whole.clone();
            changed[at] ^= 4;
            fs_err::write(&path, changed).unwrap();
            for error in [check(&store, &files[1]), read(&store, &files[1], &mut |_| true)] {
                let message = error.unwrap_err().to_string();
                assert!(message.contains(&files[1].name), "{message}");
            }
        }
        fs_err::remove_file(&path).unwrap();
        assert!(
            check(&store, &files[1]).is_err() && read(&store, &files[1], &mut |_| true).is_err()
        );
    }
}
