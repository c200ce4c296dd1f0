//! What can be chosen about a store, checked once when it is built.

use std::collections::BTreeSet;

use eliverec_core::TableSpec;
use eliverec_core::adagrad::AdagradConfig;
use eliverec_core::table::RowLaw;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Options of a store; bounds hold for each vocabulary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// Standard deviation of initial values, mean 0.
    pub init_std: f32,
    /// Probability that an id with a row of its own is given the rare-id row for one batch, which trains that row.
    pub id_dropout: f64,
    /// Capacity in rows. When newcomers do not fit, the least recently seen rows go until nine tenths are in use.
    pub max_rows: Option<usize>,
    /// Ids not seen for more than this many steps are forgotten, checked every tenth of it.
    pub max_age_steps: Option<u64>,
    /// Capacity in ids that are counted but have no row yet; the least recently seen go, as with `max_rows`.
    pub max_counted: usize,
    /// Learning rate of the rows.
    pub learning_rate: f32,
    /// Constants of the update rule.
    pub adagrad: AdagradConfig,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            init_std: 0.05,
            id_dropout: 0.0,
            max_rows: None,
            max_age_steps: None,
            max_counted: 1 << 22,
            learning_rate: 0.05,
            adagrad: AdagradConfig::default(),
        }
    }
}

impl StoreConfig {
    /// Checks ranges.
    ///
    /// # Errors
    /// [`Error::Config`] names the first option that cannot work.
    pub fn check(&self) -> Result<(), Error> {
        let positive = |x: f32| x.is_finite() && x > 0.0;
        let rules = [
            ("init_std", self.init_std.is_finite() && self.init_std >= 0.0, "must be 0 or more"),
            ("id_dropout", (0.0..=1.0).contains(&self.id_dropout), "must lie between 0 and 1"),
            ("max_rows", self.max_rows != Some(0), "must be positive; leave it out for no limit"),
            (
                "max_age_steps",
                self.max_age_steps != Some(0),
                "must be positive; leave it out for no limit",
            ),
            ("learning_rate", positive(self.learning_rate), "must be positive"),
            (
                "adagrad.initial_accumulator",
                positive(self.adagrad.initial_accumulator),
                "must be positive",
            ),
            (
                "adagrad.decay_rate",
                positive(self.adagrad.decay_rate) && self.adagrad.decay_rate <= 1.0,
                "must lie above 0 and at most at 1",
            ),
        ];
        match rules.into_iter().find(|(_, holds, _)| !holds) {
            None => Ok(()),
            Some((option, _, reason)) => {
                Err(Error::Config { option: option.into(), reason: reason.into() })
            }
        }
    }

    /// Rows that a vocabulary may have; slots are 32-bit and the last one means "none".
    pub(crate) fn capacity(&self) -> usize {
        self.max_rows.unwrap_or(usize::MAX).min(u32::MAX as usize)
    }
}

/// Names must be unique and given, widths positive, laws as long as the row.
pub(crate) fn check_specs(specs: &[TableSpec]) -> Result<(), Error> {
    let mut names = BTreeSet::new();
    for spec in specs {
        let wrong = |reason: &str| {
            Err(Error::Config {
                option: format!("vocabulary {:?}", spec.name),
                reason: reason.into(),
            })
        };
        if spec.name.is_empty() || !names.insert(&spec.name) {
            return wrong("needs a name of its own");
        }
        if spec.width == 0 || u32::try_from(spec.width).is_err() {
            return wrong("needs a positive width");
        }
        if let RowLaw::Normal(parts) = &spec.law {
            let fits = |(_, sd): &(usize, f32)| sd.is_finite() && *sd >= 0.0;
            let length: usize = parts.iter().map(|(length, _)| length).sum();
            if length != spec.width || !parts.iter().all(fits) {
                return wrong(
                    "needs parts with deviations of 0 or more, together as long as a row",
                );
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_out_of_range_are_named() {
        let default = StoreConfig::default;
        let wrong = [
            ("init_std", StoreConfig { init_std: f32::NAN, ..default() }),
            ("id_dropout", StoreConfig { id_dropout: 1.5, ..default() }),
            ("max_rows", StoreConfig { max_rows: Some(0), ..default() }),
            ("max_age_steps", StoreConfig { max_age_steps: Some(0), ..default() }),
            ("learning_rate", StoreConfig { learning_rate: 0.0, ..default() }),
        ];
        assert!(default().check().is_ok());
        for (option, config) in wrong {
            assert!(config.check().unwrap_err().to_string().contains(option));
        }
        let twice = TableSpec::of_vocabulary(0, "a", 2, 1);
        assert!(check_specs(&[twice.clone(), twice.clone()]).is_err());
        assert!(check_specs(&[TableSpec { width: 0, ..twice.clone() }]).is_err());
        let parts = |parts| [TableSpec { law: RowLaw::Normal(parts), ..twice.clone() }];
        assert!(check_specs(&parts(vec![(1, 0.5), (1, 0.1)])).is_ok());
        assert!(check_specs(&parts(vec![(1, 0.5)])).is_err());
        assert!(check_specs(&parts(vec![(2, f32::NAN)])).is_err());
    }
}
