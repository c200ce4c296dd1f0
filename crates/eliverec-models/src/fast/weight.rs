//! A model's parameters by name, and what is done to them once at load: cut into the rows of a field, joined, multiplied into the
//! next layer.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::model::Model;
use crate::parameters;
use crate::trace::Recorded;

/// A model's parameters, copied off their device.
#[derive(Debug)]
pub(super) struct Parameters(BTreeMap<String, Recorded>);

impl Parameters {
    pub(super) fn of(model: &Model) -> Self {
        Self(parameters::export(model))
    }

    /// A matrix, `None` if the model has none of that name.
    pub(super) fn find(&self, name: &str) -> Option<Weight> {
        let Recorded { shape, values } = self.0.get(name)?;
        Some(Weight { values: values.clone(), inputs: shape[0], outputs: shape[1] })
    }

    /// A matrix that every model of the kind has.
    pub(super) fn matrix(&self, name: &str) -> Weight {
        self.find(name).unwrap_or_else(|| panic!("the model has no parameter {name}"))
    }

    /// A vector, or the values of a matrix one after the other.
    pub(super) fn vector(&self, name: &str) -> Vec<f32> {
        let found = self.0.get(name).unwrap_or_else(|| panic!("the model has no parameter {name}"));
        found.values.clone()
    }
}

/// A linear map `[in, out]`, row-major.
#[derive(Clone, Debug)]
pub(super) struct Weight {
    pub(super) values: Vec<f32>,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
}

impl Weight {
    /// A map of nothing to `outputs`, to put others [`Weight::above`].
    pub(super) fn empty(outputs: usize) -> Self {
        Self { values: Vec::new(), inputs: 0, outputs }
    }

    /// The part of the map that belongs to some inputs.
    pub(super) fn rows(&self, inputs: Range<usize>) -> Self {
        let values = self.values[inputs.start * self.outputs..inputs.end * self.outputs].to_vec();
        Self { values, inputs: inputs.len(), outputs: self.outputs }
    }

    /// This map and then the next, `[in, next's out]`, in 64 bits until the end.
    pub(super) fn then(&self, next: &Self) -> Self {
        assert_eq!(self.outputs, next.inputs, "outputs of a map and inputs of the next");
        let mut values = Vec::with_capacity(self.inputs * next.outputs);
        let mut sums = vec![0.0_f64; next.outputs];
        for row in self.values.chunks_exact(self.outputs) {
            sums.fill(0.0);
            for (x, weights) in row.iter().zip(next.values.chunks_exact(next.outputs)) {
                for (sum, weight) in sums.iter_mut().zip(weights) {
                    *sum += f64::from(*x) * f64::from(*weight);
                }
            }
            values.extend(sums.iter().map(|sum| *sum as f32));
        }
        Self { values, inputs: self.inputs, outputs: next.outputs }
    }

    /// Maps of the same inputs side by side.
    pub(super) fn beside(parts: &[Self]) -> Self {
        let inputs = parts[0].inputs;
        let rows = (0..inputs).flat_map(|i| {
            parts.iter().flat_map(move |part| &part.values[i * part.outputs..][..part.outputs])
        });
        let outputs = parts.iter().map(|part| part.outputs).sum();
        Self { values: rows.copied().collect(), inputs, outputs }
    }

    /// This map with that of further inputs below it.
    pub(super) fn above(mut self, other: &Self) -> Self {
        assert_eq!(self.outputs, other.outputs, "outputs of maps to the same");
        self.values.extend_from_slice(&other.values);
        self.inputs += other.inputs;
        self
    }

    /// `self + factor * other`, of one shape.
    pub(super) fn plus(mut self, factor: f32, other: &Self) -> Self {
        let pairs = self.values.iter_mut().zip(&other.values);
        pairs.for_each(|(value, other)| *value += factor * other);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weight(values: &[f32], inputs: usize) -> Weight {
        Weight { values: values.to_vec(), inputs, outputs: values.len() / inputs }
    }

    #[test]
    fn maps_are_cut_joined_and_multiplied() {
        let map = weight(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3);
        assert_eq!(map.rows(1..3).values, [3.0, 4.0, 5.0, 6.0]);
        let next = weight(&[1.0, -1.0], 2);
        assert_eq!(map.then(&next).values, [-1.0, -1.0, -1.0]);
        let joined = Weight::beside(&[map.clone(), map.then(&next)]);
        assert_eq!(joined.values, [1.0, 2.0, -1.0, 3.0, 4.0, -1.0, 5.0, 6.0, -1.0]);
        let stacked = Weight::empty(2).above(&map).above(&map.rows(0..1));
        assert_eq!((stacked.inputs, &stacked.values[6..]), (4, &[1.0, 2.0][..]));
        assert_eq!(map.clone().plus(-1.0, &map).values, [0.0; 6]);
    }
}
