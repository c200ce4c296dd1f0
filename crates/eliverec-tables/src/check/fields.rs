//! Fields that say nothing: never varying, never filled, or drowned by a few huge numbers.

use eliverec_core::feed::Column;
use eliverec_core::no_row::{bucket, is_no_number};
use eliverec_core::schema::{Field, Group, Kind, Transform};
use eliverec_core::{Feed, Schema};

use super::family::{Family, identity};
use super::finding::{Check, Findings, Level};
use super::sample::Magnitudes;
use crate::layout::Split;

/// A field that is 0 in every value.
pub(super) const FIELD_ZERO: Check = Check {
    name: "field_zero",
    finds: "a field that is 0 in every value of training: its source was never joined or never filled",
    advice: "fill the column, or take the field out of schema.toml",
};

/// A field with one value.
pub(super) const FIELD_CONSTANT: Check = Check {
    name: "field_constant",
    finds: "a field, context included, with one value throughout training, or a bucket field whose numbers all fall into one bucket",
    advice: "fill the column, set other boundaries, or take the field out of schema.toml",
};

/// A field that no longer varies after training.
pub(super) const FIELD_STOPS: Check = Check {
    name: "field_stops",
    finds: "a field that varies in training and has one value throughout validation or test",
    advice: "fill the column in that split as in training; training relies on it",
};

/// A multi-valued field that is always empty.
pub(super) const LISTS_EMPTY: Check = Check {
    name: "lists_empty",
    finds: "a multi-valued field whose lists are all empty in training",
    advice: "fill the lists, or take the field out of schema.toml",
};

/// A dense field with few numbers much larger than the others.
pub(super) const OUTLIERS: Check = Check {
    name: "outliers",
    finds: "a dense field without `transform` that has numbers a million times its median: standardised, all others are alike",
    advice: "write transform = \"log1p\" for the field, or cap its numbers",
};

/// One value in fewer than this many says nothing.
const FEWEST: u64 = 20;
/// Times the median, from which a number is an outlier.
const OUTLIER: f32 = 1e6;

/// Every field of every group, per split.
#[derive(Debug)]
pub(super) struct Fields {
    schema: Schema,
    /// By split, group and field.
    seen: [Vec<Vec<Seen>>; Split::ALL.len()],
}

#[derive(Debug, Default)]
struct Seen {
    values: u64,
    /// The first value as [`key`] has it.
    first: Option<u64>,
    varies: bool,
    /// Ids in the lists of a multi-valued field.
    listed: u64,
    /// Of a dense field without transform.
    magnitudes: Option<Box<Magnitudes>>,
}

impl Fields {
    pub(super) fn new(schema: &Schema) -> Self {
        let seen = |split: Split| {
            let of_group = |group: Group| schema.fields(group).iter().map(|f| seen(split, f));
            Group::ALL.into_iter().map(|group| of_group(group).collect()).collect()
        };
        Self { seen: Split::ALL.map(seen), schema: schema.clone() }
    }

    fn fields(&self) -> impl Iterator<Item = (Group, usize, &Field)> {
        Group::ALL.into_iter().flat_map(|group| {
            self.schema.fields(group).iter().enumerate().map(move |(i, field)| (group, i, field))
        })
    }
}

fn seen(split: Split, field: &Field) -> Seen {
    let plain = matches!(field.kind, Kind::Dense { transform: Transform::None });
    Seen { magnitudes: (plain && split == Split::Train).then(Box::default), ..Seen::default() }
}

/// One number for alike values: a bucket field has those of its buckets.
fn key(kind: &Kind, column: &Column, i: usize) -> Option<u64> {
    match (kind, column) {
        (Kind::Bucket { boundaries, .. }, Column::Numbers(numbers)) => {
            numbers.get(i).map(|x| bucket(boundaries, *x))
        }
        // 0 and -0 are one value.
        (_, Column::Numbers(numbers)) => numbers.get(i).map(|x| u64::from((x + 0.0).to_bits())),
        _ => identity(column, i),
    }
}

impl Family for Fields {
    fn feed(&mut self, split: Split, feed: &Feed) {
        for group in Group::ALL {
            let fields = self.schema.fields(group).iter().zip(feed.columns(group));
            let of_group = &mut self.seen[split as usize][group as usize];
            for ((field, column), seen) in fields.zip(of_group) {
                seen.values += column.len() as u64;
                if let Column::Lists { ids, .. } = column {
                    seen.listed += ids.len() as u64;
                }
                if let (Column::Numbers(numbers), Some(of)) = (column, &mut seen.magnitudes) {
                    numbers.iter().filter(|x| !is_no_number(**x)).for_each(|x| of.add(*x));
                }
                for i in 0..column.len() {
                    if seen.varies {
                        break;
                    }
                    let value = key(&field.kind, column, i);
                    seen.first = seen.first.or(value);
                    seen.varies = seen.first != value;
                }
            }
        }
    }

    fn tell(&self, findings: &mut Findings) {
        for (group, i, field) in self.fields() {
            let [train, later @ ..] = Split::ALL;
            let of = |split: Split| &self.seen[split as usize][group as usize][i];
            let place = |split: Split| format!("{split}: {}.{}", group.name(), field.name);
            let seen = of(train);
            if seen.values >= FEWEST && !seen.varies {
                let (check, says) = constant(&field.kind, seen);
                let counts = (seen.values, seen.values);
                findings.add(check, Level::Warning, place(train), counts, says);
            }
            if seen.varies {
                for split in later {
                    let later = of(split);
                    if later.values >= FEWEST && !later.varies {
                        // A day of requests has one weekday.
                        let level =
                            if group == Group::Context { Level::Note } else { Level::Warning };
                        let counts = (later.values, later.values);
                        let says =
                            format!("varies in training, but not in {} values here", later.values);
                        findings.add(&FIELD_STOPS, level, place(split), counts, says);
                    }
                }
            }
            if let Some(magnitudes) = &seen.magnitudes {
                let median = magnitudes.median_of_others();
                let count = magnitudes.above(median * OUTLIER);
                if median > 0.0 && count > 0 {
                    let says = format!(
                        "{count} of {} numbers are more than a million times the median of about {median}",
                        seen.values
                    );
                    let counts = (count, seen.values);
                    findings.add(&OUTLIERS, Level::Warning, place(train), counts, says);
                }
            }
        }
    }
}

fn constant(kind: &Kind, seen: &Seen) -> (&'static Check, String) {
    let (values, first) = (seen.values, seen.first.unwrap_or_default());
    match kind {
        Kind::Multi { .. } if seen.listed == 0 => {
            (&LISTS_EMPTY, format!("all {values} lists are empty"))
        }
        Kind::Multi { .. } => (&FIELD_CONSTANT, format!("all {values} lists are the same")),
        Kind::Bucket { .. } => {
            (&FIELD_CONSTANT, format!("all {values} numbers fall into bucket {first}"))
        }
        Kind::Categorical { .. } | Kind::Dense { .. } if first == 0 => {
            (&FIELD_ZERO, format!("all {values} values are 0"))
        }
        Kind::Categorical { .. } => (&FIELD_CONSTANT, format!("all {values} values are one id")),
        Kind::Dense { .. } => {
            (&FIELD_CONSTANT, format!("all {values} values are {}", f32::from_bits(first as u32)))
        }
    }
}
