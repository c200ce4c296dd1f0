//! What a row starts from and what is noted about it besides its numbers.

use eliverec_core::seed::{Random, numbered, stream};

/// Notes about the row of an id.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Mark {
    pub(crate) id: u64,
    /// Step of the last training batch that had the id.
    pub(crate) seen: u64,
    /// Occurrences in training, saturating.
    pub(crate) count: u32,
    /// Decays that the accumulator has gone through, saturating.
    pub(crate) period: u32,
}

/// Initial values of a vocabulary: N(0, std^2), a function of (seed, vocabulary, id) alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Initial {
    rows: u64,
    rare: u64,
    std: f64,
}

impl Initial {
    pub(crate) fn new(seed: u64, vocabulary: &str, std: f32) -> Self {
        Self {
            rows: stream(seed, &format!("init/{vocabulary}")),
            rare: stream(seed, &format!("init/{vocabulary}/rare")),
            std: f64::from(std),
        }
    }

    /// Writes the initial vector of `id`.
    pub(crate) fn fill(&self, id: u64, vector: &mut [f32]) {
        fill_normal(numbered(self.rows, id), self.std, vector);
    }

    /// Writes the initial vector of the row that rare ids share.
    pub(crate) fn fill_rare(&self, vector: &mut [f32]) {
        fill_normal(self.rare, self.std, vector);
    }
}

/// Box and Muller, both outcomes of each pair: half the logarithms of [`Random::normal`].
fn fill_normal(seed: u64, std: f64, vector: &mut [f32]) {
    let mut random = Random::new(seed);
    for pair in vector.chunks_mut(2) {
        let radius = std * (-2.0 * (1.0 - random.uniform()).ln()).sqrt();
        let (sine, cosine) = (std::f64::consts::TAU * random.uniform()).sin_cos();
        for (x, direction) in pair.iter_mut().zip([cosine, sine]) {
            *x = (radius * direction) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_normal_and_belong_to_seed_vocabulary_and_id() {
        let initial = Initial::new(3, "channel", 0.05);
        let row = |initial: &Initial, id| {
            let mut vector = [0.0; 8];
            initial.fill(id, &mut vector);
            vector
        };
        assert_eq!(row(&initial, 5), row(&Initial::new(3, "channel", 0.05), 5));
        assert_ne!(row(&initial, 5), row(&initial, 6));
        assert_ne!(row(&initial, 5), row(&Initial::new(4, "channel", 0.05), 5));
        assert_ne!(row(&initial, 5), row(&Initial::new(3, "product", 0.05), 5));

        let draws: Vec<f64> =
            (0..4_000).flat_map(|id| row(&initial, id)).map(|x| f64::from(x) / 0.05).collect();
        let moment = |k| draws.iter().map(|x: &f64| x.powi(k)).sum::<f64>() / draws.len() as f64;
        assert!(moment(1).abs() < 0.03, "mean {}", moment(1));
        assert!((moment(2) - 1.0).abs() < 0.03, "variance {}", moment(2));
        assert!((moment(4) - 3.0).abs() < 0.2, "fourth moment {}", moment(4));
        let products = draws.chunks(2).map(|pair| pair[0] * pair[1]).sum::<f64>();
        assert!((products / draws.len() as f64).abs() < 0.03, "neighbours are independent");
    }
}
