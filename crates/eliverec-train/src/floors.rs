//! Terms of the loss that never leave the value which they have where nothing is learned, such as InfoNCE the logarithm of its
//! rows: whoever trains should hear of it.
//!
//! A trunk that knows such a value of its term T logs it as the figure `T_floor`.

use std::borrow::Cow;
use std::collections::BTreeMap;

/// Updates of which a term has to be at its floor in every one, before it is told.
const UPDATES: u32 = 200;
/// Nearer than this, relative to the floor, is at the floor.
const NEAR: f32 = 0.01;

/// Counts, by term.
#[derive(Debug, Default)]
pub(crate) struct Floors {
    at_floor: BTreeMap<String, u32>,
}

impl Floors {
    /// Takes in an update; a sentence for people for each term that has now been at its floor for so long.
    pub(crate) fn update(
        &mut self,
        terms: &[(Cow<'static, str>, f32)],
        figures: &[(&'static str, f32)],
    ) -> Vec<String> {
        let mut told = Vec::new();
        for (figure, floor) in figures {
            let Some(name) = figure.strip_suffix("_floor") else { continue };
            let Some((_, value)) = terms.iter().find(|(term, _)| term == name) else { continue };
            // Of too few rows for the term there is no floor.
            if *floor <= 0.0 {
                continue;
            }
            let count = self.at_floor.entry(name.into()).or_default();
            *count = if (value - floor).abs() < NEAR * floor { count.saturating_add(1) } else { 0 };
            if *count == UPDATES {
                told.push(format!(
                    "warning: the loss term {name} has been at its floor ({floor:.3}, where nothing is learned) for {UPDATES} updates: its vectors may have lost their users; see \"What does not train\" in docs/results.md"
                ));
            }
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_that_stays_is_told_once_and_again_after_it_has_left() {
        let mut floors = Floors::default();
        let mut run = |updates: usize, value: f32| -> usize {
            let told = (0..updates).map(|_| {
                let terms = [("watch".into(), 0.3), ("alignment".into(), value)];
                let told = floors.update(&terms, &[("alignment_floor", 5.0), ("other_floor", 1.0)]);
                assert!(
                    told.iter().all(|line| line.contains("alignment") && line.contains("5.000"))
                );
                told.len()
            });
            told.sum()
        };
        assert_eq!(run(199, 5.01), 0);
        assert_eq!(run(300, 4.99), 1);
        assert_eq!(run(1, 4.0), 0);
        assert_eq!(run(150, 5.0) + run(1, 4.9) + run(150, 5.0), 0);
        assert_eq!(run(50, 5.0), 1);
    }
}
