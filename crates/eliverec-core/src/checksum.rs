//! A running checksum over 8-byte words.
//!
//! It finds accidents, not forgery. Word by word it runs at memory speed, which a byte-wise hash does not.

use std::io::{BufRead, BufReader, Read};

use crate::id::mix;

/// What is read at a time.
const READ_BYTES: usize = 1 << 20;

/// Checksum of a stream of words.
#[derive(Clone, Debug, Default)]
pub struct Checksum {
    state: u64,
    partial: [u8; 8],
    filled: usize,
}

impl Checksum {
    /// Of all that a reader gives, and how many bytes that is: the last word is filled up with zeros, which the size tells apart.
    ///
    /// # Errors
    /// What the reader says.
    pub fn of(reader: impl Read) -> std::io::Result<(u64, Self)> {
        let mut reader = BufReader::with_capacity(READ_BYTES, reader);
        let (mut checksum, mut size) = (Self::default(), 0);
        loop {
            let bytes = reader.fill_buf()?;
            let read = bytes.len();
            if read == 0 {
                return Ok((size, checksum));
            }
            checksum.update(bytes);
            size += read as u64;
            reader.consume(read);
        }
    }

    /// Takes in the next bytes of the stream.
    pub fn update(&mut self, mut bytes: &[u8]) {
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
    pub fn value(&self) -> u64 {
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
        let (size, read) = Checksum::of(bytes.as_slice()).unwrap();
        assert_eq!((size, read.value()), (61, whole));
    }
}
