//! Euclidean distances of all pairs of rows, from their differences, and their backward.
//!
//! Not from |a|² + |b|² - 2ab: that cancels where rows are close, and distance correlation looks exactly there.
#![expect(clippy::inline_always, reason = "only inlined code is compiled for the SIMD it is given")]

use pulp::{Arch, Simd};
use rayon::prelude::*;

use super::record::Operation;
use super::rows::{Loop, Rows, row, row_mut};

/// Distances `[r, r]` of rows `[r, d]`.
#[derive(Debug)]
pub(super) struct PairwiseDistance {
    /// `r`
    pub(super) rows: usize,
    /// `d`
    pub(super) width: usize,
}

impl Operation<1> for PairwiseDistance {
    /// The distances, if a backward follows.
    type Saved = Vec<f32>;

    fn forward(&self, [x]: [&[f32]; 1], keep: bool) -> (Vec<f32>, [usize; 2], Vec<f32>) {
        let (arch, r) = (Arch::new(), self.rows);
        let mut output = vec![0.0; r * r];
        output.par_chunks_exact_mut(r.max(1)).enumerate().for_each(|(i, distances)| {
            arch.dispatch(Loop(Distances { x, i, width: self.width, to: distances }));
        });
        let saved = if keep { output.clone() } else { Vec::new() };
        (output, [r, r], saved)
    }

    fn backward(&self, [x]: [&[f32]; 1], saved: &Vec<f32>, gradient: &[f32]) -> [Vec<f32>; 1] {
        let (arch, r) = (Arch::new(), self.rows);
        let mut x_gradient = vec![0.0; x.len()];
        let parts = x_gradient.par_chunks_exact_mut(self.width.max(1)).enumerate();
        parts.for_each(|(i, x_gradient)| {
            let columns = gradient.iter().skip(i).step_by(r);
            let rows = &gradient[i * r..(i + 1) * r];
            // d|a - b| / da = (a - b) / |a - b|, and 0 where they coincide.
            let factors: Vec<f32> = rows
                .iter()
                .zip(columns)
                .zip(&saved[i * r..(i + 1) * r])
                .map(|((a, b), distance)| if *distance == 0.0 { 0.0 } else { (a + b) / distance })
                .collect();
            arch.dispatch(Loop(Pull { x, i, factors: &factors, x_gradient }));
        });
        [x_gradient]
    }
}

/// Distances of row `i` to all.
struct Distances<'a> {
    x: &'a [f32],
    i: usize,
    width: usize,
    to: &'a mut [f32],
}

impl Rows for Distances<'_> {
    fn width(&self) -> usize {
        self.width
    }

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let own = row::<S>(self.x, self.i, self.width);
        for (j, distance) in self.to.iter_mut().enumerate() {
            let mut sum = simd.splat_f32s(0.0);
            for (a, b) in own.iter().zip(row::<S>(self.x, j, self.width)) {
                let difference = simd.sub_f32s(*a, *b);
                sum = simd.mul_add_e_f32s(difference, difference, sum);
            }
            *distance = simd.reduce_sum_f32s(sum).sqrt();
        }
    }
}

/// Sum over j of `factors[j]` times (row `i` - row j).
struct Pull<'a> {
    x: &'a [f32],
    i: usize,
    factors: &'a [f32],
    x_gradient: &'a mut [f32],
}

impl Rows for Pull<'_> {
    fn width(&self) -> usize {
        self.x_gradient.len()
    }

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let d = self.x_gradient.len();
        let own = row::<S>(self.x, self.i, d);
        let sums = row_mut::<S>(self.x_gradient, 0, d);
        for (j, factor) in self.factors.iter().enumerate() {
            let factor = simd.splat_f32s(*factor);
            for ((sum, a), b) in sums.iter_mut().zip(own).zip(row::<S>(self.x, j, d)) {
                *sum = simd.mul_add_e_f32s(factor, simd.sub_f32s(*a, *b), *sum);
            }
        }
    }
}
