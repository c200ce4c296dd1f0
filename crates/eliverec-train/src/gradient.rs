//! The gradient of one batch: what an update applies, and what several machines would add up.

use std::collections::BTreeMap;

use rayon::prelude::*;

/// Gradients of one update: of the dense parameters by name, of the rows by table.
#[derive(Debug)]
pub struct Gradient {
    /// By parameter name; a parameter that took no part is absent.
    pub dense: BTreeMap<String, Vec<f32>>,
    /// By table, `[u * width]`. Where a batch is trained in shards, those of each shard of this rank one after the other: of its feeds'
    /// distinct ids, and of the ids whose rows it keeps once they were added up.
    pub rows: Vec<Vec<f32>>,
}

impl Gradient {
    /// The global 2-norm, summed in a fixed order: chunks in parallel, then one after the other.
    pub fn norm(&self) -> f64 {
        const CHUNK: usize = 1 << 14;
        let chunks: Vec<&[f32]> =
            self.dense.values().chain(&self.rows).flat_map(|values| values.chunks(CHUNK)).collect();
        let squares: Vec<f64> = chunks.par_iter().map(|chunk| sum_of_squares(chunk)).collect();
        squares.iter().sum::<f64>().sqrt()
    }

    /// Adds `weight` times another gradient of the same batch.
    pub(crate) fn add(&mut self, other: &Self, weight: f32) {
        self.add_dense(&other.dense, weight);
        for (to, from) in self.rows.iter_mut().zip(&other.rows) {
            to.iter_mut().zip(from).for_each(|(to, from)| *to += weight * from);
        }
    }

    /// Adds `weight` times gradients of dense parameters, by name.
    pub(crate) fn add_dense(&mut self, other: &BTreeMap<String, Vec<f32>>, weight: f32) {
        for (name, from) in other {
            let to = self.dense.entry(name.clone()).or_insert_with(|| vec![0.0; from.len()]);
            to.iter_mut().zip(from).for_each(|(to, from)| *to += weight * from);
        }
    }

    /// Scales everything down so that the norm is at most `limit`.
    pub fn clip(&mut self, norm: f64, limit: f32) {
        if norm > f64::from(limit) {
            let factor = (f64::from(limit) / norm) as f32;
            let all = self.dense.values_mut().chain(&mut self.rows);
            all.flatten().for_each(|g| *g *= factor);
        }
    }

    /// The first parameter or table with a gradient that is no number, and that value.
    pub fn not_finite(&self, tables: &[&str]) -> Option<(String, f32)> {
        let bad = |values: &[f32]| values.iter().copied().find(|g| !g.is_finite());
        let dense =
            self.dense.iter().filter_map(|(name, values)| Some((name.clone(), bad(values)?)));
        let rows = tables.iter().zip(&self.rows);
        let rows = rows.filter_map(|(name, values)| Some((format!("table {name}"), bad(values)?)));
        dense.chain(rows).next()
    }
}

/// In lanes: one running sum would wait for each addition to end.
pub(crate) fn sum_of_squares(values: &[f32]) -> f64 {
    let mut lanes = [0.0_f64; 16];
    let (whole, rest) = values.as_chunks::<16>();
    for chunk in whole {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += f64::from(*value).powi(2);
        }
    }
    lanes.iter().sum::<f64>() + rest.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>()
}

/// A number that is none, and where it stood.
#[derive(Debug)]
pub struct NotFinite {
    /// Loss term or gradient.
    pub term: String,
    /// NaN or an infinity.
    pub value: f32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gradient() -> Gradient {
        Gradient { dense: [("w".to_string(), vec![3.0, 0.0])].into(), rows: vec![vec![0.0, 4.0]] }
    }

    #[test]
    fn clipping_keeps_the_direction_and_bounds_the_norm() {
        let mut gradient = gradient();
        assert_eq!(gradient.norm(), 5.0);
        gradient.clip(5.0, 1.0);
        assert!((gradient.norm() - 1.0).abs() < 1e-6);
        assert!((gradient.dense["w"][0] - 0.6).abs() < 1e-6);
        let before = gradient.norm();
        gradient.clip(before, 2.0);
        assert_eq!(gradient.norm(), before);
    }

    #[test]
    fn the_parameter_with_a_broken_gradient_is_named() {
        let names = ["channel"];
        let mut gradient = gradient();
        assert_eq!(gradient.not_finite(&names), None);
        gradient.rows[0][1] = f32::INFINITY;
        assert_eq!(gradient.not_finite(&names), Some(("table channel".into(), f32::INFINITY)));
    }
}
