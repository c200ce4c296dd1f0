use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use eliverec_core::batch::Offsets;
use eliverec_core::seed::Random;
use proptest::prelude::*;

use super::{Grid, check, values};
use crate::fused::prototypes;

fn naive(x: &Grid, offsets: &Offsets) -> Grid {
    let d = x.columns;
    let mut result = Grid::zeros(offsets.feeds(), 2 * d);
    for (i, range) in offsets.ranges().enumerate().filter(|(_, range)| !range.is_empty()) {
        for column in 0..d {
            let all = range.clone().map(|row| x.row(row)[column]);
            result.row_mut(i)[column] = all.clone().sum::<f64>() / range.len() as f64;
            result.row_mut(i)[d + column] = all.fold(f64::NEG_INFINITY, f64::max);
        }
    }
    result
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn equals_the_loop(lengths in prop::collection::vec(0..7_usize, 0..6), d in 1..20_usize, seed: u64) {
        let mut random = Random::new(seed);
        let offsets = Arc::new(Offsets::from_lengths(lengths));
        let x = Grid::normal(offsets.total(), d, &mut random);
        check(
            &[x],
            |inputs| naive(&inputs[0], &offsets),
            |tensors| {
                let (mean, max) = prototypes(tensors[0].clone(), &offsets);
                Tensor::cat(vec![mean, max], 1)
            },
            &mut random,
        );
    }
}

#[test]
fn ties_share_the_gradient() {
    let device = Device::flex().autodiff();
    let offsets = Arc::new(Offsets::from_lengths([3]));
    let x = Tensor::<2>::from_floats([[2.0, 1.0], [2.0, 0.0], [1.0, 3.0]], &device).require_grad();
    let max = prototypes(x.clone(), &offsets).1;
    let gradients = max.sum().backward();
    assert_eq!(values(x.grad(&gradients).unwrap()), [0.5, 0.0, 0.5, 0.0, 0.0, 1.0]);
}

#[test]
fn nan_comes_out() {
    let offsets = Arc::new(Offsets::from_lengths([3]));
    let x = Tensor::<2>::from_floats([[2.0], [f32::NAN], [1.0]], &Device::flex());
    let (mean, max) = prototypes(x, &offsets);
    assert!(values(mean)[0].is_nan() && values(max)[0].is_nan());
}
