//! The scan against a plain loop.

use eliverec_retrieval::{ChannelVectors, Error};
use proptest::prelude::*;

use crate::platform::vector;

/// The vector without `mean`, of length 1.
fn direction(vector: &[f32], mean: &[f32]) -> Vec<f32> {
    let own: Vec<f32> = vector.iter().zip(mean).map(|(x, mean)| x - mean).collect();
    let length = own.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt() as f32;
    own.iter().map(|x| x / length).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, rng_seed: proptest::test_runner::RngSeed::Fixed(2), ..ProptestConfig::default() })]

    #[test]
    fn the_scan_has_the_bits_of_a_plain_loop(n in 0_usize..200, width in 1_usize..70, seed in any::<u64>()) {
        let ids: Vec<u64> = (0..n as u64).map(|i| i * 7 % 211).collect();
        let values = vector(n * width, seed);
        let vectors = ChannelVectors::new(width, &ids, &values).unwrap();
        let live: Vec<u64> = (0..211).filter(|id| id % 2 == 0).collect();
        let scanned = vectors.of_live(&live);
        let query = vector(width, seed ^ 5);
        let known = live.iter().enumerate().filter_map(|(i, id)| Some((i as u32, vectors.of(*id)?)));
        let mut mean = vec![0.0_f64; width];
        for id in vectors.channels() {
            let row = vectors.of(*id).unwrap();
            mean.iter_mut().zip(row).for_each(|(mean, x)| *mean += f64::from(*x) / n as f64);
        }
        let mean: Vec<f32> = mean.iter().map(|x| *x as f32).collect();
        let unit = direction(&query, &vec![0.0; width]);
        // In the order of the vector's numbers.
        let cosine = |vector: &[f32]| {
            direction(vector, &mean).iter().zip(&unit).fold(0.0, |sum, (x, q)| sum + x * q)
        };
        let known = known.filter(|(_, vector)| *vector != mean);
        let (places, expected): (Vec<u32>, Vec<f32>) =
            known.map(|(place, vector)| (place, cosine(vector))).unzip();
        prop_assert_eq!(scanned.places(), places);
        let cosines = scanned.cosines(&[vector(width, 3), query]);
        let found = cosines[1].as_slice();
        let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        prop_assert_eq!(bits(found), bits(&expected));
    }
}

#[test]
fn vectors_that_cannot_be_searched_are_refused_or_left_out() {
    let message = |width, ids: &[u64], values: &[f32]| {
        let Err(Error::Vectors(reason)) = ChannelVectors::new(width, ids, values) else { panic!() };
        reason
    };
    assert!(message(2, &[1, 2], &[0.0; 3]).contains("3 numbers for 2 channels of width 2"));
    assert!(message(0, &[], &[]).contains("width 0"));
    assert!(message(1, &[4, 3, 4], &[1.0; 3]).contains("channel 4 has two"));
    assert!(message(1, &[4, 3], &[1.0, f32::NAN]).contains("channel 3 holds NaN"));
    // The mean is (3, 4), which is channel 1's vector.
    let vectors = ChannelVectors::new(2, &[1, 2, 4], &[3.0, 4.0, 6.0, 8.0, 0.0, 0.0]).unwrap();
    let live = vectors.of_live(&[1, 2, 3]);
    assert_eq!(live.places(), [1]);
    let queries = [vec![0.0; 2], vec![1.0, 0.0], vec![1.0; 3], vec![f32::NAN; 2], vec![0.0, 1.0]];
    assert_eq!(live.cosines(&queries), [vec![], vec![0.6], vec![], vec![], vec![0.8]]);
}
