//! Other shares for buckets, so that as few users as possible move: a bucket that shrinks gives its highest slots up, one that grows
//! takes these first and then those that no bucket had, the lowest of each, and every other user stays where they are.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::assignment::SLOTS;
use crate::error::Error;
use crate::slots::Slots;
use crate::written::{WrittenSlots, slots_of_layers};

/// What became of a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Its name.
    pub bucket: String,
    /// Slots that it had.
    pub before: usize,
    /// Slots that it has now.
    pub after: usize,
}

/// A share as slots.
///
/// # Errors
/// What is no share of [`SLOTS`] slots.
pub fn slots_of(share: f64) -> Result<usize, String> {
    let slots = share * f64::from(SLOTS);
    let whole = slots.round();
    if !(0.0..=f64::from(SLOTS)).contains(&whole) || (slots - whole).abs() > 1e-6 {
        return Err(format!(
            "is {share}; write a multiple of 0.0001 from 0 to 1, for a layer has {SLOTS} slots"
        ));
    }
    Ok(whole as usize)
}

/// The slots of all buckets of a layer once those in `targets` have so many.
///
/// # Errors
/// More slots than are free, buckets that shrink included.
pub fn moved(buckets: &[Slots], targets: &BTreeMap<usize, usize>) -> Result<Vec<Slots>, String> {
    let mut after = buckets.to_vec();
    let mut is_free = vec![true; usize::from(SLOTS)];
    buckets.iter().flat_map(Slots::iter).for_each(|slot| is_free[usize::from(slot)] = false);
    let mut given_up = Vec::new();
    for (bucket, target) in targets {
        let less = after[*bucket].len().saturating_sub(*target);
        given_up.extend(after[*bucket].give_up(less));
    }
    given_up.sort_unstable();
    let missing = |(bucket, target): (&usize, &usize)| target.saturating_sub(after[*bucket].len());
    let wanted: usize = targets.iter().map(missing).sum();
    let free = given_up.len() + is_free.iter().filter(|free| **free).count();
    if wanted > free {
        return Err(format!(
            "{wanted} more slots are wanted and {free} are free; say which bucket shrinks"
        ));
    }
    let before_free = (0..SLOTS).filter(|slot| is_free[usize::from(*slot)]);
    let mut free = given_up.into_iter().chain(before_free);
    for (bucket, target) in targets {
        let missing = target.saturating_sub(after[*bucket].len());
        after[*bucket].take(free.by_ref().take(missing));
    }
    Ok(after)
}

/// The text of a file of experiments with other shares for buckets of a layer, all else as it is there, and what became of the layer's
/// buckets; `layer` may be left out where there is one.
///
/// # Errors
/// A text that is no file of experiments, layers and buckets that it has not, shares that are none, and as [`moved`].
pub fn set(
    text: &str,
    path: &Path,
    layer: Option<&str>,
    shares: &[(String, f64)],
) -> Result<(String, Vec<Change>), Error> {
    let wrong = |reason: String| Error::File { path: path.into(), reason };
    let layers = slots_of_layers(text, path)?;
    let names: Vec<&str> = layers.iter().map(|(name, _)| name.as_str()).collect();
    let place = match layer {
        Some(layer) => names.iter().position(|name| *name == layer),
        None => Some(0).filter(|_| names.len() == 1),
    };
    if names.is_empty() {
        return Err(wrong("has no layer; begin one with [[layers]]".into()));
    }
    let place = place.ok_or_else(|| {
        let asked = layer.map_or("no layer is named".into(), |of| format!("has no layer {of:?}"));
        wrong(format!("{asked}; it has {}", names.join(", ")))
    })?;
    let (name, buckets) = &layers[place];
    let mut targets = BTreeMap::new();
    for (bucket, share) in shares {
        let known = buckets.iter().position(|of| of.bucket == *bucket).ok_or_else(|| {
            let known: Vec<&str> = buckets.iter().map(|of| of.bucket.as_str()).collect();
            wrong(format!("layer {name:?} has no bucket {bucket:?}; it has {}", known.join(", ")))
        })?;
        let target = slots_of(*share);
        let target = target.map_err(|of| wrong(format!("the share of bucket {bucket:?} {of}")))?;
        if targets.insert(known, target).is_some() {
            return Err(wrong(format!("the share of bucket {bucket:?} is given twice")));
        }
    }
    let before: Vec<Slots> = buckets.iter().map(|of| of.slots.clone()).collect();
    let after =
        moved(&before, &targets).map_err(|reason| wrong(format!("layer {name:?}: {reason}")))?;
    let changes = buckets.iter().zip(&after).map(|(WrittenSlots { bucket, slots, .. }, after)| {
        Change { bucket: bucket.clone(), before: slots.len(), after: after.len() }
    });
    // From behind, so that places before stay what they are.
    let mut others: Vec<(&WrittenSlots, &Slots)> =
        buckets.iter().zip(&after).filter(|(before, after)| before.slots != **after).collect();
    others.sort_by_key(|(before, _)| std::cmp::Reverse(before.place.start));
    let mut text = text.to_owned();
    for (before, after) in others {
        let ranges = after.ranges().into_iter().map(|range| format!("\"{range}\""));
        let ranges = format!("[{}]", ranges.collect::<Vec<_>>().join(", "));
        text.replace_range(before.place.clone(), &ranges);
    }
    Ok((text, changes.collect()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FILE: &str = r#"# two rankers
[[layers]]
name = "ranker"
salt = "a"
[[layers.buckets]]
name = "eta"
slots = ["0-4999"] # half
[[layers.buckets]]
name = "elive"
slots = ["5000-5999", "7000"]
"#;

    fn shares(of: &[(&str, f64)]) -> Vec<(String, f64)> {
        of.iter().map(|(name, share)| ((*name).into(), *share)).collect()
    }

    #[test]
    fn the_text_stays_but_for_the_slots() {
        let path = Path::new("e.toml");
        let (text, changes) = set(FILE, path, None, &shares(&[("elive", 0.2)])).unwrap();
        let expected = FILE.replace("[\"5000-5999\", \"7000\"]", "[\"5000-6998\", \"7000\"]");
        assert_eq!(text, expected);
        let of = |bucket: &str, before, after| Change { bucket: bucket.into(), before, after };
        assert_eq!(changes, [of("eta", 5000, 5000), of("elive", 1001, 2000)]);
        let both = shares(&[("elive", 0.7), ("eta", 0.3)]);
        let (text, _) = set(FILE, path, Some("ranker"), &both).unwrap();
        assert!(text.contains("slots = [\"0-2999\"] # half"), "{text}");
        assert!(text.contains("slots = [\"3000-9999\"]"), "{text}");
        for (layer, of, words) in [
            (None, ("elive", 0.51), "4099 more slots are wanted and 3999 are free"),
            (
                None,
                ("elive", 0.20005),
                "the share of bucket \"elive\" is 0.20005; write a multiple",
            ),
            (None, ("elive", f64::NAN), "is NaN"),
            (None, ("din", 0.1), "layer \"ranker\" has no bucket \"din\"; it has eta, elive"),
            (Some("user"), ("elive", 0.1), "has no layer \"user\"; it has ranker"),
        ] {
            let told = set(FILE, path, layer, &shares(&[of])).unwrap_err().to_string();
            assert!(told.starts_with("e.toml: ") && told.contains(words), "{told}");
        }
        // A file that no service takes is refused in its words, whatever is asked.
        let twice = FILE.replace("\"7000\"", "\"4000\"");
        let told = set(&twice, path, None, &[]).unwrap_err().to_string();
        let words =
            "e.toml: layer \"ranker\", bucket \"elive\": slots: 4000 is one of bucket \"eta\", too";
        assert_eq!(told, words);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn nobody_moves_who_need_not(
            owners in prop::collection::vec(0_usize..4, usize::from(SLOTS)),
            targets in prop::collection::btree_map(0_usize..3, 0_usize..6_000, 0..4),
        ) {
            // Owner 3 is free space.
            let mut buckets = vec![Slots::default(); 3];
            for (bucket, slots) in buckets.iter_mut().enumerate() {
                slots.take((0..SLOTS).filter(|slot| owners[usize::from(*slot)] == bucket));
            }
            let Ok(after) = moved(&buckets, &targets) else {
                let wanted: usize = (0..3)
                    .map(|of| targets.get(&of).copied().unwrap_or(buckets[of].len()))
                    .sum();
                prop_assert!(wanted > usize::from(SLOTS));
                return Ok(());
            };
            let mut moves = 0;
            let mut now = vec![None; usize::from(SLOTS)];
            for (bucket, slots) in after.iter().enumerate() {
                for slot in slots.iter() {
                    prop_assert_eq!(now[usize::from(slot)].replace(bucket), None);
                }
                prop_assert_eq!(
                    slots.len(),
                    targets.get(&bucket).copied().unwrap_or(buckets[bucket].len())
                );
            }
            for slot in 0..SLOTS {
                let before = Some(owners[usize::from(slot)]).filter(|of| *of < 3);
                let after = now[usize::from(slot)];
                if before != after {
                    moves += 1;
                    let shrinks = |of: usize| after_len(&targets, &buckets, of) < buckets[of].len();
                    let grows = |of: usize| after_len(&targets, &buckets, of) > buckets[of].len();
                    prop_assert!(before.is_none_or(shrinks) && after.is_none_or(grows));
                }
            }
            // A slot that goes from one bucket to another is one move for both.
            let sizes = |grow: bool| -> usize {
                (0..3)
                    .map(|of| {
                        let (a, b) = (buckets[of].len(), after_len(&targets, &buckets, of));
                        if grow { b.saturating_sub(a) } else { a.saturating_sub(b) }
                    })
                    .sum()
            };
            prop_assert_eq!(moves, sizes(true).max(sizes(false)));
        }
    }

    fn after_len(targets: &BTreeMap<usize, usize>, buckets: &[Slots], of: usize) -> usize {
        targets.get(&of).copied().unwrap_or(buckets[of].len())
    }
}
