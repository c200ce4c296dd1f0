//! What the forward of a transformer block keeps for its backward, and the buffers' way back into the next batch.

use std::sync::Mutex;

/// What the forward of one chunk leaves for its backward.
#[derive(Debug, Default)]
pub(super) struct Activations {
    /// Queries, keys, values side by side, `x [Wq Wk Wv]` `[m, 3 d]`.
    pub(super) projected: Vec<f32>,
    /// Outputs of the heads `[m, d]`.
    pub(super) mixed: Vec<f32>,
    /// Logarithms of the softmax sums `[m, h]`.
    pub(super) log_sums: Vec<f32>,
    /// The first normalised sum, before gamma and beta `[m, d]`.
    pub(super) first: Vec<f32>,
    /// 1 / standard deviation of the first sum's rows `[m]`.
    pub(super) first_scales: Vec<f32>,
    /// The hidden layer, `relu(x1 W1 + b1)` `[m, f]`.
    pub(super) hidden: Vec<f32>,
    /// The second normalised sum, before gamma and beta `[m, d]`.
    pub(super) second: Vec<f32>,
    /// 1 / standard deviation of the second sum's rows `[m]`.
    pub(super) second_scales: Vec<f32>,
}

/// Buffers of earlier batches, used again: large freed ones go back to the system, which clears them page by page when
/// they return. As many stay as one step keeps at once; their contents are always overwritten.
static SPARE: Mutex<Vec<Activations>> = Mutex::new(Vec::new());

impl Activations {
    /// Buffers of any size and content.
    pub(super) fn take() -> Self {
        SPARE.lock().ok().and_then(|mut spare| spare.pop()).unwrap_or_default()
    }

    /// Leaves the buffers to a later batch.
    pub(super) fn give_back(self) {
        if let Ok(mut spare) = SPARE.lock() {
            spare.push(self);
        }
    }
}

/// The activations of all chunks, given back when dropped.
#[derive(Debug)]
pub(super) struct Kept(pub(super) Vec<Activations>);

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.drain(..).for_each(Activations::give_back);
    }
}
