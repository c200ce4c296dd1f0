//! Matrix products of a few rows and columns, compiled for the machine at run time.
//!
//! The attention of one head multiplies 50 by 50 by 16: general GEMM libraries spend longer on packing both sides than on
//! the sums. Here both sides are read in place through strides and each tile of the result stays in registers.

#![expect(clippy::inline_always, reason = "only inlined code is compiled for the SIMD it is given")]

use std::ops::Range;

use pulp::{Simd, WithSimd};

/// A left side read in place: element (i, p) of `[m, k]` lies at `values[i * row + p * step]`; one of both strides is 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Left<'a> {
    /// Where the rows lie.
    pub(crate) values: &'a [f32],
    /// Distance of two rows.
    pub(crate) row: usize,
    /// Distance of two elements that are summed over.
    pub(crate) step: usize,
}

impl<'a> Left<'a> {
    /// Rows `stride` apart.
    pub(crate) fn rows(values: &'a [f32], stride: usize) -> Self {
        Self { values, row: stride, step: 1 }
    }

    /// The transpose of rows `stride` apart.
    pub(crate) fn transposed(values: &'a [f32], stride: usize) -> Self {
        Self { values, row: 1, step: stride }
    }
}

/// What a product does with the numbers that its destination holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Write {
    /// `to = left * right`; what `to` held counts for nothing.
    Replace,
    /// `to += left * right`
    Add,
}

/// `to [m, n] = left [m, k] * right [k, n]`, or added to `to`; rows of `to` and `right` may be parts of longer ones.
#[derive(Debug)]
pub(crate) struct Product<'a> {
    /// The result's rows `[m, n]`.
    pub(crate) to: &'a mut [f32],
    /// Distance of two rows of the result.
    pub(crate) to_stride: usize,
    /// Left side `[m, k]`.
    pub(crate) left: Left<'a>,
    /// Right side `[k, n]`.
    pub(crate) right: &'a [f32],
    /// Distance of two rows of the right side.
    pub(crate) right_stride: usize,
    /// `[m, n, k]`: rows, columns, and length of the sums.
    pub(crate) shape: [usize; 3],
    /// Whether the product replaces what `to` holds or is added to it.
    pub(crate) write: Write,
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if wide::<S>() == 4 {
            self.run::<S, 4>(simd);
        } else {
            self.run::<S, 2>(simd);
        }
    }
}

/// Registers of columns of a tile that is as wide as it gets.
#[inline(always)]
const fn wide<S: Simd>() -> usize {
    if S::REGISTER_COUNT >= 32 { 4 } else { 2 }
}

/// Columns of a tile that is as wide as the machine allows: a right side whose rows are no longer is read without a gap.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TileColumns;

impl WithSimd for TileColumns {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        wide::<S>() * S::F32_LANES
    }
}

impl Product<'_> {
    #[inline(always)]
    fn run<S: Simd, const WIDE: usize>(mut self, simd: S) {
        let [_, n, _] = self.shape;
        let lanes = S::F32_LANES;
        let mut column = 0;
        while n - column >= WIDE * lanes {
            self.columns::<Full<WIDE>, S, WIDE>(simd, column, WIDE * lanes);
            column += WIDE * lanes;
        }
        while n - column >= lanes {
            self.columns::<Full<1>, S, 1>(simd, column, lanes);
            column += lanes;
        }
        if column < n {
            self.columns::<Partial, S, 1>(simd, column, n - column);
        }
    }

    /// `width` columns of the result from `column` on, in `N` registers.
    #[inline(always)]
    fn columns<R: Registers<N>, S: Simd, const N: usize>(
        &mut self,
        simd: S,
        column: usize,
        width: usize,
    ) {
        let m = self.shape[0];
        let columns = column..column + width;
        let mut row = 0;
        // One register per row needs more rows at once to hide the latency of the sums.
        while N == 1 && m - row >= 12 {
            self.tile::<R, S, 12, N>(simd, row, columns.clone());
            row += 12;
        }
        while m - row >= 6 {
            self.tile::<R, S, 6, N>(simd, row, columns.clone());
            row += 6;
        }
        match m - row {
            1 => self.tile::<R, S, 1, N>(simd, row, columns),
            2 => self.tile::<R, S, 2, N>(simd, row, columns),
            3 => self.tile::<R, S, 3, N>(simd, row, columns),
            4 => self.tile::<R, S, 4, N>(simd, row, columns),
            5 => self.tile::<R, S, 5, N>(simd, row, columns),
            _ => {}
        }
    }

    /// `M` rows and `N` registers of columns of the result: `to_ij = sum_p left_ip right_pj`, p ascending.
    #[inline(always)]
    fn tile<R: Registers<N>, S: Simd, const M: usize, const N: usize>(
        &mut self,
        simd: S,
        row: usize,
        columns: Range<usize>,
    ) {
        let k = self.shape[2];
        let (column, width) = (columns.start, columns.len());
        let left = &self.left.values[row * self.left.row..];
        let right = self.right.get(column..).unwrap_or(&[]);
        let rights = right.chunks(self.right_stride).take(k);
        let mut sums = [[simd.splat_f32s(0.0); N]; M];
        if self.left.step == 1 {
            let lefts: [&[f32]; M] =
                std::array::from_fn(|i| &left[i * self.left.row..i * self.left.row + k]);
            for (p, right) in rights.enumerate() {
                let right = R::load(simd, &right[..width]);
                for i in 0..M {
                    let left = simd.splat_f32s(lefts[i][p]);
                    for j in 0..N {
                        sums[i][j] = simd.mul_add_e_f32s(left, right[j], sums[i][j]);
                    }
                }
            }
        } else {
            for (left, right) in left.chunks(self.left.step).zip(rights) {
                let right = R::load(simd, &right[..width]);
                let left = &left[..M];
                for i in 0..M {
                    let left = simd.splat_f32s(left[i]);
                    for j in 0..N {
                        sums[i][j] = simd.mul_add_e_f32s(left, right[j], sums[i][j]);
                    }
                }
            }
        }
        for (i, sums) in sums.iter().enumerate() {
            let at = (row + i) * self.to_stride + column;
            let to = &mut self.to[at..at + width];
            let held = match self.write {
                Write::Replace => [simd.splat_f32s(0.0); N],
                Write::Add => R::load(simd, to),
            };
            R::store(simd, to, std::array::from_fn(|j| simd.add_f32s(held[j], sums[j])));
        }
    }
}

/// How `N` registers meet memory.
trait Registers<const N: usize> {
    fn load<S: Simd>(simd: S, from: &[f32]) -> [S::f32s; N];
    fn store<S: Simd>(simd: S, to: &mut [f32], values: [S::f32s; N]);
}

/// All of their lanes.
struct Full<const N: usize>;

impl<const N: usize> Registers<N> for Full<N> {
    #[inline(always)]
    fn load<S: Simd>(_: S, from: &[f32]) -> [S::f32s; N] {
        let from = S::as_simd_f32s(from).0;
        std::array::from_fn(|j| from[j])
    }

    #[inline(always)]
    fn store<S: Simd>(_: S, to: &mut [f32], values: [S::f32s; N]) {
        S::as_mut_simd_f32s(to).0.copy_from_slice(&values);
    }
}

/// The first lanes of one: columns that do not fill a register.
struct Partial;

impl Registers<1> for Partial {
    #[inline(always)]
    fn load<S: Simd>(simd: S, from: &[f32]) -> [S::f32s; 1] {
        [simd.partial_load_f32s(from)]
    }

    #[inline(always)]
    fn store<S: Simd>(simd: S, to: &mut [f32], values: [S::f32s; 1]) {
        simd.partial_store_f32s(to, values[0]);
    }
}

#[cfg(test)]
mod tests {
    use eliverec_core::seed::Random;
    use proptest::prelude::*;
    use pulp::{Arch, Scalar};

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn equals_the_sums(m in 0..30_usize, n in 0..140_usize, k in 1..40_usize, seed: u64, flags: [bool; 3]) {
            let mut random = Random::new(seed);
            let mut draw = |count: usize| -> Vec<f32> {
                (0..count).map(|_| random.normal() as f32).collect()
            };
            let [transposed, scalar, add] = flags;
            let (right_stride, to_stride) = (n + 3, n + 5);
            let (left, right) = (draw((m + 2) * (k + 2)), draw(k * right_stride));
            let left = if transposed { Left::transposed(&left, m + 2) } else { Left::rows(&left, k + 2) };
            let mut to = vec![1.5; m * to_stride];
            let (shape, write) = ([m, n, k], if add { Write::Add } else { Write::Replace });
            let product = Product { to: &mut to, to_stride, left, right: &right, right_stride, shape, write };
            if scalar {
                product.with_simd(Scalar);
            } else {
                Arch::new().dispatch(product);
            }
            for i in 0..m {
                for j in 0..n {
                    let sum: f64 = (0..k).map(|p| {
                        let a = left.values[i * left.row + p * left.step];
                        f64::from(a) * f64::from(right[p * right_stride + j])
                    }).sum();
                    let expected = sum + if add { 1.5 } else { 0.0 };
                    prop_assert!((f64::from(to[i * to_stride + j]) - expected).abs() < 1e-4);
                }
            }
        }
    }
}
