//! Mean and maximum of every feed's events (the prototypes of a history), and their backward.

use std::sync::Arc;

use eliverec_core::batch::Offsets;
use eliverec_core::profile::Part;
use rayon::prelude::*;

use super::chunks::cut;
use super::record::{Keep, Operation};

/// Mean and maximum side by side `[b, 2 d]`.
#[derive(Debug)]
pub(super) struct Prototypes {
    /// From feed to its events.
    pub(super) offsets: Arc<Offsets>,
    /// `d`
    pub(super) width: usize,
}

impl Operation<1> for Prototypes {
    /// The output, if a backward follows.
    type Saved = Vec<f32>;
    const PART: Part = Part::Elements;

    fn forward(&self, [x]: [&[f32]; 1], keep: Keep) -> (Vec<f32>, [usize; 2], Vec<f32>) {
        let (b, d) = (self.offsets.feeds(), self.width);
        let mut output = vec![0.0; b * 2 * d];
        output.par_chunks_exact_mut((2 * d).max(1)).enumerate().for_each(|(i, output)| {
            let range = self.offsets.range(i);
            let (mean, max) = output.split_at_mut(d); // [d] each
            // mean = sum_i x_i / l, max = max_i x_i, column by column  [d]
            let share = 1.0 / range.len() as f32;
            for (event, x) in x[range.start * d..range.end * d].chunks_exact(d).enumerate() {
                for ((mean, max), x) in mean.iter_mut().zip(&mut *max).zip(x) {
                    *mean += share * x;
                    // Written so that NaN, once there, stays.
                    *max = if event == 0 || *x > *max || x.is_nan() { *x } else { *max };
                }
            }
        });
        let saved = match keep {
            Keep::ForBackward => output.clone(),
            Keep::Nothing => Vec::new(),
        };
        (output, [b, 2 * d], saved)
    }

    fn backward(&self, [x]: [&[f32]; 1], saved: &Vec<f32>, gradient: &[f32]) -> [Vec<f32>; 1] {
        let d = self.width;
        let mut x_gradient = vec![0.0; x.len()];
        let parts = cut(&mut x_gradient, self.offsets.ranges(), d);
        parts.into_par_iter().enumerate().for_each(|(i, part)| {
            if part.is_empty() {
                return;
            }
            let range = self.offsets.range(i);
            let x = &x[range.start * d..range.end * d]; // [l, d]
            let max = &saved[(2 * i + 1) * d..(2 * i + 2) * d];
            let (mean_gradient, max_gradient) = gradient[2 * i * d..(2 * i + 2) * d].split_at(d);
            // ties = the number of events that reach the maximum  [d]
            let mut ties = vec![0.0; d];
            for x in x.chunks_exact(d) {
                for ((ties, x), max) in ties.iter_mut().zip(x).zip(max) {
                    *ties += f32::from(u8::from(x == max));
                }
            }
            // dx_i = dmean / l + [x_i = max] dmax / ties  [l, d]
            let share = 1.0 / range.len() as f32;
            for (part, x) in part.chunks_exact_mut(d).zip(x.chunks_exact(d)) {
                for (column, part) in part.iter_mut().enumerate() {
                    let greatest = x[column] == max[column];
                    let tied = if greatest { max_gradient[column] / ties[column] } else { 0.0 };
                    *part = share * mean_gradient[column] + tied;
                }
            }
        });
        [x_gradient]
    }
}
