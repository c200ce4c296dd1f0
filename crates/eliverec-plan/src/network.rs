//! How long collective operations take: alpha seconds a message whatever its size, and beta seconds a byte (R. W. Hockney, "The
//! communication challenge for MPP", 1994), with ranks that send to each other pair by pair, as training does. What adding numbers up costs is left out, and so
//! are links that several ranks share: it is the least that a network of full bisection takes.

use serde::Serialize;

/// A network.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Network {
    /// Seconds of a message.
    pub alpha_s: f64,
    /// Seconds of a byte.
    pub beta_s_per_byte: f64,
}

impl Network {
    /// Seconds in which each of `ranks` has the sums of what all have, `bytes` each: it gets its part from every other one and sends them the
    /// sums; each rank sends [`crate::traffic::all_reduce_bytes`].
    pub fn all_reduce_s(self, ranks: u32, bytes: f64) -> f64 {
        2.0 * self.all_to_all_s(ranks, crate::traffic::all_reduce_bytes(ranks, bytes) / 2.0)
    }

    /// Seconds in which each of `ranks` sends every other one its part, `sent` bytes in all: pair by pair.
    pub fn all_to_all_s(self, ranks: u32, sent: f64) -> f64 {
        f64::from(ranks - 1) * self.alpha_s + sent * self.beta_s_per_byte
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NETWORK: Network = Network { alpha_s: 1.0, beta_s_per_byte: 0.01 };

    #[test]
    fn one_rank_sends_nothing() {
        assert_eq!(NETWORK.all_reduce_s(1, 1e6), 0.0);
        assert_eq!(NETWORK.all_to_all_s(1, 0.0), 0.0);
    }

    #[test]
    fn messages_and_bytes_cost_what_they_cost() {
        // Three others each way of four ranks, and twice three quarters of the bytes.
        assert_eq!(NETWORK.all_reduce_s(4, 1_000.0), 6.0 + 15.0);
        assert_eq!(NETWORK.all_reduce_s(5, 0.0), 8.0);
        assert_eq!(NETWORK.all_to_all_s(4, 300.0), 3.0 + 3.0);
    }
}
