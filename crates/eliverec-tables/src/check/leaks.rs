//! Inputs that give the label away: nothing that is known before the request can be that good.

use eliverec_core::feed::Column;
use eliverec_core::schema::Group;
use eliverec_core::{Feed, Schema};

use super::family::{Family, list};
use super::finding::{Check, Findings, Level};
use super::sample::Spread;
use crate::layout::Split;

/// A field that is the label.
pub(super) const FIELD_TELLS_LABEL: Check = Check {
    name: "field_tells_label",
    finds: "a number (or the length of a list) of the candidates that alone orders watched before others with an AUC above .99, or below .01",
    advice: "take the field out, or compute it from what was known before the request",
};

/// A position that is known where the outcome is.
pub(super) const POSITION_TELLS_LABEL: Check = Check {
    name: "position_tells_label",
    finds: "positions that are known for watched candidates only: they were joined from the watches",
    advice: "write the position of every candidate, or of none",
};

/// Values of a field that are compared with the labels.
const MOST_VALUES: usize = 1 << 14;
/// Labels of each class that a comparison needs.
const FEWEST: u64 = 20;
/// From here on a field is the label.
const AUC: f64 = 0.99;

const CANDIDATES: [Group; 3] = [Group::Candidate, Group::Target, Group::Dynamic];

/// What stands beside the labels in training.
#[derive(Debug)]
pub(super) struct Leaks {
    fields: Vec<Compared>,
    /// Candidates by whether they were watched and whether their position is known.
    positions: [[u64; 2]; 2],
}

/// A field of the candidates.
#[derive(Debug)]
struct Compared {
    group: Group,
    index: usize,
    place: String,
    /// Its values, and whether they were watched.
    values: Spread<(f32, bool)>,
}

impl Leaks {
    pub(super) fn new(schema: &Schema) -> Self {
        let of_group = |group: Group| {
            let fields = schema.fields(group).iter().enumerate();
            fields.map(move |(index, field)| Compared {
                group,
                index,
                place: format!("train: {}.{}", group.name(), field.name),
                values: Spread::new(MOST_VALUES),
            })
        };
        let fields = CANDIDATES.into_iter().flat_map(of_group).collect();
        Self { fields, positions: Default::default() }
    }
}

impl Family for Leaks {
    fn feed(&mut self, split: Split, feed: &Feed) {
        let labels = feed.candidates.labels.as_ref();
        let Some(labels) = labels.filter(|_| split == Split::Train) else { return };
        for (position, watched) in feed.candidates.position.iter().zip(&labels.watched) {
            self.positions[usize::from(*watched)][usize::from(position.is_some())] += 1;
        }
        for Compared { group, index, values, .. } in &mut self.fields {
            let column = &feed.columns(*group)[*index];
            for (row, watched) in labels.watched.iter().enumerate() {
                let value = match column {
                    Column::Numbers(numbers) => numbers[row],
                    Column::Lists { ends, ids } => list(ends, ids, row).len() as f32,
                    Column::Ids(_) => break,
                };
                values.add((value, *watched));
            }
        }
    }

    fn tell(&self, findings: &mut Findings) {
        for Compared { place, values, .. } in &self.fields {
            let mut values: Vec<(f32, bool)> = values.values().copied().collect();
            let Some(auc) = auc(&mut values) else { continue };
            if (1.0 - AUC..=AUC).contains(&auc) {
                continue;
            }
            let count = values.len() as u64;
            let says = format!("alone tells the watched from the others: AUC {auc:.3} of {count}");
            findings.add(&FIELD_TELLS_LABEL, Level::Severe, place, (count, count), says);
        }
        let [[unknown, known], [unknown_watched, known_watched]] = self.positions;
        if known == 0 && unknown_watched == 0 && unknown >= FEWEST && known_watched >= FEWEST {
            let says = format!(
                "known for all {known_watched} watched candidates and for none of the {unknown} others"
            );
            let (place, counts) = ("train: candidates.position", (known_watched, known_watched));
            findings.add(&POSITION_TELLS_LABEL, Level::Severe, place, counts, says);
        }
    }
}

/// The share of pairs of a watched and another value in which the watched one is larger, ties counting one half; `None` if one
/// class has too few.
fn auc(values: &mut [(f32, bool)]) -> Option<f64> {
    let watched = values.iter().filter(|(_, watched)| *watched).count() as u64;
    let others = values.len() as u64 - watched;
    if watched < FEWEST || others < FEWEST {
        return None;
    }
    values.sort_by(|a, b| a.0.total_cmp(&b.0));
    // Twice the number of such pairs, so that a tie counts 1.
    let (mut pairs, mut below) = (0, 0);
    for alike in values.chunk_by(|a, b| a.0 == b.0) {
        let of_watched = alike.iter().filter(|(_, watched)| *watched).count() as u64;
        let of_others = alike.len() as u64 - of_watched;
        pairs += of_watched * (2 * below + of_others);
        below += of_others;
    }
    Some(pairs as f64 / (2 * watched * others) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auc_is_the_share_of_pairs() {
        let mut values: Vec<(f32, bool)> =
            (0..200).map(|i| (((i * 37) % 50) as f32, (i * 11) % 7 < 3)).collect();
        let of = |class: bool| values.iter().filter(move |(_, watched)| *watched == class);
        let (mut wins, mut all) = (0.0, 0.0);
        for (x, _) in of(true) {
            for (y, _) in of(false) {
                wins += if x > y {
                    1.0
                } else if x == y {
                    0.5
                } else {
                    0.0
                };
                all += 1.0;
            }
        }
        assert!((auc(&mut values).unwrap() - wins / all).abs() < 1e-12);
        assert_eq!(auc(&mut [(1.0, true); 50]), None);
    }
}
