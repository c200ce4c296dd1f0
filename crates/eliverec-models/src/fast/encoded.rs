//! A user's encoded side.

/// What a model knows of a user's histories before any candidate is known. It depends on the events alone, so it stays what it is
/// while they do.
#[derive(Debug, Default)]
pub struct Encoded {
    /// By domain, live first.
    pub(super) domains: Vec<Domain>,
}

/// One history, encoded.
#[derive(Debug, Default)]
pub(super) struct Domain {
    pub(super) events: usize,
    /// The events as candidates attend to them, `[l, w]`.
    pub(super) encoded: Vec<f32>,
    /// What else the trunk takes from the history, of a size of its own.
    pub(super) summary: Vec<f32>,
}

impl Encoded {
    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        let numbers = self.domains.iter().map(|d| d.encoded.capacity() + d.summary.capacity());
        size_of::<Self>() + size_of_val(&*self.domains) + 4 * numbers.sum::<usize>()
    }
}
