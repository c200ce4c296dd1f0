//! Little-endian numbers to and from streams, with a running checksum.

use std::io::{self, Read, Write};

use eliverec_core::checksum::Checksum;

/// Numbers that pass through the buffer of one call.
const CHUNK: usize = 1024;

/// Writes numbers.
#[derive(Debug)]
pub(crate) struct Encoder<W> {
    sink: W,
    checksum: Checksum,
}

impl<W: Write> Encoder<W> {
    pub(crate) fn new(sink: W) -> Self {
        Self { sink, checksum: Checksum::default() }
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.checksum.update(bytes);
        self.sink.write_all(bytes)
    }

    pub(crate) fn u32(&mut self, number: u32) -> io::Result<()> {
        self.bytes(&number.to_le_bytes())
    }

    pub(crate) fn u64(&mut self, number: u64) -> io::Result<()> {
        self.bytes(&number.to_le_bytes())
    }

    pub(crate) fn f32s(&mut self, numbers: &[f32]) -> io::Result<()> {
        let mut buffer = [[0; 4]; CHUNK];
        for chunk in numbers.chunks(CHUNK) {
            let bytes = &mut buffer[..chunk.len()];
            bytes.iter_mut().zip(chunk).for_each(|(bytes, x)| *bytes = x.to_le_bytes());
            self.bytes(bytes.as_flattened())?;
        }
        Ok(())
    }

    /// Ends with the checksum of everything before it, and returns that with the sink.
    pub(crate) fn finish(mut self) -> io::Result<(u64, W)> {
        let checksum = self.checksum.value();
        self.u64(checksum)?;
        Ok((checksum, self.sink))
    }
}

/// Reads numbers.
#[derive(Debug)]
pub(crate) struct Decoder<R> {
    source: R,
    checksum: Checksum,
}

impl<R: Read> Decoder<R> {
    pub(crate) fn new(source: R) -> Self {
        Self { source, checksum: Checksum::default() }
    }

    pub(crate) fn bytes(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.source.read_exact(bytes)?;
        self.checksum.update(bytes);
        Ok(())
    }

    pub(crate) fn u32(&mut self) -> io::Result<u32> {
        let mut bytes = [0; 4];
        self.bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    pub(crate) fn u64(&mut self) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    pub(crate) fn f32s(&mut self, numbers: &mut [f32]) -> io::Result<()> {
        let mut buffer = [[0; 4]; CHUNK];
        for chunk in numbers.chunks_mut(CHUNK) {
            let bytes = &mut buffer[..chunk.len()];
            self.bytes(bytes.as_flattened_mut())?;
            chunk.iter_mut().zip(bytes).for_each(|(x, bytes)| *x = f32::from_le_bytes(*bytes));
        }
        Ok(())
    }

    /// The checksum of what was read, and the one that stands at the end.
    pub(crate) fn finish(mut self) -> io::Result<(u64, u64)> {
        let computed = self.checksum.value();
        Ok((computed, self.u64()?))
    }
}
