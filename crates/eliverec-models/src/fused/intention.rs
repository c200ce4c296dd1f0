//! Every event's consistent and specific part (Eq. 5 and 6), and the backward: loops over the rows of one feed.
#![expect(clippy::inline_always, reason = "only inlined code is compiled for the SIMD it is given")]

use pulp::Simd;

use super::RetrievalOptions;
use super::exponential::sigmoid;
use super::rows::{Rows, row, row_mut};

/// Eq. 5 and 6: the share of the consistent part, and both parts.
pub(super) struct Split<'a> {
    pub(super) h: &'a [f32],
    /// Of the feed `[d]`, or of its events `[l, d]`.
    pub(super) difference: &'a [f32],
    pub(super) width: usize,
    pub(super) options: RetrievalOptions,
    pub(super) share: &'a mut [f32],
    pub(super) parts: [&'a mut [f32]; 2],
}

impl Rows for Split<'_> {
    fn width(&self) -> usize {
        self.width
    }

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let d = self.width;
        let scale = simd.splat_f32s(self.options.intention_scale);
        let one = simd.splat_f32s(1.0);
        let [consistent, specific] = self.parts;
        for i in 0..self.h.len() / d {
            let h = row::<S>(self.h, i, d);
            let difference = row::<S>(self.difference, self.options.difference(i), d);
            let mut product = simd.splat_f32s(0.0);
            for (h, difference) in h.iter().zip(difference) {
                product = simd.mul_add_e_f32s(*h, *difference, product);
            }
            let product = simd.splat_f32s(simd.reduce_sum_f32s(product));
            let parts = row_mut::<S>(consistent, i, d).iter_mut().zip(row_mut::<S>(specific, i, d));
            let shares = row_mut::<S>(self.share, i, d);
            for (((h, difference), share), (consistent, specific)) in
                h.iter().zip(difference).zip(shares).zip(parts)
            {
                let score =
                    if self.options.elementwise { simd.mul_f32s(*h, *difference) } else { product };
                *share = sigmoid(simd, simd.mul_f32s(score, scale));
                *consistent = simd.mul_f32s(*share, *h);
                *specific = simd.mul_f32s(simd.sub_f32s(one, *share), *h);
            }
        }
    }
}

/// From the gradients of both parts to those of the events and of the prototypes' difference.
pub(super) struct SplitBackward<'a> {
    pub(super) h: &'a [f32],
    /// Of the feed `[d]`, or of its events `[l, d]`.
    pub(super) difference: &'a [f32],
    pub(super) width: usize,
    pub(super) options: RetrievalOptions,
    pub(super) share: &'a [f32],
    pub(super) parts: [&'a [f32]; 2],
    pub(super) h_gradient: &'a mut [f32],
    pub(super) difference_gradient: &'a mut [f32],
}

impl Rows for SplitBackward<'_> {
    fn width(&self) -> usize {
        self.width
    }

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let d = self.width;
        let scale = simd.splat_f32s(self.options.intention_scale);
        let one = simd.splat_f32s(1.0);
        for i in 0..self.h.len() / d {
            let (h, shares) = (row::<S>(self.h, i, d), row::<S>(self.share, i, d));
            let at = self.options.difference(i);
            let difference = row::<S>(self.difference, at, d);
            let difference_gradient = row_mut::<S>(self.difference_gradient, at, d);
            let [consistent, specific] = self.parts.map(|part| row::<S>(part, i, d));
            // d share / d score, without the factor that a scalar intention sums over the columns.
            let slope = |share: S::f32s| {
                simd.mul_f32s(scale, simd.mul_f32s(share, simd.sub_f32s(one, share)))
            };
            let mut sum = simd.splat_f32s(0.0);
            for ((h, consistent), specific) in h.iter().zip(consistent).zip(specific) {
                sum = simd.mul_add_e_f32s(simd.sub_f32s(*consistent, *specific), *h, sum);
            }
            let sum = simd.splat_f32s(simd.reduce_sum_f32s(sum));
            let gradients = row_mut::<S>(self.h_gradient, i, d);
            for column in 0..h.len() {
                let (h, share) = (h[column], shares[column]);
                let apart = simd.sub_f32s(consistent[column], specific[column]);
                let score = if self.options.elementwise { simd.mul_f32s(apart, h) } else { sum };
                let score = simd.mul_f32s(score, slope(share));
                // share * consistent + (1 - share) * specific
                let direct = simd.mul_add_e_f32s(share, apart, specific[column]);
                gradients[column] = simd.mul_add_e_f32s(score, difference[column], direct);
                difference_gradient[column] =
                    simd.mul_add_e_f32s(score, h, difference_gradient[column]);
            }
        }
    }
}
