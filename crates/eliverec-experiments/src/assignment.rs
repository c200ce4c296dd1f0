//! The slot of a user in a layer: a pure function of the layer's salt and of the user's id, so that callers can compute it
//! without the service (docs/experiments.md has it in Python and in SQL).

use sha2::{Digest, Sha256};

/// Slots of a layer. A share is a multiple of one of them, 0.01 %.
pub const SLOTS: u16 = 10_000;

/// The slot of a user, from 0 to [`SLOTS`] - 1: the first eight hexadecimal digits of the SHA-256 of `SALT:USER`, modulo [`SLOTS`].
///
/// `user` is the id as callers write it: text as it is; of an integer its digits, of a negative one those of the same 64 bits without
/// a sign. The low slots are more frequent by a part in 400,000, which no experiment sees.
#[must_use]
pub fn slot(salt: &str, user: &str) -> u16 {
    let hash = Sha256::new().chain_update(salt).chain_update(":").chain_update(user).finalize();
    let [a, b, c, d, ..]: [u8; 32] = hash.into();
    (u32::from_be_bytes([a, b, c, d]) % u32::from(SLOTS)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_other_tools() {
        // `printf ranker:17 | sha256sum` begins with these digits.
        assert_eq!(u32::from(slot("ranker", "17")), 0x45e6_fa43 % 10_000);
        assert_eq!(u32::from(slot("ranker", "anna")), 0x998e_e254 % 10_000);
    }
}
