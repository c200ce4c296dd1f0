//! A batch on its way through the model, in one piece or in shards: what its parts have, and what is known of the whole of it only
//! by adding up or by comparing all feeds.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};
use eliverec_core::{Batch, Schema};
use eliverec_models::Model;
use eliverec_models::model::Representation;
use eliverec_models::term::TermKind;
use eliverec_models::trace::Recorded;

use crate::gradient::{Gradient, NotFinite};
use crate::objective::{finite, scalar};
use crate::pass::{Pass, Terms, taken};
use crate::ranks::bytes;
use crate::shards::Shards;

/// The parts of a batch that this rank computes, and the batch.
pub(crate) struct Passes<'a> {
    pub(crate) parts: Vec<Pass<'a>>,
    /// Which shard each part is.
    pub(crate) of_shards: Vec<usize>,
    pub(crate) model: &'a Model,
    pub(crate) schema: &'a Schema,
    pub(crate) batch: &'a Batch,
    pub(crate) shards: &'a Shards,
    /// Of every dense parameter, how many numbers it has.
    pub(crate) sizes: &'a BTreeMap<String, usize>,
    pub(crate) device: &'a Device,
}

/// Terms of the loss that compare the feeds of a whole batch ([`Model::joint`]), and what they send back. Every rank computes them, of
/// the same rows.
pub(crate) struct Joint {
    /// Values, without their weights.
    pub(crate) terms: Terms,
    pub(crate) kinds: Vec<(&'static str, TermKind)>,
    pub(crate) weights: Vec<f32>,
    pub(crate) figures: Vec<(&'static str, f32)>,
    /// By part, to its rows.
    at_rows: Vec<Vec<f32>>,
}

impl Passes<'_> {
    /// F and what belongs to it, of every part.
    pub(crate) fn represent(&self) -> Vec<Representation> {
        self.parts.iter().map(Pass::represent).collect()
    }

    /// What every own shard has, nothing for one without feeds.
    fn by_shard<T: Default>(&self, of_parts: Vec<T>) -> Vec<T> {
        let own = self.shards.own();
        let mut all: Vec<T> = own.clone().map(|_| T::default()).collect();
        for (shard, of_part) in self.of_shards.iter().zip(of_parts) {
            all[shard - own.start] = of_part;
        }
        all
    }

    /// Sums over all shards of the batch.
    pub(crate) fn sum(&self, of_parts: Vec<Vec<f64>>) -> Vec<f64> {
        if self.shards.is_one() {
            return of_parts.concat();
        }
        self.shards.sum(&self.by_shard(of_parts))
    }

    /// Means over the impressions of the batch, of what is a mean over each part's.
    pub(crate) fn mean(&self, of_parts: &[Vec<f32>]) -> Vec<f32> {
        let sum = |(pass, of_part): (&Pass<'_>, &Vec<f32>)| {
            let impressions = pass.batch.impressions() as f64;
            of_part.iter().map(|mean| f64::from(*mean) * impressions).collect()
        };
        let sums = self.sum(self.parts.iter().zip(of_parts).map(sum).collect());
        sums.iter().map(|sum| (sum / self.batch.impressions() as f64) as f32).collect()
    }

    /// The gradient of the batch from those of its parts: dense parameters added up, rows part by part.
    pub(crate) fn add_up(&self, of_parts: Vec<Gradient>) -> Gradient {
        let (dense, rows): (Vec<_>, Vec<_>) =
            of_parts.into_iter().map(|part| (part.dense, part.rows)).unzip();
        let dense = self.shards.sum_dense(self.by_shard(dense), self.sizes);
        Gradient { dense, rows: rows.into_iter().flatten().collect() }
    }

    /// The terms that compare all feeds, where the batch is in shards and the trunk has such.
    pub(crate) fn joint(&self, represented: &[Representation]) -> Result<Joint, NotFinite> {
        let mut joint = Joint {
            terms: Vec::new(),
            kinds: Vec::new(),
            weights: Vec::new(),
            figures: Vec::new(),
            at_rows: Vec::new(),
        };
        if self.shards.is_one() {
            return Ok(joint);
        }
        let own = represented.iter().map(|part| {
            part.joint.as_ref().map_or(Vec::new(), |rows| bytes::of(&Recorded::of(rows).values))
        });
        let own = own.collect();
        let all = self.shards.gather(&self.by_shard(own)).concat();
        if all.is_empty() {
            return Ok(joint);
        }
        let (values, feeds) = (bytes::numbers::<f32>(&all), self.batch.feeds());
        let width = values.len() / feeds;
        let rows = Tensor::<2>::from_data(TensorData::new(values, [feeds, width]), self.device);
        let rows = rows.require_grad();
        let found = self.model.joint(rows.clone(), self.batch);
        joint.figures = found.figures;
        let mut loss = Tensor::<1>::zeros([1], self.device);
        for term in found.terms {
            let value = finite(term.name, term.value)?;
            joint.terms.push((term.name.into(), scalar(&value)));
            joint.kinds.push((term.name, term.kind));
            joint.weights.push(term.weight);
            loss = loss + value * term.weight;
        }
        if loss.is_tracked() {
            let mut gradients = (loss * self.batch.impressions() as f32).backward();
            let gradient = taken(&rows, &mut gradients);
            let mut begin = 0;
            let cuts = self.batch.cuts(self.shards.count());
            let of_shard: Vec<&[f32]> = cuts
                .iter()
                .map(|feeds| {
                    begin += feeds.len() * width;
                    &gradient[begin - feeds.len() * width..begin]
                })
                .collect();
            joint.at_rows = self.of_shards.iter().map(|shard| of_shard[*shard].to_vec()).collect();
        }
        Ok(joint)
    }
}

#[cfg(test)]
impl<'a> Passes<'a> {
    /// Of a batch in one piece.
    pub(crate) fn of_one(
        pass: Pass<'a>,
        shards: &'a Shards,
        sizes: &'a BTreeMap<String, usize>,
    ) -> Self {
        let Pass { model, schema, batch, device, .. } = pass;
        let (parts, of_shards) = (vec![pass], vec![0]);
        Self { parts, of_shards, model, schema, batch, shards, sizes, device }
    }
}

impl Joint {
    /// What is added to the loss of part number `part`, so that its backward pass takes along what the terms send back to it; `None` if
    /// they send nothing.
    pub(crate) fn surrogate(
        &self,
        part: usize,
        pass: &Pass<'_>,
        represented: &Representation,
    ) -> Option<Tensor<1>> {
        let (rows, gradient) = (represented.joint.as_ref()?, self.at_rows.get(part)?);
        let gradient = pass.constant(gradient.clone(), rows.dims()[1]);
        Some((rows.clone() * gradient).sum() * (1.0 / pass.scale()))
    }
}
