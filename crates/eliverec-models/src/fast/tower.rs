//! The layers of the common tower (Eq. 11) above its first, for candidates in lanes.

use super::engine::{Engine, Lanes, room};
use super::loops::Prelu;
use super::weight::{Parameters, Weight};

/// Dense layers with PReLU between them.
#[derive(Debug)]
pub(super) struct Tower {
    /// Slopes of every hidden layer's units.
    slopes: Vec<Vec<f32>>,
    /// The layers above the first, with their biases.
    layers: Vec<(Weight, Vec<f32>)>,
}

impl Tower {
    /// The first layer's weight and bias, and what stands on it; `hidden` is the number of hidden layers.
    pub(super) fn new(parameters: &Parameters, hidden: usize) -> (Weight, Vec<f32>, Self) {
        let layer = |i: usize| {
            let bias = parameters.vector(&format!("tower.layers.{i}.bias"));
            (parameters.matrix(&format!("tower.layers.{i}.weight")), bias)
        };
        let slopes = (0..hidden).map(|i| parameters.vector(&format!("tower.slopes.{i}")));
        let (weight, bias) = layer(0);
        let tower = Self { slopes: slopes.collect(), layers: (1..=hidden).map(layer).collect() };
        (weight, bias, tower)
    }

    /// The logits of the candidates, added to `logits`, from the sums of the first layer's units `[units, lanes]`.
    pub(super) fn logits(
        &self,
        first: &mut [f32],
        lanes: Lanes,
        logits: &mut Vec<f32>,
        engine: &mut Engine,
        spare: &mut Vec<Vec<f32>>,
    ) {
        spare.resize_with(self.layers.len(), Vec::new);
        let (mut below, mut bias): (&mut [f32], Option<&[f32]>) = (first, None);
        for ((slopes, (weight, above)), spare) in self.slopes.iter().zip(&self.layers).zip(spare) {
            engine.run(Prelu { values: below, bias, slopes, lanes: lanes.all });
            let to = room(spare, weight.outputs * lanes.all);
            engine.map(to, weight, below, lanes);
            (below, bias) = (to, Some(above.as_slice()));
        }
        let offset = bias.map_or(0.0, |bias| bias[0]);
        logits.extend(below[..lanes.used].iter().map(|sum| sum + offset));
    }
}
