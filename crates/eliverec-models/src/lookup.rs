//! The values of a batch as vectors: ids as rows of the tables, numbers as they are, lists as means of rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use eliverec_core::batch::{Batch, Values};
use eliverec_core::schema::{Group, Schema};
use eliverec_core::unique::UniqueIds;

use crate::fused;
use crate::ops;
use crate::rows::{Rows, indices};

/// A batch with the leaf tensors of its rows, one `[u, w]` per vocabulary.
pub(crate) struct Lookup<'a> {
    pub(crate) schema: &'a Schema,
    pub(crate) batch: &'a Batch,
    pub(crate) unique: &'a UniqueIds,
    pub(crate) leaves: &'a [Tensor<2>],
    pub(crate) device: Device,
}

impl Lookup<'_> {
    /// All fields of some groups side by side.
    pub(crate) fn concatenated(&self, groups: &[Group]) -> Tensor<2> {
        if let Some(gathered) = self.gathered(groups) {
            return gathered;
        }
        let mut columns: Vec<Tensor<2>> =
            groups.iter().flat_map(|group| self.columns(*group)).collect();
        match columns.len() {
            1 => columns.remove(0),
            _ => Tensor::cat(columns, 1),
        }
    }

    /// The same in one fused step, where the device has it and every field is one id per entity.
    fn gathered(&self, groups: &[Group]) -> Option<Tensor<2>> {
        if !fused::available(&self.leaves[0]) {
            return None;
        }
        let (mut tables, mut places) = (Vec::new(), Vec::new());
        for group in groups {
            if self.schema.extra_numbers(*group) > 0 {
                return None;
            }
            let fields = self.schema.fields(*group).iter().zip(self.batch.values(*group));
            for ((field, values), rows) in fields.zip(self.unique.places(*group)) {
                let Values::Ids(_) = values else { return None };
                tables.push(self.leaves[self.schema.vocabulary_of(field)?].clone());
                places.push(Arc::new(rows.clone()));
            }
        }
        Some(fused::gather_concat(&tables, &places))
    }

    /// The numbers of every group that has any: those of dense fields, then match features.
    pub(crate) fn numbers(&self) -> BTreeMap<Group, Tensor<2>> {
        let of_group = |group: Group| {
            let columns = self.batch.values(group).iter();
            let columns: Vec<&Vec<f32>> = columns
                .filter_map(|values| match values {
                    Values::Numbers(numbers) => Some(numbers),
                    Values::Ids(_) | Values::Lists { .. } => None,
                })
                .collect();
            let (rows, count) = (self.batch.entities(group), columns.len());
            let by_row = (0..rows).flat_map(|row| columns.iter().map(move |column| column[row]));
            let data = TensorData::new(by_row.collect::<Vec<f32>>(), [rows, count]);
            (count > 0).then(|| (group, Tensor::from_data(data, &self.device)))
        };
        Group::ALL.into_iter().filter_map(of_group).collect()
    }

    /// Each field of a group as `[entities, w]`, then the match features of the target.
    pub(crate) fn columns(&self, group: Group) -> Vec<Tensor<2>> {
        let fields = self.schema.fields(group).iter().zip(self.batch.values(group));
        let places = self.unique.places(group);
        let number = |numbers: &Vec<f32>| {
            Tensor::from_data(TensorData::new(numbers.clone(), [numbers.len(), 1]), &self.device)
        };
        let extra = self.batch.values(group)[self.schema.fields(group).len()..].iter();
        let extra = extra.map(|values| match values {
            Values::Numbers(numbers) => number(numbers),
            Values::Ids(_) | Values::Lists { .. } => unreachable!("match features are numbers"),
        });
        fields
            .zip(places)
            .map(|((field, values), places)| {
                let rows = || {
                    let v = self.schema.vocabulary_of(field).expect("Schema::check found it");
                    self.leaves[v].clone().select(0, indices(places.clone(), &self.device))
                };
                match values {
                    Values::Ids(_) => rows(),
                    Values::Numbers(numbers) => number(numbers),
                    Values::Lists { offsets, .. } => {
                        ops::masked_mean(rows(), &Rows::new(offsets.clone(), &self.device))
                    }
                }
            })
            .chain(extra)
            .collect()
    }
}
