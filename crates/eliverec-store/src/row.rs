//! What a row starts from and what is noted about it besides its numbers.

use eliverec_core::seed::{Random, numbered, stream};
use eliverec_core::table::RowLaw;

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

/// Initial values of a table: normal with mean 0 or zero, a function of (seed, table, id) alone.
#[derive(Clone, Debug)]
pub(crate) struct Initial {
    rows: u64,
    rare: u64,
    /// Length and standard deviation of each part of a row; the last goes on to the row's end.
    parts: Vec<(usize, f64)>,
}

impl Initial {
    /// `std` is that of tables which leave it to the store.
    pub(crate) fn new(seed: u64, table: &str, law: &RowLaw, std: f32) -> Self {
        let parts = match law {
            RowLaw::Store => vec![(usize::MAX, f64::from(std))],
            RowLaw::Zero => Vec::new(),
            RowLaw::Normal(parts) => parts.iter().map(|(n, sd)| (*n, f64::from(*sd))).collect(),
        };
        Self {
            rows: stream(seed, &format!("init/{table}")),
            rare: stream(seed, &format!("init/{table}/rare")),
            parts,
        }
    }

    /// Writes the initial vector of `id`.
    pub(crate) fn fill(&self, id: u64, vector: &mut [f32]) {
        self.fill_from(numbered(self.rows, id), vector);
    }

    /// Writes the initial vector of the row that rare ids share.
    pub(crate) fn fill_rare(&self, vector: &mut [f32]) {
        self.fill_from(self.rare, vector);
    }

    fn fill_from(&self, seed: u64, vector: &mut [f32]) {
        vector.fill(0.0);
        let (mut random, mut rest) = (Random::new(seed), vector);
        for (length, std) in &self.parts {
            let (part, after) = rest.split_at_mut((*length).min(rest.len()));
            fill_normal(&mut random, *std, part);
            rest = after;
        }
    }
}

/// Box and Muller, both outcomes of each pair: half the logarithms of [`Random::normal`].
fn fill_normal(random: &mut Random, std: f64, vector: &mut [f32]) {
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
        let initial = Initial::new(3, "channel", &RowLaw::Store, 0.05);
        let row = |initial: &Initial, id| {
            let mut vector = [0.0; 8];
            initial.fill(id, &mut vector);
            vector
        };
        assert_eq!(row(&initial, 5), row(&Initial::new(3, "channel", &RowLaw::Store, 0.05), 5));
        assert_ne!(row(&initial, 5), row(&initial, 6));
        assert_ne!(row(&initial, 5), row(&Initial::new(4, "channel", &RowLaw::Store, 0.05), 5));
        assert_ne!(row(&initial, 5), row(&Initial::new(3, "product", &RowLaw::Store, 0.05), 5));

        let draws: Vec<f64> =
            (0..4_000).flat_map(|id| row(&initial, id)).map(|x| f64::from(x) / 0.05).collect();
        let moment = |k| draws.iter().map(|x: &f64| x.powi(k)).sum::<f64>() / draws.len() as f64;
        assert!(moment(1).abs() < 0.03, "mean {}", moment(1));
        assert!((moment(2) - 1.0).abs() < 0.03, "variance {}", moment(2));
        assert!((moment(4) - 3.0).abs() < 0.2, "fourth moment {}", moment(4));
        let products = draws.chunks(2).map(|pair| pair[0] * pair[1]).sum::<f64>();
        assert!((products / draws.len() as f64).abs() < 0.03, "neighbours are independent");
    }

    #[test]
    fn parts_have_deviations_of_their_own_and_zero_is_zero() {
        let law = RowLaw::Normal(vec![(4, 0.5), (3, 0.0)]);
        let mut vector = [1.0; 7];
        Initial::new(3, "own", &law, 0.05).fill(9, &mut vector);
        let mut alone = [1.0; 4];
        Initial::new(3, "own", &RowLaw::Store, 0.5).fill(9, &mut alone);
        assert_eq!(vector[..4], alone);
        assert_eq!(vector[4..], [0.0; 3]);
        Initial::new(3, "own", &RowLaw::Zero, 0.05).fill(9, &mut alone);
        assert_eq!(alone, [0.0; 4]);
    }
}
