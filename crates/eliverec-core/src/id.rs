//! 64-bit ids. Numbers stay what they are; text is hashed, so no dictionary has to be kept or shipped.

use std::hash::{BuildHasher, Hasher};

/// The id of a text value: FNV-1a over its UTF-8 bytes, finished with [`mix`].
///
/// Stable across versions and machines: ids are stored in checkpoints.
pub fn text_id(text: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in text.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    mix(hash)
}

/// Builds hashers of ids under a key: ids may be small numbers in sequence, so their bits are mixed, under a key that
/// whoever chooses the ids need not know. SipHash would be several times the cost of a look-up.
#[derive(Clone, Copy, Debug, Default)]
pub struct IdHash {
    /// 0 where nobody can choose ids to collide.
    pub key: u64,
}

impl BuildHasher for IdHash {
    type Hasher = IdHasher;

    fn build_hasher(&self) -> IdHasher {
        IdHasher(self.key)
    }
}

/// The state of one hash.
#[derive(Debug)]
pub struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = mix(self.0 ^ u64::from(*byte));
        }
    }

    fn write_u64(&mut self, id: u64) {
        self.0 = mix(self.0 ^ id);
    }
}

/// Spreads the bits of `x` (the finaliser of SplitMix64): a bijection on 64 bits.
pub const fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_ids_are_stable_and_distinct() {
        assert_eq!(text_id("paris"), text_id("paris"));
        assert_ne!(text_id("paris"), text_id("pariS"));
        assert_ne!(text_id(""), text_id(" "));
    }
}
