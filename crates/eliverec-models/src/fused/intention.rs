//! Every event's consistent and specific part (Eq. 5 and 6), and the backward: loops over the rows of one feed.
#![expect(clippy::inline_always, reason = "only inlined code is compiled for the SIMD it is given")]

use pulp::Simd;

use super::exponential::sigmoid;
use super::retrieval_options::RetrievalOptions;
use super::rows::{RowLoop, row, row_mut};

/// Eq. 5 and 6 for the events i of a feed, o the difference of its prototypes: `p_i = sigmoid(h_i . o)` or, per column,
/// `sigmoid(h_i * o)`; `z_c,i = p_i * h_i`, `z_s,i = (1 - p_i) * h_i`.
pub(crate) struct Split<'a> {
    /// `[l, d]`
    pub(crate) h: &'a [f32],
    /// o: of the feed `[d]`, or of its events `[l, d]`.
    pub(crate) difference: &'a [f32],
    /// `d`
    pub(crate) width: usize,
    /// Which kind of Eq. 5.
    pub(crate) options: RetrievalOptions,
    /// Is written: p `[l, d]`.
    pub(crate) share: &'a mut [f32],
    /// Are written: `z_c` and `z_s` `[l, d]`.
    pub(crate) parts: [&'a mut [f32]; 2],
}

impl RowLoop for Split<'_> {
    fn width(&self) -> usize {
        self.width
    }

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let d = self.width;
        let one = simd.splat_f32s(1.0);
        let [consistent, specific] = self.parts;
        for i in 0..self.h.len() / d {
            let h = row::<S>(self.h, i, d);
            let difference = row::<S>(self.difference, self.options.difference(i), d);
            // h_i . o
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
                // p_i = sigmoid(score), z_c,i = p_i * h_i, z_s,i = (1 - p_i) * h_i
                let score =
                    if self.options.elementwise { simd.mul_f32s(*h, *difference) } else { product };
                *share = sigmoid(simd, score);
                *consistent = simd.mul_f32s(*share, *h);
                *specific = simd.mul_f32s(simd.sub_f32s(one, *share), *h);
            }
        }
    }
}

/// The backward of [`Split`]: from the gradients of both parts to those of the events and of the prototypes' difference.
///
/// With s_i the score and, per column, `ds_i = (dz_c,i - dz_s,i) * h_i * p_i (1 - p_i)`; for one share per event the product
/// with h_i is an inner one: `ds_i = ((dz_c,i - dz_s,i) . h_i) * p_i (1 - p_i)`. Then
/// `dh_i = p_i dz_c,i + (1 - p_i) dz_s,i + ds_i o` and `do += ds_i h_i`.
pub(crate) struct SplitBackward<'a> {
    /// `[l, d]`
    pub(crate) h: &'a [f32],
    /// o: of the feed `[d]`, or of its events `[l, d]`.
    pub(crate) difference: &'a [f32],
    /// `d`
    pub(crate) width: usize,
    /// Which kind of Eq. 5.
    pub(crate) options: RetrievalOptions,
    /// p `[l, d]`.
    pub(crate) share: &'a [f32],
    /// Gradients `dz_c` and `dz_s` `[l, d]`.
    pub(crate) part_gradients: [&'a [f32]; 2],
    /// Is written `[l, d]`.
    pub(crate) h_gradient: &'a mut [f32],
    /// Is added to; of the shape of `difference`.
    pub(crate) difference_gradient: &'a mut [f32],
}

impl RowLoop for SplitBackward<'_> {
    fn width(&self) -> usize {
        self.width
    }

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let d = self.width;
        let one = simd.splat_f32s(1.0);
        for i in 0..self.h.len() / d {
            let (h, shares) = (row::<S>(self.h, i, d), row::<S>(self.share, i, d));
            let at = self.options.difference(i);
            let difference = row::<S>(self.difference, at, d);
            let difference_gradient = row_mut::<S>(self.difference_gradient, at, d);
            let [consistent, specific] = self.part_gradients.map(|part| row::<S>(part, i, d));
            // p (1 - p)
            let slope = |share: S::f32s| simd.mul_f32s(share, simd.sub_f32s(one, share));
            // (dz_c,i - dz_s,i) . h_i
            let mut sum = simd.splat_f32s(0.0);
            for ((h, consistent), specific) in h.iter().zip(consistent).zip(specific) {
                sum = simd.mul_add_e_f32s(simd.sub_f32s(*consistent, *specific), *h, sum);
            }
            let sum = simd.splat_f32s(simd.reduce_sum_f32s(sum));
            let gradients = row_mut::<S>(self.h_gradient, i, d);
            for column in 0..h.len() {
                let (h, share) = (h[column], shares[column]);
                // ds_i, per column or per event
                let apart = simd.sub_f32s(consistent[column], specific[column]);
                let score = if self.options.elementwise { simd.mul_f32s(apart, h) } else { sum };
                let score = simd.mul_f32s(score, slope(share));
                // dh_i = dz_s,i + p_i (dz_c,i - dz_s,i) + ds_i o
                let direct = simd.mul_add_e_f32s(share, apart, specific[column]);
                gradients[column] = simd.mul_add_e_f32s(score, difference[column], direct);
                // do += ds_i h_i
                difference_gradient[column] =
                    simd.mul_add_e_f32s(score, h, difference_gradient[column]);
            }
        }
    }
}
