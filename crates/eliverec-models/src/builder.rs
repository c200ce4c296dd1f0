//! Where parameters are made: each with the law of its initial values, drawn later, when it has a name.

use std::cell::RefCell;
use std::collections::BTreeMap;

use burn::module::{Param, ParamId};
use burn::tensor::{Device, Tensor};
use eliverec_core::seed::Random;

/// Standard deviation of [`Builder::vectors`]: that of the tables' rows, which they are added to or stand for.
const VECTOR_STD: f64 = 0.05;

/// How a parameter's initial values are drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Law {
    /// Uniform in ±bound.
    Uniform(f64),
    /// Normal, mean 0.
    Normal(f64),
}

impl Law {
    /// Overwrites `values` with draws.
    pub(crate) fn fill(self, random: &mut Random, values: &mut [f32]) {
        match self {
            Self::Uniform(bound) => {
                values.fill_with(|| ((2.0 * random.uniform() - 1.0) * bound) as f32);
            }
            Self::Normal(std) => values.fill_with(|| (random.normal() * std) as f32),
        }
    }
}

/// Makes parameters on a device and remembers how each is to be drawn, for [`crate::parameters::initialise`]. A parameter that
/// is made without it keeps the values it was made with.
#[derive(Debug)]
pub struct Builder {
    device: Device,
    laws: RefCell<BTreeMap<ParamId, Law>>,
}

impl Builder {
    /// A builder of parameters on `device`.
    pub fn new(device: &Device) -> Self {
        Self { device: device.clone(), laws: RefCell::default() }
    }

    /// A matrix `[rows, columns]` of a linear map, uniform in ±1/sqrt(rows).
    pub(crate) fn matrix(&self, rows: usize, columns: usize) -> Param<Tensor<2>> {
        self.drawn([rows, columns], Law::Uniform(1.0 / (rows as f64).sqrt()))
    }

    /// Vectors `[count, width]` that are added to rows of tables, such as those of places.
    pub(crate) fn vectors(&self, count: usize, width: usize) -> Param<Tensor<2>> {
        self.drawn([count, width], Law::Normal(VECTOR_STD))
    }

    /// A vector that stands for a row of a table, such as a prototype.
    pub(crate) fn vector(&self, width: usize) -> Param<Tensor<1>> {
        self.drawn([width], Law::Normal(VECTOR_STD))
    }

    /// A vector that starts at a constant: biases, norms, slopes.
    pub(crate) fn constant(&self, width: usize, value: f32) -> Param<Tensor<1>> {
        Param::from_tensor(Tensor::full([width], value, &self.device))
    }

    /// The identity `[width, width]`, from which a rotation starts.
    pub(crate) fn identity(&self, width: usize) -> Param<Tensor<2>> {
        Param::from_tensor(Tensor::eye(width, &self.device))
    }

    fn drawn<const D: usize>(&self, shape: [usize; D], law: Law) -> Param<Tensor<D>> {
        let parameter = Param::from_tensor(Tensor::zeros(shape, &self.device));
        self.laws.borrow_mut().insert(parameter.id, law);
        parameter
    }

    /// The law of a parameter, if it has one.
    pub(crate) fn law(&self, parameter: ParamId) -> Option<Law> {
        self.laws.borrow().get(&parameter).copied()
    }
}
