//! What a core's matrix product reaches, to measure rates against.

use crate::fused::gemm::{Matrix, set_product};

/// Two matrices whose product the `gemm` crate computes on the calling thread.
#[derive(Debug)]
pub struct Calibration {
    size: usize,
    left: Vec<f32>,
    right: Vec<f32>,
    product: Vec<f32>,
}

impl Calibration {
    /// Square matrices of `size` rows.
    pub fn new(size: usize) -> Self {
        // Any numbers that are neither zero nor denormal: processors multiply them at one speed.
        let values =
            |step: usize| (0..size * size).map(|i| ((i * step) % 17) as f32 - 8.5).collect();
        let product = vec![0.0; size * size];
        Self { size, left: values(3), right: values(5), product }
    }

    /// Multiplies once; the floating-point operations of that.
    pub fn run(&mut self) -> u64 {
        let matrix = |values| Matrix::new(values, self.size, self.size);
        set_product(&mut self.product, matrix(&self.left), matrix(&self.right));
        2 * (self.size as u64).pow(3)
    }
}
