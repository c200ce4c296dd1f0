//! The values of all features at one moment, on the stack.

use crate::moment::{MAX_AGE_S, age_s};
use crate::registry::{FEATURES, FeatureId};

/// Features that a snapshot holds: all but those of a history's entries, which stand at the end of the list.
const COUNT: usize = FeatureId::Stay as usize;

/// One value per feature; each fold writes its own, so a driver that has some folds only fills those.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    values: [f32; COUNT],
}

impl Snapshot {
    /// What is known of a user, channel, anchor and product that never occurred.
    pub const fn unknown() -> Self {
        let mut values = [0.0; COUNT];
        let mut i = 0;
        while i < COUNT {
            values[i] = FEATURES[i].never;
            i += 1;
        }
        Self { values }
    }

    /// The value of a feature; `None` for a feature of a history's entries, which has one value per entry.
    pub fn get(&self, feature: FeatureId) -> Option<f32> {
        self.values.get(feature as usize).copied()
    }

    /// Writes the value of a feature of this snapshot.
    pub(crate) fn set(&mut self, feature: FeatureId, value: f32) {
        self.values[feature as usize] = value;
    }

    /// Writes the age of what happened at `ts_ms`, if it ever did.
    pub(crate) fn set_age(&mut self, feature: FeatureId, ts_ms: Option<i64>, at_ms: i64) {
        let age = ts_ms.map_or(MAX_AGE_S, |ts_ms| age_s(ts_ms, at_ms).min(MAX_AGE_S));
        self.set(feature, age);
    }
}

impl Default for Snapshot {
    fn default() -> Self {
        Self::unknown()
    }
}
