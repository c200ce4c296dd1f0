//! How the gradients of two tasks stand to each other (Eq. 14).

use super::signal::Signal;

/// How a task's gradient stands to the main one's.
pub(super) struct Comparison<'a, F> {
    /// Of L_rec, rows of `width`.
    pub(super) main: &'a [f32],
    /// The rows of `main` that a task's gradient has.
    pub(super) rows: &'a [u32],
    pub(super) width: usize,
    /// Whether a row of `main` counts in the cosine.
    pub(super) compared: F,
}

impl<F: Fn(usize) -> bool> Comparison<'_, F> {
    /// Squares of the main gradient: all rows, then those compared.
    pub(super) fn of_main(&self) -> [f64; 2] {
        let (mut main, mut main_compared) = (0.0_f64, 0.0);
        for (row, gradient) in self.main.chunks(self.width).enumerate() {
            let squares = dot(gradient, gradient);
            main += squares;
            main_compared += if (self.compared)(row) { squares } else { 0.0 };
        }
        [main, main_compared]
    }

    /// Squares of a task's gradient, all rows, then those compared, and its product with the main one there.
    pub(super) fn of_task(&self, of_task: &[f32]) -> [f64; 3] {
        let (mut product, mut own, mut own_compared) = (0.0_f64, 0.0, 0.0);
        for (row, gradient) in self.rows.iter().zip(of_task.chunks(self.width)) {
            let (row, squares) = (*row as usize, dot(gradient, gradient));
            own += squares;
            if (self.compared)(row) {
                own_compared += squares;
                product += dot(gradient, &self.main[row * self.width..][..self.width]);
            }
        }
        [own, own_compared, product]
    }
}

impl Signal {
    /// From what [`Comparison::of_main`] and [`Comparison::of_task`] give, or their sums over shards.
    pub(super) fn of(
        loss: f32,
        [main, main_compared]: [f64; 2],
        [own, own_compared, product]: [f64; 3],
    ) -> Self {
        let norms = (own_compared * main_compared).sqrt();
        let cosine = if norms > 0.0 { product / norms } else { 0.0 };
        Self { loss, cosine: cosine as f32, norms: [main.sqrt() as f32, own.sqrt() as f32] }
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}
