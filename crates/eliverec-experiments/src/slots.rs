//! The slots that a bucket has, as ranges.

use serde::{Serialize, Serializer};

use crate::assignment::SLOTS;

/// Slots of a layer, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slots(Vec<u16>);

impl Slots {
    /// Reads ranges such as `0-4999`, both ends included, and single slots such as `17`.
    ///
    /// # Errors
    /// What is wrong with which of them.
    pub fn parse(ranges: &[String]) -> Result<Self, String> {
        let mut slots = Vec::new();
        for range in ranges {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let ends = first.trim().parse::<u16>().ok().zip(last.trim().parse::<u16>().ok());
            let Some((first, last)) = ends.filter(|(a, b)| a <= b && *b < SLOTS) else {
                let most = SLOTS - 1;
                return Err(format!(
                    "{range:?} is no range of slots; write FIRST-LAST or one slot, from 0 to {most}"
                ));
            };
            slots.extend(first..=last);
        }
        slots.sort_unstable();
        match slots.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(format!("slot {} stands there twice", pair[0])),
            None => Ok(Self(slots)),
        }
    }

    /// The slots in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = u16> + DoubleEndedIterator + '_ {
        self.0.iter().copied()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The share of a layer's users, from 0 to 1.
    pub fn share(&self) -> f64 {
        self.0.len() as f64 / f64::from(SLOTS)
    }

    /// As [`Slots::parse`] reads them, as few ranges as possible.
    pub fn ranges(&self) -> Vec<String> {
        let of = |run: &[u16]| match run {
            [] => None,
            [one] => Some(one.to_string()),
            [first, .., last] => Some(format!("{first}-{last}")),
        };
        self.0.chunk_by(|a, b| a + 1 == *b).filter_map(of).collect()
    }

    /// Gives up the highest `count` slots; these.
    pub(crate) fn give_up(&mut self, count: usize) -> Vec<u16> {
        self.0.split_off(self.0.len().saturating_sub(count))
    }

    /// Takes slots that it has not.
    pub(crate) fn take(&mut self, slots: impl IntoIterator<Item = u16>) {
        self.0.extend(slots);
        self.0.sort_unstable();
    }
}

/// The place of the bucket that has each slot of a layer, by the names of the buckets and their slots.
///
/// # Errors
/// A slot that is in two; the message begins with `, bucket NAME`.
pub(crate) fn of_slots<'a>(
    buckets: impl IntoIterator<Item = (&'a str, &'a Slots)>,
) -> Result<Vec<Option<u16>>, String> {
    let mut of_slot: Vec<Option<u16>> = vec![None; usize::from(SLOTS)];
    let mut names = Vec::new();
    for (place, (name, slots)) in (0_u16..).zip(buckets) {
        for slot in slots.iter() {
            if let Some(other) = of_slot[usize::from(slot)].replace(place) {
                let other: &str = names[usize::from(other)];
                return Err(format!(
                    ", bucket {name:?}: slots: {slot} is one of bucket {other:?}, too"
                ));
            }
        }
        names.push(name);
    }
    Ok(of_slot)
}

impl Serialize for Slots {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.ranges().serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_come_back_as_few() {
        let parse = |ranges: &[&str]| {
            Slots::parse(&ranges.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        let slots = parse(&["5", "0-2", "3 - 3", "9998-9999"]).unwrap();
        assert_eq!(slots.ranges(), ["0-3", "5", "9998-9999"]);
        assert_eq!((slots.len(), slots.share()), (7, 0.0007));
        assert_eq!(parse(&[]).unwrap(), Slots::default());
        for (wrong, words) in [
            ("10000", "\"10000\" is no range"),
            ("4-3", "no range"),
            ("-1", "no range"),
            ("a-b", "no range"),
            ("", "no range"),
        ] {
            let told = parse(&[wrong]).unwrap_err();
            assert!(told.contains(words) && told.contains("from 0 to 9999"), "{told}");
        }
        assert_eq!(parse(&["0-4", "3"]).unwrap_err(), "slot 3 stands there twice");
    }
}
