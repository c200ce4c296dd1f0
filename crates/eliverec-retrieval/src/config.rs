//! `retrieval.toml`: how many channels each source may give, and the few settings that sources have.
//!
//! ```toml
//! candidates = 200            # what is left out here has these defaults
//! fill = true
//! drop_watched = false
//! [collaborative]
//! quota = 60
//! [exploration]
//! quota = 10
//! after_minutes = 60
//! ```

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::source_name::SourceName;

/// Quotas and settings of all sources.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetrievalConfig {
    /// The most channels of an answer.
    pub candidates: usize,
    /// Whether places that no quota fills go to trending channels beyond its quota, in the end to those that nobody entered.
    pub fill: bool,
    /// Whether channels that the user watched before are left out. Live viewing repeats, so by default they are not.
    pub drop_watched: bool,
    /// Channels watched by those who watched what the user watched.
    pub collaborative: Recent,
    /// Channels whose vectors are near to the user's intents.
    pub embedding: Embedding,
    /// Channels of anchors that the user follows or often watches.
    pub anchors: Anchors,
    /// Channels that many enter now.
    pub trending: Trending,
    /// Channels of the category of products that the user clicked.
    pub category: Recent,
    /// Channels that nobody was shown for long.
    pub exploration: Exploration,
}

/// Of a source that starts from what the user did last.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recent {
    /// The most channels that it gives.
    pub quota: usize,
    /// The newest events that it starts from.
    pub events: usize,
    /// An event weighs half of one that is so many events newer.
    pub half_life_events: f64,
}

/// Of the embedding source.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Embedding {
    /// The most channels that it gives.
    pub quota: usize,
}

/// Of the source of anchors.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Anchors {
    /// The most channels that it gives.
    pub quota: usize,
    /// How many watches following an anchor is worth.
    pub follow_watches: f64,
}

/// Of trending channels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Trending {
    /// The most channels that it gives.
    pub quota: usize,
    /// An entry counts half of one that is so many minutes newer.
    pub half_life_minutes: f64,
}

/// Of exploration.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Exploration {
    /// The most channels that it draws.
    pub quota: usize,
    /// A channel may be drawn if it was shown to nobody for this long.
    pub after_minutes: f64,
}

impl Default for RetrievalConfig {
    fn default() -> Self {
        Self {
            candidates: 200,
            fill: true,
            drop_watched: false,
            collaborative: Recent { quota: 60, ..Recent::default() },
            embedding: Embedding::default(),
            anchors: Anchors::default(),
            trending: Trending::default(),
            category: Recent::default(),
            exploration: Exploration::default(),
        }
    }
}

impl Default for Recent {
    fn default() -> Self {
        Self { quota: 40, events: 50, half_life_events: 15.0 }
    }
}

impl Default for Embedding {
    fn default() -> Self {
        Self { quota: 40 }
    }
}

impl Default for Anchors {
    fn default() -> Self {
        Self { quota: 40, follow_watches: 5.0 }
    }
}

impl Default for Trending {
    fn default() -> Self {
        Self { quota: 40, half_life_minutes: 60.0 }
    }
}

impl Default for Exploration {
    fn default() -> Self {
        Self { quota: 10, after_minutes: 60.0 }
    }
}

/// More candidates than anybody ranks: beyond it a number is a slip.
const MOST_CANDIDATES: usize = 10_000;

impl RetrievalConfig {
    /// Parses and checks the text of a file called `name`.
    ///
    /// # Errors
    /// Syntax, unknown keys, and everything that [`RetrievalConfig::check`] refuses.
    pub fn parse(text: &str, name: &str) -> Result<Self, Error> {
        let config: Self = toml::from_str(text).map_err(|e| Error::Config {
            place: name.into(),
            reason: e.to_string().trim().to_owned(),
        })?;
        config.check().map_err(|error| match error {
            Error::Config { place, reason } => {
                Error::Config { place: format!("{name}: {place}"), reason }
            }
            other => other,
        })?;
        Ok(config)
    }

    /// Checks that the values can work.
    ///
    /// # Errors
    /// [`Error::Config`] names the key.
    pub fn check(&self) -> Result<(), Error> {
        let wrong =
            |place: &str, reason: String| Err(Error::Config { place: place.into(), reason });
        if self.candidates == 0 || self.candidates > MOST_CANDIDATES {
            let reason = format!("is {}; write 1 to {MOST_CANDIDATES}", self.candidates);
            return wrong("candidates", reason);
        }
        // What was drawn is never cut from an answer, or its propensity would be wrong.
        if self.exploration.quota > self.candidates {
            let (quota, most) = (self.exploration.quota, self.candidates);
            let reason = format!("is {quota}; an answer has at most {most} candidates");
            return wrong("exploration.quota", reason);
        }
        for (key, value) in [
            ("collaborative.half_life_events", self.collaborative.half_life_events),
            ("category.half_life_events", self.category.half_life_events),
            ("trending.half_life_minutes", self.trending.half_life_minutes),
        ] {
            if !value.is_finite() || value <= 0.0 {
                return wrong(key, format!("is {value}; write a number above 0"));
            }
        }
        for (key, value) in [
            ("anchors.follow_watches", self.anchors.follow_watches),
            ("exploration.after_minutes", self.exploration.after_minutes),
        ] {
            if !value.is_finite() || value < 0.0 {
                return wrong(key, format!("is {value}; write 0 or more"));
            }
        }
        Ok(())
    }

    /// The most channels that a source may give.
    pub const fn quota(&self, source: SourceName) -> usize {
        match source {
            SourceName::Collaborative => self.collaborative.quota,
            SourceName::Embedding => self.embedding.quota,
            SourceName::Anchors => self.anchors.quota,
            SourceName::Trending => self.trending.quota,
            SourceName::Category => self.category.quota,
            SourceName::Exploration => self.exploration.quota,
        }
    }
}

impl Recent {
    /// The weight of an event with `newer` newer ones.
    pub(crate) fn weight(&self, newer: usize) -> f64 {
        (-(newer as f64) / self.half_life_events).exp2()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_only_what_differs() {
        let config = RetrievalConfig::parse("[trending]\nquota = 7\n", "retrieval.toml").unwrap();
        assert_eq!(config.trending.quota, 7);
        assert_eq!(config.category, RetrievalConfig::default().category);
        assert_eq!(RetrievalConfig::parse("", "x").unwrap(), RetrievalConfig::default());
        let text = toml::to_string(&config).unwrap();
        assert_eq!(RetrievalConfig::parse(&text, "x").unwrap(), config);
    }

    #[test]
    fn the_documents_have_the_defaults() {
        let document = include_str!("../../../docs/retrieval.md");
        let (_, rest) = document.split_once("```toml\n").unwrap();
        let (text, _) = rest.split_once("```").unwrap();
        assert_eq!(RetrievalConfig::parse(text, "x").unwrap(), RetrievalConfig::default());
        assert_eq!(text.lines().filter(|line| line.contains(" = ")).count(), 16);
    }

    #[test]
    fn wrong_values_are_named() {
        for (text, words) in [
            ("[trendy]\nquota = 1", "retrieval.toml"),
            ("candidates = 0", "retrieval.toml: candidates: is 0"),
            ("candidates = 5", "exploration.quota: is 10; an answer has at most 5"),
            ("[trending]\nhalf_life_minutes = 0", "trending.half_life_minutes: is 0"),
            ("[exploration]\nafter_minutes = nan", "exploration.after_minutes: is NaN"),
            ("[anchors]\nfollow_watches = -1", "anchors.follow_watches: is -1"),
        ] {
            let message = RetrievalConfig::parse(text, "retrieval.toml").unwrap_err().to_string();
            assert!(message.contains(words), "{message}");
        }
    }
}
