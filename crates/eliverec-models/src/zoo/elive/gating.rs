//! HGN's gates, as the encoder eLive-HGN.
//!
//! C. Ma et al., "Hierarchical Gating Networks for Sequential Recommendation", KDD 2019; reference code:
//! github.com/allenjack/HGN. The user's vector u is the context's, for a user id alone says nothing of new users. The gate
//! of instances has a weight per place, counted from the newest event; older ones share the last.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, activation};

use crate::blocks::{matrix, vector};
use crate::inputs::History;
use crate::rows::indices;

/// Places with their own weights.
const PLACES: usize = 50;

/// `g_i = sigmoid(e_i W_1 + u W_2 + b)`, `x_i = e_i * g_i`, `s_i = sigmoid(x_i w_3 + u . p_i)`, `h_i = s_i x_i`.
#[derive(Module, Debug)]
pub(super) struct Gating {
    feature_item: Param<Tensor<2>>,
    feature_user: Param<Tensor<2>>,
    feature_bias: Param<Tensor<1>>,
    instance_item: Param<Tensor<2>>,
    /// `[places, d]`
    instance_user: Param<Tensor<2>>,
}

impl Gating {
    pub(super) fn new(width: usize, device: &Device) -> Self {
        Self {
            feature_item: matrix(width, width, device),
            feature_user: matrix(width, width, device),
            feature_bias: vector(width, 0.0, device),
            instance_item: matrix(width, 1, device),
            instance_user: matrix(PLACES, width, device),
        }
    }

    /// `[m, d]` to `[m, d]`; `user` `[b, d]`, zeros if there is none.
    pub(super) fn forward(&self, user: Option<&Tensor<2>>, history: &History) -> Tensor<2> {
        let rows = &history.rows;
        let items = history.items.clone();
        let device = items.device();
        let [_, d] = items.dims();
        let none = || Tensor::zeros([rows.feeds(), d], &device);
        let user = user.cloned().unwrap_or_else(none);

        let of_user = user.clone().matmul(self.feature_user.val());
        let of_user = rows.repeat(of_user + self.feature_bias.val().unsqueeze_dim(0));
        let features = activation::sigmoid(items.clone().matmul(self.feature_item.val()) + of_user);
        let gated = items * features; //                                               x_i [m, d]

        let places = rows
            .offsets
            .ranges()
            .flat_map(|range| (0..range.len()).rev().map(|age| age.min(PLACES - 1) as u32));
        let places = indices(places.collect(), &device);
        let of_place = self.instance_user.val().select(0, places) * rows.repeat(user);
        let score = gated.clone().matmul(self.instance_item.val()) + of_place.sum_dim(1);
        gated * activation::sigmoid(score)
    }
}
