//! Euclidean distances of all pairs of rows, from their differences, and their backward.
//!
//! Not from |a|² + |b|² - 2ab: that cancels where rows are close, and distance correlation looks exactly there.
#![expect(clippy::inline_always, reason = "only inlined code is compiled for the SIMD it is given")]

use eliverec_core::profile::Part;
use pulp::{Arch, Simd};
use rayon::prelude::*;

use super::record::{Keep, Operation};
use super::rows::{Loop, RowLoop, row, row_mut};

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
    const PART: Part = Part::Elements;

    fn forward(&self, [x]: [&[f32]; 1], keep: Keep) -> (Vec<f32>, [usize; 2], Vec<f32>) {
        let (arch, r) = (Arch::new(), self.rows);
        let mut output = vec![0.0; r * r];
        output.par_chunks_exact_mut(r.max(1)).enumerate().for_each(|(i, distances)| {
            // |x_i - x_j| for every j  [r]
            arch.dispatch(Loop(Distances { x, i, width: self.width, to: distances }));
        });
        let saved = match keep {
            Keep::ForBackward => output.clone(),
            Keep::Nothing => Vec::new(),
        };
        (output, [r, r], saved)
    }

    fn backward(&self, [x]: [&[f32]; 1], saved: &Vec<f32>, gradient: &[f32]) -> [Vec<f32>; 1] {
        let (arch, r) = (Arch::new(), self.rows);
        let mut x_gradient = vec![0.0; x.len()];
        let parts = x_gradient.par_chunks_exact_mut(self.width.max(1)).enumerate();
        parts.for_each(|(i, x_gradient)| {
            let of_column = gradient.iter().skip(i).step_by(r); // dD_ji [r]
            let of_row = &gradient[i * r..(i + 1) * r]; // dD_ij [r]
            let distances = &saved[i * r..(i + 1) * r]; // D_ij [r]
            // f_j = (dD_ij + dD_ji) / D_ij, because d|a - b| / da = (a - b) / |a - b|; 0 where rows coincide  [r]
            let factors: Vec<f32> = of_row
                .iter()
                .zip(of_column)
                .zip(distances)
                .map(|((a, b), distance)| if *distance == 0.0 { 0.0 } else { (a + b) / distance })
                .collect();
            // dx_i = sum_j f_j (x_i - x_j)  [d]
            arch.dispatch(Loop(Pull { x, i, factors: &factors, x_gradient }));
        });
        [x_gradient]
    }
}

/// `to_j = |x_i - x_j|`: distances of row `i` to all.
struct Distances<'a> {
    /// `[r, d]`
    x: &'a [f32],
    i: usize,
    /// `d`
    width: usize,
    /// `[r]`
    to: &'a mut [f32],
}

impl RowLoop for Distances<'_> {
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

/// `x_gradient += sum_j factors_j (x_i - x_j)`
struct Pull<'a> {
    /// `[r, d]`
    x: &'a [f32],
    i: usize,
    /// `[r]`
    factors: &'a [f32],
    /// Of row `i` `[d]`.
    x_gradient: &'a mut [f32],
}

impl RowLoop for Pull<'_> {
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
