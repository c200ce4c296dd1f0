//! Where parameters are made: each with the law of its initial values, drawn later, when it has a name.

use std::cell::RefCell;
use std::collections::BTreeMap;

use burn::module::{Param, ParamId};
use burn::tensor::{Device, Tensor};
use eliverec_core::seed::Random;
use serde::{Deserialize, Serialize};

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

/// `input.init`: how the dense matrices start. The paper does not say. All are uniform around 0; biases start at 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// Variance 1/(3 rows).
    #[default]
    FanIn,
    /// Variance 2/(rows + columns).
    Glorot,
    /// Variance 2/rows for layers that end in a ReLU or PReLU, as Glorot for the others.
    He,
}

impl Init {
    /// The least upper bound of the values of a matrix `[rows, columns]`; `rectified` if a ReLU or PReLU follows.
    fn bound(self, rows: usize, columns: usize, rectified: bool) -> f64 {
        let (rows, columns) = (rows as f64, columns as f64);
        match (self, rectified) {
            (Self::FanIn, _) => 1.0 / rows.sqrt(),
            (Self::He, true) => (6.0 / rows).sqrt(),
            (Self::Glorot | Self::He, _) => (6.0 / (rows + columns)).sqrt(),
        }
    }
}

/// Makes parameters on a device and remembers how each is to be drawn, for [`crate::parameters::initialise`]. A parameter that
/// is made without it keeps the values it was made with.
#[derive(Debug)]
pub struct Builder {
    device: Device,
    init: Init,
    laws: RefCell<BTreeMap<ParamId, Law>>,
}

impl Builder {
    /// A builder of parameters on `device`, matrices by `init`.
    pub fn new(device: &Device, init: Init) -> Self {
        Self { device: device.clone(), init, laws: RefCell::default() }
    }

    /// A matrix `[rows, columns]` of a linear map.
    pub(crate) fn matrix(&self, rows: usize, columns: usize) -> Param<Tensor<2>> {
        self.drawn([rows, columns], Law::Uniform(self.init.bound(rows, columns, false)))
    }

    /// The matrices `[rows, columns / parts]` of `parts` linear maps side by side.
    pub(crate) fn matrices(&self, rows: usize, columns: usize, parts: usize) -> Param<Tensor<2>> {
        self.drawn([rows, columns], Law::Uniform(self.init.bound(rows, columns / parts, false)))
    }

    /// The matrices `[rows, columns / parts]` of `parts` layers side by side, each followed by a ReLU or PReLU.
    pub(crate) fn rectified(&self, rows: usize, columns: usize, parts: usize) -> Param<Tensor<2>> {
        self.drawn([rows, columns], Law::Uniform(self.init.bound(rows, columns / parts, true)))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters;

    #[test]
    fn each_law_has_its_variance() {
        let device = Device::flex();
        let variance = |init: Init, rectified: bool| {
            let builder = Builder::new(&device, init);
            let parameter =
                if rectified { builder.rectified(200, 100, 2) } else { builder.matrix(200, 100) };
            let parameter = parameters::initialise(parameter, &builder, 3, "test");
            let values: Vec<f32> = parameter.val().try_into_vec_as().unwrap();
            values.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / values.len() as f64
        };
        for (init, rectified, expected) in [
            (Init::FanIn, false, 1.0 / 600.0),
            (Init::FanIn, true, 1.0 / 600.0),
            (Init::Glorot, false, 2.0 / 300.0),
            (Init::Glorot, true, 2.0 / 250.0),
            (Init::He, false, 2.0 / 300.0),
            (Init::He, true, 2.0 / 200.0),
        ] {
            let found = variance(init, rectified);
            assert!(
                (found / expected - 1.0).abs() < 0.03,
                "{init:?} {rectified}: {found} {expected}"
            );
        }
    }
}
