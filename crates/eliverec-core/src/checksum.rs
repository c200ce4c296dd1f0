//! A running checksum over 8-byte words.
//!
//! It finds accidents, not forgery. Word by word it runs at memory speed, which a byte-wise hash does not.

use crate::id::mix;

/// Checksum of a stream of words.
#[derive(Clone, Debug, Default)]
pub struct Checksum {
    state: u64,
    partial: [u8; 8],
    filled: usize,
}

impl Checksum {
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
    }
}
