//! A trunk's own random numbers in training, from named streams.

use eliverec_core::seed::{Random, numbered, stream};

/// The random numbers of one update: a function of the run's seed, the update's number and the stream's name, so that a stream
/// more leaves the others as they were, and a resumed run draws what the unbroken one drew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draws {
    /// Of the run.
    pub seed: u64,
    /// Updates made before.
    pub step: u64,
}

impl Draws {
    /// The stream of a name, at its beginning.
    pub fn stream(&self, name: &str) -> Random {
        Random::new(numbered(stream(self.seed, name), self.step))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_name_and_step_and_begin_anew() {
        let draws = Draws { seed: 3, step: 7 };
        let first = |draws: Draws, name: &str| draws.stream(name).bits();
        assert_eq!(first(draws, "a"), first(draws, "a"));
        assert_ne!(first(draws, "a"), first(draws, "b"));
        assert_ne!(first(draws, "a"), first(Draws { step: 8, ..draws }, "a"));
        assert_eq!(first(draws, "a"), Random::new(numbered(stream(3, "a"), 7)).bits());
    }
}
