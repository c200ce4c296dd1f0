//! The names of the sources.

use serde::Serialize;

/// The sources, in the order in which they are merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceName {
    /// What those watch who watched the same.
    Collaborative,
    /// Near to the user's intents.
    Embedding,
    /// Of anchors followed or often watched.
    Anchors,
    /// Entered by many now.
    Trending,
    /// Of the category of products clicked: the bridge between the domains.
    Category,
    /// Long without exposure, drawn at random.
    Exploration,
}

impl SourceName {
    /// All of them, in order.
    pub const ALL: [Self; 6] = [
        Self::Collaborative,
        Self::Embedding,
        Self::Anchors,
        Self::Trending,
        Self::Category,
        Self::Exploration,
    ];

    /// Its name in configs, answers and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Collaborative => "collaborative",
            Self::Embedding => "embedding",
            Self::Anchors => "anchors",
            Self::Trending => "trending",
            Self::Category => "category",
            Self::Exploration => "exploration",
        }
    }
}
