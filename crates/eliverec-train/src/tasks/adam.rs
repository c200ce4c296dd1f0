//! Adam for the few numbers that weigh the tasks, with the usual rates of decay.

use super::signal::State;

const BETA_1: f32 = 0.9;
const BETA_2: f32 = 0.999;
const EPSILON: f32 = 1e-8;

/// Moments of the gradient of `n` numbers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Adam {
    first: Vec<f32>,
    second: Vec<f32>,
    /// Updates made; exact up to 2^24, where the corrections are 1 long since.
    steps: f32,
}

impl Adam {
    pub(super) fn new(n: usize) -> Self {
        Self { first: vec![0.0; n], second: vec![0.0; n], steps: 0.0 }
    }

    /// One update of `values` against `gradient`.
    pub(super) fn update(&mut self, values: &mut [f32], gradient: &[f32], rate: f32) {
        self.steps += 1.0;
        let correct_1 = 1.0 - BETA_1.powf(self.steps);
        let correct_2 = 1.0 - BETA_2.powf(self.steps);
        let moments = self.first.iter_mut().zip(&mut self.second);
        for ((value, g), (first, second)) in values.iter_mut().zip(gradient).zip(moments) {
            *first = BETA_1 * *first + (1.0 - BETA_1) * g;
            *second = BETA_2 * *second + (1.0 - BETA_2) * g * g;
            *value -= rate * (*first / correct_1) / ((*second / correct_2).sqrt() + EPSILON);
        }
    }

    /// The state by name, see [`super::Weighting::state`].
    pub(super) fn state<'a>(&'a mut self, name: &str, to: &mut State<'a>) {
        to.insert(format!("{name}/first"), &mut self.first);
        to.insert(format!("{name}/second"), &mut self.second);
        to.insert(format!("{name}/steps"), std::slice::from_mut(&mut self.steps));
    }
}
