//! A user's encoded side.

/// What a model knows of a user's histories before any candidate is known. It depends on the events alone, so it stays what it is
/// while they do.
#[derive(Debug, Default)]
pub struct Encoded {
    /// By domain, live first.
    pub(super) domains: Vec<Domain>,
    /// See [`Encoded::intents`].
    pub(super) intents: Vec<Vec<f32>>,
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
    /// The user's intents before any candidate is known ([`crate::intents`]), each `[d]`: the consistent and the specific one of every
    /// domain with events, live first; none of a model that has none.
    pub fn intents(&self) -> &[Vec<f32>] {
        &self.intents
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        let domains = self.domains.iter().flat_map(|domain| [&domain.encoded, &domain.summary]);
        let numbers = domains.chain(&self.intents).map(Vec::capacity);
        size_of::<Self>()
            + size_of_val(&*self.domains)
            + size_of_val(&*self.intents)
            + 4 * numbers.sum::<usize>()
    }
}
