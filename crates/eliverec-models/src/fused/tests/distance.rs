use burn::tensor::{Device, Tensor};
use eliverec_core::seed::Random;
use proptest::prelude::*;

use super::{Grid, check, values};
use crate::fused::pairwise_distance;

fn naive(x: &Grid) -> Grid {
    let mut result = Grid::zeros(x.rows, x.rows);
    for i in 0..x.rows {
        for j in 0..x.rows {
            let squares = x.row(i).iter().zip(x.row(j)).map(|(a, b)| (a - b).powi(2));
            result.row_mut(i)[j] = squares.sum::<f64>().sqrt();
        }
    }
    result
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn equals_the_loop(r in 0..12_usize, d in prop::sample::select(vec![1_usize, 5, 16, 32]), seed: u64) {
        let mut random = Random::new(seed);
        let x = Grid::normal(r, d, &mut random);
        let fused = |tensors: Vec<Tensor<2>>| pairwise_distance(tensors[0].clone());
        check(&[x], |inputs| naive(&inputs[0]), fused, &mut random);
    }
}

#[test]
fn coinciding_rows_have_no_gradient() {
    let device = Device::flex().autodiff();
    let x = Tensor::<2>::from_floats([[1.0, 2.0], [1.0, 2.0], [4.0, 6.0]], &device).require_grad();
    let distances = pairwise_distance(x.clone());
    assert_eq!(values(distances.clone()), [0.0, 0.0, 5.0, 0.0, 0.0, 5.0, 5.0, 5.0, 0.0]);
    let gradient = values(x.grad(&distances.sum().backward()).unwrap());
    let expected = [-1.2, -1.6, -1.2, -1.6, 2.4, 3.2];
    assert!(gradient.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{gradient:?}");
}

#[test]
fn nan_comes_out() {
    let x = Tensor::<2>::from_floats([[1.0], [f32::NAN]], &Device::flex());
    assert!(values(pairwise_distance(x))[1..].iter().all(|distance| distance.is_nan()));
}
