//! Embedding look-up: rows of several tables side by side, and the sum of their gradients back into the tables.

use std::sync::Arc;

use rayon::prelude::*;

use super::record::Operation;

/// Rows written by one task.
const ROWS: usize = 512;

/// `[rows, sum of widths]` from `N` tables.
#[derive(Debug)]
pub(super) struct GatherConcat<const N: usize> {
    /// Width of every table.
    pub(super) widths: [usize; N],
    /// The table's row of every output row.
    pub(super) places: [Arc<Vec<u32>>; N],
}

impl<const N: usize> Operation<N> for GatherConcat<N> {
    type Saved = ();

    fn forward(&self, tables: [&[f32]; N], _keep: bool) -> (Vec<f32>, [usize; 2], ()) {
        let rows = self.places[0].len();
        let width: usize = self.widths.iter().sum();
        let mut output = vec![0.0; rows * width];
        output.par_chunks_mut((ROWS * width).max(1)).enumerate().for_each(|(part, output)| {
            for (i, row) in output.chunks_exact_mut(width).enumerate() {
                let mut rest = row;
                for ((table, places), width) in tables.iter().zip(&self.places).zip(self.widths) {
                    let (to, after) = rest.split_at_mut(width);
                    let from = places[part * ROWS + i] as usize * width;
                    to.copy_from_slice(&table[from..from + width]);
                    rest = after;
                }
            }
        });
        (output, [rows, width], ())
    }

    fn backward(&self, tables: [&[f32]; N], (): &(), gradient: &[f32]) -> [Vec<f32>; N] {
        let total: usize = self.widths.iter().sum();
        let mut sums = tables.map(|table| vec![0.0; table.len()]);
        let mut start = 0;
        let starts = self.widths.map(|width| {
            start += width;
            start - width
        });
        // One task per table adds its rows in order: the same bytes whatever the number of threads.
        sums.par_iter_mut().enumerate().for_each(|(field, sums)| {
            let (start, width) = (starts[field], self.widths[field]);
            for (place, row) in self.places[field].iter().zip(gradient.chunks_exact(total.max(1))) {
                let to = *place as usize * width;
                for (sum, value) in sums[to..to + width].iter_mut().zip(&row[start..start + width])
                {
                    *sum += value;
                }
            }
        });
        sums
    }
}
