//! Little-endian numbers to and from streams, with a running checksum over 8-byte words.
//!
//! The checksum finds accidents, not forgery. Word by word it runs at memory speed, which a byte-wise hash does not.

use std::io::{self, Read, Write};

use eliverec_core::id::mix;

/// Numbers that pass through the buffer of one call.
const CHUNK: usize = 1024;

/// Checksum of a stream of words.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checksum {
    state: u64,
    partial: [u8; 8],
    filled: usize,
}

impl Checksum {
    pub(crate) fn update(&mut self, mut bytes: &[u8]) {
        if self.filled > 0 {
            let taken = bytes.len().min(8 - self.filled);
            self.partial[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
            self.filled += taken;
            bytes = &bytes[taken..];
            if self.filled < 8 {
                return;
            }
            self.word(self.partial);
            self.filled = 0;
        }
        let (words, rest) = bytes.as_chunks();
        words.iter().for_each(|word| self.word(*word));
        self.partial[..rest.len()].copy_from_slice(rest);
        self.filled = rest.len();
    }

    /// The checksum of everything so far; the last word is filled up with zeros.
    pub(crate) fn value(&self) -> u64 {
        let mut last = self.clone();
        if self.filled > 0 {
            last.partial[self.filled..].fill(0);
            last.word(last.partial);
        }
        last.state
    }

    fn word(&mut self, word: [u8; 8]) {
        // The constant makes words of zeros count.
        self.state =
            mix((self.state ^ u64::from_le_bytes(word)).wrapping_add(0x9e37_79b9_7f4a_7c15));
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_does_not_depend_on_the_pieces_and_sees_every_byte() {
        let bytes: Vec<u8> = (0..61).collect();
        let of = |pieces: &[&[u8]]| {
            let mut checksum = Checksum::default();
            pieces.iter().for_each(|piece| checksum.update(piece));
            checksum.value()
        };
        let whole = of(&[&bytes]);
        for cut in 0..bytes.len() {
            assert_eq!(of(&[&bytes[..cut], &bytes[cut..]]), whole);
            let mut changed = bytes.clone();
            changed[cut] ^= 1;
            assert_ne!(of(&[&changed]), whole);
        }
        assert_ne!(of(&[&[0; 8]]), of(&[&[0; 16]]));
    }
}
