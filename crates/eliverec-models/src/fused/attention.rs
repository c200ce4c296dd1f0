//! Multi-head self-attention over the events of one feed, and its backward.
//!
//! Only the logarithm of each softmax's sum is kept; the weights themselves (as many as events squared) are computed again
//! in the backward, which costs less than writing and reading them.
#![expect(clippy::inline_always, reason = "only inlined code is compiled for the SIMD it is given")]

use eliverec_core::profile::{self, Part};
use pulp::{Arch, Simd, WithSimd};

use super::exponential::exp;
use super::product::{Left, Product, Write};
use super::rows::{Loop, RowLoop, row, row_mut};

/// The shape and scale of the attention.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attention {
    /// Width of all heads together, `d`.
    pub(crate) width: usize,
    /// `h`, divides `d`.
    pub(crate) heads: usize,
    /// Factor of the scores.
    pub(crate) scale: f32,
}

/// Room for one head of one feed.
#[derive(Debug, Default)]
pub(crate) struct Room {
    /// Keys or values of the head, transposed `[d / h, padded]`.
    transposed: Vec<f32>,
    /// Scores, then weights `[l, padded]`.
    weights: Vec<f32>,
    /// Gradients of the weights, then of the scores `[l, padded]`.
    gradients: Vec<f32>,
    /// 0 for events, very negative for the padding behind them `[padded]`.
    mask: Vec<f32>,
    /// Inner product of each row of the output with its gradient `[l]`.
    along: Vec<f32>,
}

/// Scores per row are padded to a multiple of this, the widest register.
const PADDING: usize = 16;

impl Room {
    /// Sizes the buffers for a feed of `length` events; the padded length.
    fn fit(&mut self, length: usize, head: usize) -> usize {
        let padded = length.next_multiple_of(PADDING);
        // The padding is cleared here, once for all heads.
        self.transposed.clear();
        self.transposed.resize(head * padded, 0.0);
        self.weights.resize(length * padded, 0.0);
        self.gradients.resize(length * padded, 0.0);
        self.mask.clear();
        self.mask.resize(length, 0.0);
        self.mask.resize(padded, f32::MIN / 2.0);
        self.along.resize(length, 0.0);
        padded
    }

    /// `self.transposed` `[d / h, padded]` from columns `start..start + head` of rows of `stride` `[l, stride]`.
    fn transpose(&mut self, rows: &[f32], stride: usize, start: usize, head: usize) {
        const TOGETHER: usize = 4;
        let padded = self.mask.len();
        let length = self.along.len();
        let row = |i: usize| &rows[i * stride + start..i * stride + start + head];
        // Some rows together: their values of a column lie side by side in the result.
        let whole = length - length % TOGETHER;
        for i in (0..whole).step_by(TOGETHER) {
            let [a, b, c, d] = [row(i), row(i + 1), row(i + 2), row(i + 3)];
            let columns = self.transposed.chunks_exact_mut(padded);
            for ((((to, a), b), c), d) in columns.zip(a).zip(b).zip(c).zip(d) {
                to[i..i + TOGETHER].copy_from_slice(&[*a, *b, *c, *d]);
            }
        }
        for i in whole..length {
            for (to, value) in self.transposed.chunks_exact_mut(padded).zip(row(i)) {
                to[i] = *value;
            }
        }
    }
}

impl Attention {
    /// `mixed = softmax(Q K^T * scale) V` of every head, side by side, for the events of one feed.
    ///
    /// `projected` holds queries, keys and values side by side `[l, 3 d]`; `mixed` `[l, d]` and `log_sums` `[l, h]` are
    /// written.
    pub(crate) fn forward(
        &self,
        arch: Arch,
        projected: &[f32],
        mixed: &mut [f32],
        log_sums: &mut [f32],
        room: &mut Room,
    ) {
        let _within = profile::within(Part::Attention);
        let (d, head) = (self.width, self.width / self.heads);
        let length = mixed.len() / d;
        let padded = room.fit(length, head);
        for h in 0..self.heads {
            let at = h * head;
            // S = Q K^T  [l, padded]
            self.score(arch, projected, h, room);
            // W = softmax(S * scale)  [l, padded]
            let scale = self.scale;
            let (weights, mask) = (&mut room.weights, &room.mask);
            let log_sums = LogSums { values: log_sums, head: h, heads: self.heads };
            arch.dispatch(Loop(Softmax { weights, mask, scale, log_sums }));
            // mixed = W V  [l, d / h]
            arch.dispatch(Product {
                to: &mut mixed[at..],
                to_stride: d,
                left: Left::rows(&room.weights, padded),
                right: &projected[2 * d + at..],
                right_stride: 3 * d,
                shape: [length, head, length],
                write: Write::Replace,
            });
        }
    }

    /// The gradient of `projected` `[l, 3 d]`, which is written, from that of `mixed`, `gradient` `[l, d]`.
    ///
    /// Head by head, G its columns of `gradient`: `dW = G V^T`, `dS` by the softmax, `dQ = dS K`, `dK = dS^T Q`, `dV = W^T G`.
    pub(crate) fn backward(
        &self,
        arch: Arch,
        [projected, mixed, log_sums, gradient]: [&[f32]; 4],
        projected_gradient: &mut [f32],
        room: &mut Room,
    ) {
        let _within = profile::within(Part::Attention);
        let (d, head) = (self.width, self.width / self.heads);
        let length = mixed.len() / d;
        let padded = room.fit(length, head);
        for h in 0..self.heads {
            let at = h * head;
            let [query, key, value] = [at, d + at, 2 * d + at];
            // S = Q K^T  [l, padded]
            self.score(arch, projected, h, room);
            // dW = G V^T  [l, padded]
            room.transpose(projected, 3 * d, value, head);
            arch.dispatch(Product {
                to: &mut room.gradients,
                to_stride: padded,
                left: Left::rows(&gradient[at..], d),
                right: &room.transposed,
                right_stride: padded,
                shape: [length, padded, head],
                write: Write::Replace,
            });
            // along_i = sum_j W_ij dW_ij = mixed_i . G_i  [l]
            let sides = [mixed, gradient].map(|side| &side[at..]);
            arch.dispatch(InnerProducts { sides, stride: d, width: head, to: &mut room.along });
            // W = softmax(S * scale), again, and dS_ij = scale * W_ij (dW_ij - along_i)  [l, padded]
            arch.dispatch(Loop(SoftmaxBackward {
                weights: &mut room.weights,
                gradients: &mut room.gradients,
                mask: &room.mask,
                scale: self.scale,
                log_sums,
                head: h,
                along: &room.along,
            }));
            let mut write_gradient = |column: usize, left, right, right_stride| {
                arch.dispatch(Product {
                    to: &mut projected_gradient[column..],
                    to_stride: 3 * d,
                    left,
                    right,
                    right_stride,
                    shape: [length, head, length],
                    write: Write::Replace,
                });
            };
            let score_gradients = &room.gradients;
            // dQ = dS K  [l, d / h]
            write_gradient(query, Left::rows(score_gradients, padded), &projected[key..], 3 * d);
            // dK = dS^T Q  [l, d / h]
            let transposed = Left::transposed(score_gradients, padded);
            write_gradient(key, transposed, &projected[query..], 3 * d);
            // dV = W^T G  [l, d / h]
            write_gradient(value, Left::transposed(&room.weights, padded), &gradient[at..], d);
        }
    }

    /// `room.weights = Q K^T` of head `h`: scores without their factor `[l, padded]`.
    fn score(&self, arch: Arch, projected: &[f32], h: usize, room: &mut Room) {
        let (d, head) = (self.width, self.width / self.heads);
        let padded = room.mask.len();
        room.transpose(projected, 3 * d, d + h * head, head);
        arch.dispatch(Product {
            to: &mut room.weights,
            to_stride: padded,
            left: Left::rows(&projected[h * head..], 3 * d),
            right: &room.transposed,
            right_stride: padded,
            shape: [room.along.len(), padded, head],
            write: Write::Replace,
        });
    }
}

/// `to_i = sum_j a_ij b_ij` over `width` columns of two sides whose rows are `stride` apart.
struct InnerProducts<'a> {
    sides: [&'a [f32]; 2],
    stride: usize,
    width: usize,
    to: &'a mut [f32],
}

impl WithSimd for InnerProducts<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let [a, b] = self.sides.map(|side| side.chunks(self.stride));
        for ((to, a), b) in self.to.iter_mut().zip(a).zip(b) {
            let (a, a_rest) = S::as_simd_f32s(&a[..self.width]);
            let (b, b_rest) = S::as_simd_f32s(&b[..self.width]);
            let rest =
                simd.mul_f32s(simd.partial_load_f32s(a_rest), simd.partial_load_f32s(b_rest));
            let sums = a.iter().zip(b).fold(rest, |sum, (a, b)| simd.mul_add_e_f32s(*a, *b, sum));
            *to = simd.reduce_sum_f32s(sums);
        }
    }
}

/// The logarithms of one head's sums.
struct LogSums<'a> {
    /// `[l, h]`
    values: &'a mut [f32],
    head: usize,
    heads: usize,
}

/// `W_ij = exp(scale * S_ij + mask_j - log_sums_i)`, `log_sums_i = log sum_j exp(scale * S_ij + mask_j)`.
struct Softmax<'a> {
    /// Before: scores S. After: weights W `[l, padded]`.
    weights: &'a mut [f32],
    /// `[padded]`
    mask: &'a [f32],
    scale: f32,
    log_sums: LogSums<'a>,
}

impl RowLoop for Softmax<'_> {
    fn width(&self) -> usize {
        self.mask.len()
    }

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let width = self.mask.len();
        let mask = row::<S>(self.mask, 0, width);
        let scale = simd.splat_f32s(self.scale);
        for (i, log_sums) in self.log_sums.values.chunks_exact_mut(self.log_sums.heads).enumerate()
        {
            let weights = row_mut::<S>(self.weights, i, width);
            // s_j = scale * S_ij + mask_j, g = max_j s_j
            let mut greatest = simd.splat_f32s(f32::NEG_INFINITY);
            for (weight, mask) in weights.iter_mut().zip(mask) {
                *weight = simd.mul_add_e_f32s(*weight, scale, *mask);
                greatest = simd.max_f32s(greatest, *weight);
            }
            let greatest = simd.reduce_max_f32s(greatest);
            let shift = simd.splat_f32s(greatest);
            // e_j = exp(s_j - g)
            let mut sum = simd.splat_f32s(0.0);
            for weight in weights.iter_mut() {
                *weight = exp(simd, simd.sub_f32s(*weight, shift));
                sum = simd.add_f32s(sum, *weight);
            }
            let sum = simd.reduce_sum_f32s(sum);
            // log_sums_i = g + log sum_j e_j, W_ij = e_j / sum_j e_j
            log_sums[self.log_sums.head] = greatest + sum.ln();
            let share = simd.splat_f32s(sum.recip());
            for weight in weights {
                *weight = simd.mul_f32s(*weight, share);
            }
        }
    }
}

/// The backward of [`Softmax`]: scores become weights again, `W_ij = exp(scale * S_ij + mask_j - log_sums_i)`, and gradients
/// of weights those of scores, `dS_ij = scale * W_ij (dW_ij - along_i)`.
struct SoftmaxBackward<'a> {
    /// Before: scores S. After: weights W `[l, padded]`.
    weights: &'a mut [f32],
    /// Before: dW. After: dS `[l, padded]`.
    gradients: &'a mut [f32],
    /// `[padded]`
    mask: &'a [f32],
    scale: f32,
    /// Of all heads `[l, h]`.
    log_sums: &'a [f32],
    /// Which of them.
    head: usize,
    /// `sum_j W_ij dW_ij` `[l]`.
    along: &'a [f32],
}

impl RowLoop for SoftmaxBackward<'_> {
    fn width(&self) -> usize {
        self.mask.len()
    }

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let width = self.mask.len();
        let mask = row::<S>(self.mask, 0, width);
        let scale = simd.splat_f32s(self.scale);
        let heads = self.log_sums.len() / self.along.len();
        for (i, along) in self.along.iter().enumerate() {
            let shift = simd.splat_f32s(self.log_sums[i * heads + self.head]);
            let along = simd.splat_f32s(*along);
            let weights = row_mut::<S>(self.weights, i, width);
            let gradients = row_mut::<S>(self.gradients, i, width);
            for ((weight, gradient), mask) in weights.iter_mut().zip(gradients).zip(mask) {
                // W_ij = exp(scale * S_ij + mask_j - log_sums_i)
                let score = simd.mul_add_e_f32s(*weight, scale, *mask);
                *weight = exp(simd, simd.sub_f32s(score, shift));
                // dS_ij = scale * W_ij (dW_ij - along_i)
                let centred = simd.sub_f32s(*gradient, along);
                *gradient = simd.mul_f32s(simd.mul_f32s(*weight, centred), scale);
            }
        }
    }
}
