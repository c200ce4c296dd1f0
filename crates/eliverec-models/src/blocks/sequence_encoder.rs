//! A history as one vector: the "+" of models whose papers know no sequences.
//!
//! The eLiveRec paper (Sec. V-B) adds "sequential information" to such models and credits multi-head attention for what they gain
//! by it (Sec. VI-A), so it is taken to be its own basic sequence encoder (Eq. 3-4): one transformer block, of the sizes that
//! eLiveRec has, and the mean over the events, which no target has a part in.

use burn::module::Module;
use burn::tensor::Tensor;

use super::transformer::{AttentionScale, TransformerBlock, TransformerConfig};
use crate::builder::Builder;
use crate::inputs::History;
use crate::ops;
use crate::trace::Trace;

/// Feed-forward width over d, as eLiveRec's.
const FFN_RATIO: usize = 4;

/// `mean over events of block(E)`
#[derive(Module, Debug)]
pub struct SequenceEncoder {
    block: TransformerBlock,
}

impl SequenceEncoder {
    /// For events of `width`, which `heads` must divide.
    pub fn new(width: usize, heads: usize, builder: &Builder) -> Self {
        let scale = AttentionScale::default();
        let block = TransformerConfig { width, heads, ffn_ratio: FFN_RATIO, scale };
        Self { block: block.init(builder) }
    }

    /// One vector per feed `[b, d]`, zero where the history is empty. Records it as `{name}.pooled` and, in detail, what
    /// [`TransformerBlock`] does on the way.
    pub fn forward(&self, history: &History, name: &str, trace: &mut Trace) -> Tensor<2> {
        let (items, rows) = (history.items.clone(), &history.rows);
        let encoded = match rows.total() {
            0 => items,
            _ => self.block.traced(items, rows, name, trace),
        };
        let pooled = ops::masked_mean(encoded, rows);
        trace.record(&format!("{name}.pooled"), &pooled);
        pooled
    }
}
