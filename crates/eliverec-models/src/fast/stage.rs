//! The parts of the work on one request.

/// A part of the work on one request, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The user's histories: encoded, or found as they were.
    Encode,
    /// The context, and the first layers of the events.
    Project,
    /// All that depends on the candidates.
    Candidates,
}

impl Stage {
    /// Every stage.
    pub const ALL: [Self; 3] = [Self::Encode, Self::Project, Self::Candidates];

    /// As printed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Encode => "encode",
            Self::Project => "project",
            Self::Candidates => "candidates",
        }
    }
}
