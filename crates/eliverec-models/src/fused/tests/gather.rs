use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use eliverec_core::seed::Random;
use proptest::prelude::*;

use super::{Grid, check, values};
use crate::fused::gather_concat;

fn naive(tables: &[Grid], places: &[Arc<Vec<u32>>]) -> Grid {
    let width = tables.iter().map(|table| table.columns).sum();
    let mut result = Grid::zeros(places[0].len(), width);
    for i in 0..result.rows {
        let row =
            tables.iter().zip(places).flat_map(|(table, places)| table.row(places[i] as usize));
        let row: Vec<f64> = row.copied().collect();
        result.row_mut(i).copy_from_slice(&row);
    }
    result
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn equals_the_loop(rows in 0..30_usize, widths in prop::collection::vec(1..9_usize, 1..19), seed: u64) {
        let mut random = Random::new(seed);
        let tables: Vec<Grid> = widths
            .iter()
            .map(|width| {
                let entries = 1 + random.below(6);
                Grid::normal(entries, *width, &mut random)
            })
            .collect();
        let places: Vec<Arc<Vec<u32>>> = tables
            .iter()
            .map(|table| Arc::new((0..rows).map(|_| random.below(table.rows) as u32).collect()))
            .collect();
        check(
            &tables,
            |tables| naive(tables, &places),
            |tables| gather_concat(&tables, &places),
            &mut random,
        );
    }
}

#[test]
fn tasks_continue_where_the_last_ended() {
    let mut random = Random::new(1);
    let table = Grid::normal(700, 3, &mut random);
    let places = Arc::new((0..1300).map(|_| random.below(700) as u32).collect::<Vec<u32>>());
    let output = gather_concat(&[table.tensor(&Device::flex())], &[Arc::clone(&places)]);
    let expected: Vec<f32> =
        naive(&[table], &[places]).values.iter().map(|value| *value as f32).collect();
    assert_eq!(values(output), expected);
}

#[test]
#[should_panic(expected = "at least one table")]
fn no_table_is_refused() {
    let tables: [Tensor<2>; 0] = [];
    gather_concat(&tables, &[]);
}
