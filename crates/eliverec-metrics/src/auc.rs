//! Area under the ROC curve, exact: the share of (watched, unwatched) pairs that are in the right order, a tie counting one half.
//!
//! Scores become 32-bit keys of the same order, positives and negatives in a list each, so an impression costs 4 bytes and the
//! label none. Both lists are sorted in place at the end and merged once; the pairs are counted in integers, so the result
//! does not depend on the order of arrival.

use crate::Error;

/// Accumulates scores and labels. 200 M impressions take 0.8 GB; while a list grows, its vector can reserve up to twice that.
#[derive(Clone, Debug, Default)]
pub struct Auc {
    positives: Vec<u32>,
    negatives: Vec<u32>,
}

impl Auc {
    /// Nothing seen.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one impression; any finite score will do, a logit or a probability (probabilities near 0 and 1 tie earlier).
    ///
    /// # Errors
    /// [`Error::NotFinite`] for NaN and infinities.
    pub fn add(&mut self, score: f32, label: bool) -> Result<(), Error> {
        if !score.is_finite() {
            return Err(Error::NotFinite {
                what: "score",
                position: self.impressions(),
                value: score,
            });
        }
        self.add_finite(score, label);
        Ok(())
    }

    /// Adds a score that is known to be finite.
    pub(crate) fn add_finite(&mut self, score: f32, label: bool) {
        debug_assert!(score.is_finite());
        if label { &mut self.positives } else { &mut self.negatives }.push(ordered_key(score));
    }

    /// Impressions seen.
    pub fn impressions(&self) -> u64 {
        (self.positives.len() + self.negatives.len()) as u64
    }

    /// The AUC of everything seen; `None` if one of the classes is missing.
    pub fn finish(mut self) -> Option<f64> {
        self.value()
    }

    /// As `finish`, and keeps the memory for reuse; sorts the lists.
    pub(crate) fn value(&mut self) -> Option<f64> {
        self.positives.sort_unstable();
        self.negatives.sort_unstable();
        share_in_order(&self.positives, &self.negatives)
    }

    /// Forgets everything seen and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.positives.clear();
        self.negatives.clear();
    }

    /// The keys of watched impressions in order of arrival (until `value` sorts them).
    pub(crate) fn positives(&self) -> &[u32] {
        &self.positives
    }

    /// The keys of unwatched impressions, likewise.
    pub(crate) fn negatives(&self) -> &[u32] {
        &self.negatives
    }

    /// Adds impressions by their keys.
    pub(crate) fn extend_keys(&mut self, positives: &[u32], negatives: &[u32]) {
        self.positives.extend_from_slice(positives);
        self.negatives.extend_from_slice(negatives);
    }
}

/// A key whose unsigned order is the order of finite floats; both zeros share one key.
fn ordered_key(score: f32) -> u32 {
    let bits = (score + 0.0).to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

/// Merges two sorted lists: (2 * pairs in order + ties) / (2 * pairs).
fn share_in_order(positives: &[u32], negatives: &[u32]) -> Option<f64> {
    if positives.is_empty() || negatives.is_empty() {
        return None;
    }
    let mut below = 0;
    let mut not_above = 0;
    let mut halves: u128 = 0;
    for &positive in positives {
        while below < negatives.len() && negatives[below] < positive {
            below += 1;
        }
        while not_above < negatives.len() && negatives[not_above] <= positive {
            not_above += 1;
        }
        halves += (below + not_above) as u128;
    }
    let pairs = positives.len() as u128 * negatives.len() as u128;
    Some(halves as f64 / (2 * pairs) as f64)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition: every pair, one at a time.
    pub(crate) fn pairwise_auc(impressions: &[(f32, bool)]) -> Option<f64> {
        let (mut right, mut pairs) = (0.0, 0.0);
        for positive in impressions.iter().filter(|i| i.1) {
            for negative in impressions.iter().filter(|i| !i.1) {
                pairs += 1.0;
                if positive.0 > negative.0 {
                    right += 1.0;
                } else if positive.0 == negative.0 {
                    right += 0.5;
                }
            }
        }
        (pairs > 0.0).then(|| right / pairs)
    }

    /// Scores with many ties, negative ones, both zeros, the smallest and the largest.
    pub(crate) fn scores() -> impl Strategy<Value = f32> {
        prop_oneof![
            (-3_i8..=3).prop_map(|i| f32::from(i) / 2.0),
            Just(-0.0),
            Just(f32::MIN),
            Just(f32::MAX),
            Just(f32::MIN_POSITIVE / 2.0),
            -1.0_f32..1.0,
        ]
    }

    fn auc(impressions: &[(f32, bool)]) -> Option<f64> {
        let mut auc = Auc::new();
        for &(score, label) in impressions {
            auc.add(score, label).unwrap();
        }
        assert_eq!(auc.impressions(), impressions.len() as u64);
        auc.finish()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn equals_the_count_of_pairs(
            impressions in prop::collection::vec((scores(), any::<bool>()), 0..40),
        ) {
            prop_assert_eq!(auc(&impressions), pairwise_auc(&impressions));
        }

        #[test]
        fn keys_keep_the_order(a in scores(), b in scores()) {
            prop_assert_eq!(a.partial_cmp(&b), Some(ordered_key(a).cmp(&ordered_key(b))));
        }
    }

    #[test]
    fn known_values() {
        assert_eq!(auc(&[]), None);
        assert_eq!(auc(&[(0.5, true)]), None);
        assert_eq!(auc(&[(0.5, false), (0.1, false)]), None);
        assert_eq!(auc(&[(0.5, true), (0.5, false)]), Some(0.5));
        assert_eq!(auc(&[(0.9, true), (0.5, false), (0.5, true), (0.1, false)]), Some(3.5 / 4.0));
    }

    #[test]
    fn refuses_what_has_no_order() {
        let mut auc = Auc::new();
        auc.add(0.5, true).unwrap();
        let error = auc.add(f32::NAN, false).unwrap_err();
        assert!(error.to_string().starts_with("score number 1 is NaN"), "{error}");
        assert!(auc.add(f32::INFINITY, false).is_err());
        assert_eq!(auc.impressions(), 1);
    }
}
