//! What can be chosen about the disentangled retrieval.

/// How [`disentangled_retrieval`](super::disentangled_retrieval) reads the paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetrievalOptions {
    /// Eq. 5 per column (one share for each of the `d`), or one share per event from the inner product.
    pub elementwise: bool,
    /// Whether each event has prototypes of its own, or each feed.
    pub per_event: bool,
}

impl RetrievalOptions {
    /// Where the prototypes of a feed's event `i` stand among those of the feed.
    pub(super) fn difference(self, i: usize) -> usize {
        if self.per_event { i } else { 0 }
    }
}
