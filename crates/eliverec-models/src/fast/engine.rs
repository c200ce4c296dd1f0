//! The products of the fast path: rows by weights on the user's side, weights by lanes on the candidates'.
//!
//! Weights of the user's side lie in panels of as many columns as a tile has, each panel in one piece: read at the stride of a whole
//! matrix, a power of two as a rule, its rows would meet in few sets of the cache.

use pulp::Arch;

use super::weight::Weight;
use crate::fused::product::{Left, Product, TileColumns, Write};
use crate::fused::rows::{Loop, RowLoop};

/// Compiles loops for the machine, and counts what products do.
#[derive(Debug)]
pub(super) struct Engine {
    pub(super) arch: Arch,
    /// Floating-point operations of all products so far, those of padding left out.
    pub(super) operations: u64,
}

impl Default for Engine {
    fn default() -> Self {
        Self { arch: Arch::new(), operations: 0 }
    }
}

impl Engine {
    /// Runs a loop over rows.
    pub(super) fn run<R: RowLoop>(&self, rows: R) {
        self.arch.dispatch(Loop(rows));
    }

    /// `to [m, out] = x [m, in] W`.
    pub(super) fn rows(&mut self, to: &mut [f32], x: &[f32], panels: &Panels) {
        let (k, n) = (panels.inputs, panels.outputs);
        let m = to.len() / n;
        if m == 0 {
            return;
        }
        self.operations += 2 * (m * k * n) as u64;
        for column in (0..n).step_by(panels.columns) {
            let width = panels.columns.min(n - column);
            self.arch.dispatch(Product {
                to: &mut to[column..],
                to_stride: n,
                left: Left::rows(x, k),
                right: &panels.values[column * k..(column + width) * k],
                right_stride: width,
                shape: [m, width, k],
                write: Write::Replace,
            });
        }
    }

    /// `to [out] = x [in] W`, of one row.
    pub(super) fn vector(&mut self, to: &mut [f32], x: &[f32], weight: &Weight) {
        let (k, n) = (weight.inputs, weight.outputs);
        self.operations += 2 * (k * n) as u64;
        self.arch.dispatch(Product {
            to,
            to_stride: n,
            left: Left::rows(x, k),
            right: &weight.values,
            right_stride: n,
            shape: [1, n, k],
            write: Write::Replace,
        });
    }

    /// `to [m, lanes] = left [m, k] x [k, lanes]`, or added to it; of nothing, zero.
    pub(super) fn lanes(
        &mut self,
        to: &mut [f32],
        left: Left<'_>,
        x: &[f32],
        [m, k]: [usize; 2],
        lanes: Lanes,
        write: Write,
    ) {
        if k == 0 && write == Write::Replace {
            to.fill(0.0);
        }
        if m == 0 || k == 0 {
            return;
        }
        self.operations += 2 * (m * k * lanes.used) as u64;
        self.arch.dispatch(Product {
            to,
            to_stride: lanes.all,
            left,
            right: x,
            right_stride: lanes.all,
            shape: [m, lanes.all, k],
            write,
        });
    }

    /// `to [out, lanes] = W^T x`, x `[in, lanes]`.
    pub(super) fn map(&mut self, to: &mut [f32], weight: &Weight, x: &[f32], lanes: Lanes) {
        let left = Left::transposed(&weight.values, weight.outputs);
        self.lanes(to, left, x, [weight.outputs, weight.inputs], lanes, Write::Replace);
    }
}

/// How many candidates are scored at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lanes {
    /// A multiple of the widest register.
    pub(super) all: usize,
    /// The candidates among them.
    pub(super) used: usize,
}

impl Lanes {
    /// The most that are scored at once.
    pub(super) const MOST: usize = 64;

    pub(super) fn of(candidates: usize) -> Self {
        // The widest register: 16 numbers.
        Self { all: candidates.next_multiple_of(16), used: candidates }
    }
}

/// Weights `[in, out]`, in panels.
#[derive(Debug)]
pub(super) struct Panels {
    /// Panel by panel `[in, columns]`.
    values: Vec<f32>,
    /// Of a panel.
    columns: usize,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
}

impl Panels {
    pub(super) fn of(weight: &Weight) -> Self {
        let (inputs, outputs) = (weight.inputs, weight.outputs);
        let columns = Arch::new().dispatch(TileColumns);
        let mut values = Vec::with_capacity(weight.values.len());
        for column in (0..outputs).step_by(columns) {
            let width = columns.min(outputs - column);
            for row in weight.values.chunks_exact(outputs) {
                values.extend_from_slice(&row[column..column + width]);
            }
        }
        Self { values, columns, inputs, outputs }
    }
}

/// The first `length` numbers of a buffer that only grows; what they hold counts for nothing.
pub(super) fn room(buffer: &mut Vec<f32>, length: usize) -> &mut [f32] {
    if buffer.len() < length {
        buffer.resize(length, 0.0);
    }
    &mut buffer[..length]
}

#[cfg(test)]
mod tests {
    use eliverec_core::seed::Random;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn products_equal_the_sums(m in 1..20_usize, k in 1..40_usize, n in 1..150_usize, seed: u64) {
            let mut random = Random::new(seed);
            let mut draw = |count: usize| -> Vec<f32> {
                (0..count).map(|_| random.normal() as f32).collect()
            };
            let weight = Weight { values: draw(k * n), inputs: k, outputs: n };
            let x = draw(m * k);
            let mut engine = Engine::default();
            let mut to = vec![f32::NAN; m * n];
            engine.rows(&mut to, &x, &Panels::of(&weight));
            let lanes = Lanes::of(m);
            let mut turned = vec![0.0; k * lanes.all];
            for i in 0..m {
                for p in 0..k {
                    turned[p * lanes.all + i] = x[i * k + p];
                }
            }
            let mut of_lanes = vec![f32::NAN; n * lanes.all];
            engine.map(&mut of_lanes, &weight, &turned, lanes);
            for i in 0..m {
                for j in 0..n {
                    let sum: f64 = (0..k)
                        .map(|p| f64::from(x[i * k + p]) * f64::from(weight.values[p * n + j]))
                        .sum();
                    prop_assert!((f64::from(to[i * n + j]) - sum).abs() < 1e-4);
                    prop_assert!((f64::from(of_lanes[j * lanes.all + i]) - sum).abs() < 1e-4);
                }
            }
            prop_assert_eq!(engine.operations, 4 * (m * k * n) as u64);
        }
    }
}
