//! Named intermediates of one forward pass, for `explain`, for the intent statistics, and for comparison with reference values.

use std::collections::BTreeMap;

use burn::tensor::Tensor;

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
pub struct Trace(Option<BTreeMap<String, Recorded>>);

impl Trace {
    /// Records nothing and costs nothing.
    pub const fn off() -> Self {
        Self(None)
    }

    /// Records everything.
    pub const fn on() -> Self {
        Self(Some(BTreeMap::new()))
    }

    /// Whether it records.
    pub const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Keeps `tensor` under `name`.
    pub fn record<const D: usize>(&mut self, name: &str, tensor: &Tensor<D>) {
        if let Some(recorded) = &mut self.0 {
            recorded.insert(name.into(), Recorded::of(tensor));
        }
    }

    /// What was recorded, by name.
    pub fn into_recorded(self) -> BTreeMap<String, Recorded> {
        self.0.unwrap_or_default()
    }
}
