//! Weights from gradient norms: an auxiliary gradient is brought near the norm of the main one's, so that neither drowns the other.
//!
//! Y. He et al., "MetaBalance: Improving Multi-Task Recommendations via Adapting Gradient Magnitudes of Auxiliary Tasks", WWW
//! 2022 (the paper's reference 31). Differences: one norm over the whole scope in place of one per layer.

use super::TASKS;
use super::signal::{Signal, State};

/// Relax factor r: 1 brings the norms together, 0 changes nothing.
const RELAX: f32 = 0.7;
/// Of the moving averages of the norms.
const BETA: f32 = 0.9;

/// Moving averages of |g_rec| and |g_i| over the batches in which a task had labels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Balance {
    norms: [f32; 2 * TASKS],
}

impl Balance {
    /// `w_i = r m_rec / m_i + (1 - r)`, m the moving averages of the norms.
    pub(super) fn weigh(&mut self, signals: &[Option<Signal>; TASKS]) -> [f32; TASKS] {
        let mut weights = [0.0; TASKS];
        let (norms, _) = self.norms.as_chunks_mut::<2>();
        for ((weight, signal), means) in weights.iter_mut().zip(signals).zip(norms) {
            let Some(signal) = signal else { continue };
            for (mean, norm) in means.iter_mut().zip(signal.norms) {
                *mean = BETA * *mean + (1.0 - BETA) * norm;
            }
            let [main, own] = *means;
            *weight = if own > 0.0 { RELAX * main / own + (1.0 - RELAX) } else { 1.0 };
        }
        weights
    }

    pub(super) fn state<'a>(&'a mut self, to: &mut State<'a>) {
        to.insert("norms".into(), &mut self.norms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_norms_weigh_one_and_larger_gradients_less() {
        let signal = |norm| Some(Signal { loss: 1.0, cosine: 0.0, norms: [2.0, norm] });
        let weights = Balance::default().weigh(&[signal(2.0), signal(20.0), None]);
        assert!((weights[0] - 1.0).abs() < 1e-6);
        assert!((weights[1] - 0.37).abs() < 1e-6);
        assert_eq!(weights[2], 0.0);
    }
}
