//! What a state at the server is of.

use eliverec_core::Schema;
use eliverec_features::{FeatureConfig, version};
use eliverec_state::FOLLOWED_VERSION;
use serde::{Deserialize, Serialize};

/// Readers compare it with their own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct About {
    /// Of what readers read.
    version: u32,
    /// Of the folds.
    folds: u32,
    /// [`eliverec_state::State::identity`].
    pub(crate) log: String,
    /// Names the keys. Another one begins where the log does not go on from what is there.
    pub(crate) epoch: String,
    /// The fingerprint.
    schema: String,
    features: FeatureConfig,
}

impl About {
    pub(crate) fn new(log: &str, epoch: &str, schema: &Schema, features: FeatureConfig) -> Self {
        Self {
            version: FOLLOWED_VERSION,
            folds: version::VERSION,
            log: log.into(),
            epoch: epoch.into(),
            schema: schema.fingerprint(),
            features,
        }
    }

    /// Why a process with that schema and these settings cannot follow it.
    pub(crate) fn difference(&self, schema: &Schema, features: &FeatureConfig) -> Option<String> {
        let ours = (FOLLOWED_VERSION, version::VERSION);
        if (self.version, self.folds) != ours {
            return Some(format!(
                "it has layout {}.{}, and this program reads {}.{}; run the same version everywhere",
                self.version, self.folds, ours.0, ours.1
            ));
        }
        if self.schema != schema.fingerprint() {
            return Some(
                "it has another schema than the bundle; serve bundles of one schema".into(),
            );
        }
        (self.features != *features).then(|| {
            let differences = self.features.differences(features);
            format!("its settings of features are not those of the bundle: {differences}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_named() {
        let schema = |text: &str| Schema::parse(text).unwrap();
        let ids = "[[vocabulary]]\nname = \"channel\"\n[[channel]]\nname = \"channel_id\"\nkind = \"categorical\"\nvocabulary = \"channel\"\n";
        let ours = schema(ids);
        let features = FeatureConfig::default();
        let about = About::new("log", "epoch", &ours, features);
        assert_eq!(about.difference(&ours, &features), None);
        let other = schema(&format!("{ids}[[channel]]\nname = \"weight\"\nkind = \"dense\"\n"));
        assert!(about.difference(&other, &features).unwrap().contains("another schema"));
        let fewer = FeatureConfig { channel_history: 20, ..features };
        let difference = about.difference(&ours, &fewer).unwrap();
        assert!(difference.ends_with("channel_history is 50 and 20"), "{difference}");
        let newer = About { version: FOLLOWED_VERSION + 1, ..about };
        assert!(newer.difference(&ours, &features).unwrap().contains("layout"));
    }
}
