//! Multi-head attention with the targets as queries and a history as keys and values.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use crate::builder::Builder;
use crate::error::Error;
use crate::inputs::History;
use crate::ops;
use crate::rows::Rows;
use crate::trace::Trace;

/// `softmax(Q K^T / sqrt(d/h)) V W_o`; no residual and no norm.
#[derive(Module, Debug)]
pub struct TargetAttention {
    query: Param<Tensor<2>>,
    key: Param<Tensor<2>>,
    value: Param<Tensor<2>>,
    output: Param<Tensor<2>>,
    heads: usize,
}

/// Checks that `heads` divide the width.
///
/// # Errors
/// [`Error::Config`] for `model.heads`.
pub fn check_heads(heads: usize, width: usize) -> Result<(), Error> {
    if heads > 0 && width.is_multiple_of(heads) {
        return Ok(());
    }
    let reason = format!("{heads} heads do not divide input.width = {width}; choose a divisor");
    Err(Error::Config { key: "model.heads", reason })
}

impl TargetAttention {
    /// For vectors of `width`, which `heads` must divide.
    pub fn new(width: usize, heads: usize, builder: &Builder) -> Self {
        let square = || builder.matrix(width, width);
        Self { query: square(), key: square(), value: square(), output: square(), heads }
    }

    /// `target` `[n, d]` over a history gives `[n, d]`; zero where the history is empty.
    /// Records the attention as `{name}.heads` `[b, h, c, l]` and, averaged over heads, as `{name}.attention` `[b, c, l]`.
    pub fn forward(
        &self,
        target: Tensor<2>,
        candidates: &Rows,
        history: &History,
        name: &str,
        trace: &mut Trace,
    ) -> Tensor<2> {
        let q = self.split(target, &self.query, candidates); //                       [b, h, c, d/h]
        let k = self.split(history.items.clone(), &self.key, &history.rows); //       [b, h, l, d/h]
        let v = self.split(history.items.clone(), &self.value, &history.rows);
        let [b, h, c, head] = q.dims();
        let l = history.rows.longest();

        let mask = history.rows.mask().reshape([b, 1, 1, l]).expand([b, h, c, l]);
        let weights = ops::masked_softmax(q.matmul(k.transpose()) / (head as f32).sqrt(), mask);
        if trace.is_on() {
            let mean = weights.clone().mean_dim(1).squeeze_dim::<3>(1);
            trace.record_over(&format!("{name}.heads"), &weights, &history.rows);
            trace.record_over(&format!("{name}.attention"), &mean, &history.rows);
        }
        let heads = weights.matmul(v).swap_dims(1, 2).reshape([b, c, h * head]);
        candidates.pack(heads).matmul(self.output.val())
    }

    /// Projects and pads: `[rows, d]` to `[b, h, longest, d/h]`.
    fn split(&self, x: Tensor<2>, weight: &Param<Tensor<2>>, rows: &Rows) -> Tensor<4> {
        let padded = rows.pad(x.matmul(weight.val()));
        let [b, l, d] = padded.dims();
        padded.reshape([b, l, self.heads, d / self.heads]).swap_dims(1, 2)
    }
}
