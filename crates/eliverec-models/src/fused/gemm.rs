//! Matrix products with weights, through the `gemm` crate, always on the calling thread.
//!
//! The products of a batch are many and small, so threads work on different feeds, never inside one product. The only
//! unsafe code of the fused operations is the call below.

use eliverec_core::profile::{self, Part};
use gemm::Parallelism;

use super::product::Write;

/// A matrix read in place, possibly transposed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// The row-major matrix `[rows, columns]`.
    ///
    /// # Panics
    /// If `values` are not as many.
    pub(crate) fn new(values: &'a [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(values.len(), rows * columns, "a matrix of {rows} rows, {columns} columns");
        Self { values, rows, columns, row_stride: columns, column_stride: 1 }
    }

    /// Its transpose.
    pub(crate) fn transposed(self) -> Self {
        Self {
            values: self.values,
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }
}

/// `to [m, n] = left [m, k] * right [k, n]`; `to` is row-major.
///
/// # Panics
/// If the shapes do not fit.
pub(crate) fn set_product(to: &mut [f32], left: Matrix, right: Matrix) {
    multiply(to, left, right, Write::Replace);
}

/// `to [m, n] += left [m, k] * right [k, n]`; `to` is row-major.
///
/// # Panics
/// If the shapes do not fit.
pub(crate) fn add_product(to: &mut [f32], left: Matrix, right: Matrix) {
    multiply(to, left, right, Write::Add);
}

fn multiply(to: &mut [f32], left: Matrix, right: Matrix, write: Write) {
    let [m, n, k] = [left.rows, right.columns, left.columns];
    assert_eq!(k, right.rows, "columns of the left side and rows of the right side");
    assert_eq!(to.len(), m * n, "a product of {m} rows, {n} columns");
    if to.is_empty() {
        return;
    }
    let _within = profile::within(Part::Products);
    let stride = |stride: usize| stride as isize;
    // The numbers are real.
    let [conjugate_to, conjugate_left, conjugate_right] = [false; 3];
    // SAFETY: `Matrix::new` keeps rows * columns == values.len(), and its strides address exactly those elements;
    // `to` has m * n elements and is borrowed mutably, so it overlaps neither side. All are f32.
    #[expect(unsafe_code, reason = "the gemm crate takes pointers; lengths are checked above")]
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            to.as_mut_ptr(),
            1,
            stride(n),
            write == Write::Add,
            left.values.as_ptr(),
            stride(left.column_stride),
            stride(left.row_stride),
            right.values.as_ptr(),
            stride(right.column_stride),
            stride(right.row_stride),
            1.0_f32,
            1.0_f32,
            conjugate_to,
            conjugate_left,
            conjugate_right,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use eliverec_core::seed::Random;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn equals_the_sums(m in 0..20_usize, n in 0..40_usize, k in 0..40_usize, seed: u64, flags: [bool; 3]) {
            let mut random = Random::new(seed);
            let mut draw = |count: usize| -> Vec<f32> {
                (0..count).map(|_| random.normal() as f32).collect()
            };
            let (left, right, before) = (draw(m * k), draw(k * n), draw(m * n));
            let [add, left_transposed, right_transposed] = flags;
            let matrix = |values, rows, columns, transposed| if transposed {
                Matrix::new(values, columns, rows).transposed()
            } else {
                Matrix::new(values, rows, columns)
            };
            let mut to = before.clone();
            let left_side = matrix(&left, m, k, left_transposed);
            let right_side = matrix(&right, k, n, right_transposed);
            let product = if add { add_product } else { set_product };
            product(&mut to, left_side, right_side);
            for i in 0..m {
                for j in 0..n {
                    let sum: f64 = (0..k).map(|p| {
                        let a = left[if left_transposed { p * m + i } else { i * k + p }];
                        let b = right[if right_transposed { j * k + p } else { p * n + j }];
                        f64::from(a) * f64::from(b)
                    }).sum();
                    let expected = sum + if add { f64::from(before[i * n + j]) } else { 0.0 };
                    prop_assert!((f64::from(to[i * n + j]) - expected).abs() < 1e-4);
                }
            }
        }
    }
}
