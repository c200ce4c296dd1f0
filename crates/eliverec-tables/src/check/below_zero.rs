//! Numbers below 0 where a logarithm is taken: the model takes them for 0.

use arrow::array::{RecordBatch, StructArray};
use eliverec_core::feed::Column;
use eliverec_core::no_row::is_no_number;
use eliverec_core::schema::{Group, Kind, Transform};
use eliverec_core::{Feed, Schema};

use super::family::Family;
use super::finding::{Check, Findings, level_of, percent, share};
use crate::decode::{Place, Problem, list_of_structs};
use crate::layout::Split;
use crate::values;

/// Numbers below 0 of a field with a logarithm.
pub(super) const LOG_BELOW_ZERO: Check = Check {
    name: "log_below_zero",
    finds: "numbers below 0 of a field with `transform = \"log1p\"`, which the model takes for 0 (a warning: more than a hundredth)",
    advice: "write 0 or more, or what stands for no value; or take the transform out, if numbers below 0 mean something",
};

/// The fields with a logarithm, by group, each with what was seen in every split.
#[derive(Debug)]
pub(super) struct BelowZero(Vec<OfField>);

#[derive(Debug)]
struct OfField {
    group: Group,
    /// Among the fields of the group.
    place: usize,
    name: String,
    splits: [Seen; Split::ALL.len()],
}

#[derive(Debug, Default)]
struct Seen {
    numbers: u64,
    below: u64,
    /// The first of them.
    first: Option<f32>,
}

impl Seen {
    fn add(&mut self, numbers: &[f32]) {
        let known = || numbers.iter().copied().filter(|x| !is_no_number(*x));
        self.numbers += known().count() as u64;
        let mut below = known().filter(|x| *x < 0.0);
        self.first = self.first.or_else(|| below.clone().next());
        self.below += below.by_ref().count() as u64;
    }
}

impl BelowZero {
    pub(super) fn new(schema: &Schema) -> Self {
        let of_group = |group: Group| {
            let fields = schema.fields(group).iter().enumerate();
            let fields = fields.filter(|(_, field)| {
                matches!(field.kind, Kind::Dense { transform: Transform::Log1p })
            });
            fields.map(move |(place, field)| OfField {
                group,
                place,
                name: field.name.clone(),
                splits: Default::default(),
            })
        };
        Self(Group::ALL.into_iter().flat_map(of_group).collect())
    }

    /// The columns to read, each with the fields of its structs.
    pub(super) fn columns(&self) -> Vec<(&'static str, Vec<&str>)> {
        let mut columns: Vec<(&'static str, Vec<&str>)> = Vec::new();
        for OfField { group, name, .. } in &self.0 {
            match columns.iter_mut().find(|(column, _)| *column == group.column()) {
                Some((_, fields)) => fields.push(name),
                None => columns.push((group.column(), vec![name])),
            }
        }
        columns
    }

    /// Takes in rows that have [`Self::columns`].
    pub(super) fn rows(&mut self, split: Split, rows: &RecordBatch) -> Result<(), Problem> {
        for OfField { group, name, splits, .. } in &mut self.0 {
            let column = group.column();
            let numbers = if matches!(group, Group::User | Group::Context) {
                let structs = Place::Top.read(rows.column_by_name(column), column, values::structs);
                numbers(Place::Struct(column), &structs?, name)?
            } else {
                let (starts, structs) = list_of_structs(rows, column)?;
                let Some(structs) = structs else { continue };
                numbers(Place::List(column, &starts), &structs, name)?
            };
            splits[split as usize].add(&numbers);
        }
        Ok(())
    }
}

impl Family for BelowZero {
    fn feed(&mut self, split: Split, feed: &Feed) {
        for OfField { group, place, splits, .. } in &mut self.0 {
            if let Column::Numbers(numbers) = &feed.columns(*group)[*place] {
                splits[split as usize].add(numbers);
            }
        }
    }

    fn tell(&self, findings: &mut Findings) {
        for OfField { group, name, splits, .. } in &self.0 {
            for split in Split::ALL {
                let Seen { numbers, below, first } = &splits[split as usize];
                let (below, numbers) = (*below, *numbers);
                let level = level_of(share(below, numbers), 0.0, 0.01, f64::INFINITY);
                if let (Some(level), Some(first)) = (level, first) {
                    let says = format!(
                        "{below} of {numbers} numbers ({}) are below 0 and taken for 0, the first is {first}",
                        percent(below, numbers)
                    );
                    let place = format!("{split}: {}.{name}", group.name());
                    findings.add(&LOG_BELOW_ZERO, level, place, (below, numbers), says);
                }
            }
        }
    }
}

fn numbers(place: Place<'_>, structs: &StructArray, name: &str) -> Result<Vec<f32>, Problem> {
    place.read(structs.column_by_name(name), name, values::known_numbers)
}
