//! What can be chosen about a store, checked once when it is built, and the memory bound that follows from it.

use std::collections::BTreeSet;

use eliverec_core::Schema;
use eliverec_core::adagrad::AdagradConfig;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::index::map_bytes_bound;
use crate::row::Mark;
use crate::table::{Counter, ROWS_PER_PAGE};

/// One vocabulary of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VocabularySpec {
    /// Unique name; part of the key of every initial value.
    pub name: String,
    /// Numbers per row.
    pub width: usize,
    /// Occurrences in training after which an id gets a row of its own; until then it shares the rare-id row.
    /// 0 and 1 both give every id a row at once.
    pub min_count: u32,
}

impl VocabularySpec {
    /// The vocabularies of a schema, in its order, for a model of width `d`.
    pub fn of(schema: &Schema, d: usize) -> Vec<Self> {
        let spec = |(index, vocabulary): (usize, &eliverec_core::schema::Vocabulary)| Self {
            name: vocabulary.name.clone(),
            width: schema.width(index, d),
            min_count: vocabulary.min_count,
        };
        schema.vocabulary.iter().enumerate().map(spec).collect()
    }
}

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

    /// Most bytes that one vocabulary holds between steps: rows (vector, accumulator, mark), the index of ids and
    /// the counters; `None` without `max_rows`. A step adds its blocks, and 4 bytes per row when it evicts;
    /// saving adds 16 bytes per row.
    pub fn memory_bound(&self, spec: &VocabularySpec) -> Option<u64> {
        let max_rows = self.max_rows?;
        let row = 8 * spec.width + size_of::<Mark>();
        // Pages and the list of them grow by doubling.
        let pages = 2 * max_rows.div_ceil(ROWS_PER_PAGE) * 64 + 256;
        let rows = max_rows.next_multiple_of(4).max(4) * row * 2;
        let full = max_rows.next_multiple_of(ROWS_PER_PAGE) * row;
        let counted = if spec.min_count > 1 { self.max_counted } else { 0 };
        let bytes = rows.min(full)
            + pages
            + row
            + map_bytes_bound::<u32>(max_rows)
            + map_bytes_bound::<Counter>(counted);
        Some(bytes as u64)
    }

    /// Rows that a vocabulary may have; slots are 32-bit and the last one means "none".
    pub(crate) fn capacity(&self) -> usize {
        self.max_rows.unwrap_or(usize::MAX).min(u32::MAX as usize)
    }
}

/// Names must be unique and given, widths positive.
pub(crate) fn check_specs(specs: &[VocabularySpec]) -> Result<(), Error> {
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
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use eliverec_core::toy;

    #[test]
    fn specs_follow_the_schema() {
        let specs = VocabularySpec::of(&toy::schema(), 8);
        assert_eq!((specs[0].name.as_str(), specs[0].width), ("user", 4));
        assert_eq!((specs[3].name.as_str(), specs[3].width), ("channel", 8));
    }

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
        let twice = VocabularySpec { name: "a".into(), width: 2, min_count: 1 };
        assert!(check_specs(&[twice.clone(), twice.clone()]).is_err());
        assert!(check_specs(&[VocabularySpec { width: 0, ..twice }]).is_err());
    }
}
