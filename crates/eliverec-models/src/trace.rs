//! Named intermediates of one forward pass, for `explain`, for the intent statistics, and for comparison with reference values.

use std::collections::BTreeMap;

use burn::tensor::Tensor;

use crate::rows::Rows;

/// A recorded tensor, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values.
    pub values: Vec<f32>,
}

impl Recorded {
    /// Copies a tensor off its device.
    pub fn of<const D: usize>(tensor: &Tensor<D>) -> Self {
        Self {
            shape: tensor.dims().to_vec(),
            values: tensor.clone().try_into_vec_as().expect("a computed tensor can be read"),
        }
    }
}

/// Keeps what a model records by name, or nothing.
#[derive(Debug, Default)]
pub struct Trace {
    recorded: Option<BTreeMap<String, Recorded>>,
    in_detail: bool,
}

impl Trace {
    /// Records nothing and costs nothing.
    pub const fn off() -> Self {
        Self { recorded: None, in_detail: false }
    }

    /// Records what a figure over whole batches may be taken from.
    pub const fn on() -> Self {
        Self { recorded: Some(BTreeMap::new()), in_detail: false }
    }

    /// Records everything, also what has to be computed for it once more and is quadratic in the events: for a few feeds.
    pub const fn in_detail() -> Self {
        Self { recorded: Some(BTreeMap::new()), in_detail: true }
    }

    /// Whether it records.
    pub const fn is_on(&self) -> bool {
        self.recorded.is_some()
    }

    /// Whether it records everything ([`Trace::in_detail`]).
    pub const fn is_in_detail(&self) -> bool {
        self.in_detail
    }

    /// Keeps `tensor` under `name`.
    pub fn record<const D: usize>(&mut self, name: &str, tensor: &Tensor<D>) {
        if let Some(recorded) = &mut self.recorded {
            recorded.insert(name.into(), Recorded::of(tensor));
        }
    }

    /// Keeps the numbers of some rows under `name`.
    pub fn record_rows(&mut self, name: &str, rows: &[u32]) {
        if let Some(recorded) = &mut self.recorded {
            let values = rows.iter().map(|row| *row as f32).collect();
            recorded.insert(name.into(), Recorded { shape: vec![rows.len()], values });
        }
    }

    /// Keeps `tensor`, whose last dimension runs over the events of `rows`: without the one place that padding gives to histories
    /// that are all empty.
    pub fn record_over<const D: usize>(&mut self, name: &str, tensor: &Tensor<D>, rows: &Rows) {
        let Some(recorded) = &mut self.recorded else { return };
        let mut kept = Recorded::of(tensor);
        if rows.total() == 0 {
            kept.shape[D - 1] = 0;
            kept.values.clear();
        }
        recorded.insert(name.into(), kept);
    }

    /// What was recorded, by name.
    pub fn into_recorded(self) -> BTreeMap<String, Recorded> {
        self.recorded.unwrap_or_default()
    }
}
