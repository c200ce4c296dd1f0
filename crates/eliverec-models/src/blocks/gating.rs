//! HGN's gates, for each event by the user: of the vector's elements, and of the event as a whole.
//!
//! C. Ma et al., "Hierarchical Gating Networks for Sequential Recommendation", KDD 2019; reference code:
//! github.com/allenjack/HGN. The gate of instances has a weight per place, counted from the newest event; older ones share the
//! last.

use burn::module::{Module, Param};
use burn::tensor::{Tensor, activation};

use crate::builder::Builder;
use crate::inputs::History;
use crate::rows::indices;
use crate::trace::Trace;

/// Places with their own weights.
const PLACES: usize = 50;

/// `g_i = sigmoid(e_i W_1 + u W_2 + b)`, `x_i = e_i * g_i`, `s_i = sigmoid(x_i w_3 + u . p_i)`.
#[derive(Module, Debug)]
pub struct Gating {
    feature_item: Param<Tensor<2>>,
    feature_user: Param<Tensor<2>>,
    feature_bias: Param<Tensor<1>>,
    instance_item: Param<Tensor<2>>,
    /// `[places, d]`
    instance_user: Param<Tensor<2>>,
}

/// Events behind both gates.
#[derive(Debug)]
pub struct Gated {
    /// `s_i x_i` `[m, d]`
    pub items: Tensor<2>,
    /// `s_i` `[m, 1]`
    pub instances: Tensor<2>,
}

impl Gating {
    /// For vectors of `width`.
    pub fn new(width: usize, builder: &Builder) -> Self {
        Self {
            feature_item: builder.matrix(width, width),
            feature_user: builder.matrix(width, width),
            feature_bias: builder.constant(width, 0.0),
            instance_item: builder.matrix(width, 1),
            instance_user: builder.matrix(PLACES, width),
        }
    }

    /// Gates the items of a history that has any by `user` `[b, d]`. Records g as `{name}.feature_gate` `[m, d]`, s as
    /// `{name}.instance_gate` `[m, 1]`.
    pub fn forward(
        &self,
        user: Tensor<2>,
        history: &History,
        name: &str,
        trace: &mut Trace,
    ) -> Gated {
        let rows = &history.rows;
        let items = history.items.clone();
        let device = items.device();

        let of_user = user.clone().matmul(self.feature_user.val());
        let of_user = rows.repeat(of_user + self.feature_bias.val().unsqueeze_dim(0));
        let features = activation::sigmoid(items.clone().matmul(self.feature_item.val()) + of_user);
        trace.record(&format!("{name}.feature_gate"), &features);
        let gated = items * features; //                                               x_i [m, d]

        let places = rows
            .offsets
            .ranges()
            .flat_map(|range| (0..range.len()).rev().map(|age| age.min(PLACES - 1) as u32));
        let places = indices(places.collect(), &device);
        let of_place = self.instance_user.val().select(0, places) * rows.repeat(user);
        let score = gated.clone().matmul(self.instance_item.val()) + of_place.sum_dim(1);
        let instances = activation::sigmoid(score);
        trace.record(&format!("{name}.instance_gate"), &instances);
        Gated { items: gated * instances.clone(), instances }
    }
}
