//! Embedding look-up: rows of several tables side by side, and the sum of their gradients back into the tables.

use eliverec_core::profile::Part;
use std::sync::Arc;

use rayon::prelude::*;

use super::record::{Keep, Operation};

/// Rows written by one task.
const ROWS: usize = 512;

/// `output_i = table_1[places_1,i] ... table_N[places_N,i]` side by side: `[rows, sum of widths]` from `N` tables.
#[derive(Debug)]
pub(super) struct GatherConcat<const N: usize> {
    /// Width of every table.
    pub(super) widths: [usize; N],
    /// The table's row of every output row.
    pub(super) places: [Arc<Vec<u32>>; N],
}

impl<const N: usize> Operation<N> for GatherConcat<N> {
    type Saved = ();
    const PART: Part = Part::Gather;

    fn forward(&self, tables: [&[f32]; N], _keep: Keep) -> (Vec<f32>, [usize; 2], ()) {
        let rows = self.places[0].len();
        let width: usize = self.widths.iter().sum();
        let mut output = vec![0.0; rows * width];
        output.par_chunks_mut((ROWS * width).max(1)).enumerate().for_each(|(part, output)| {
            // One output row [sum of widths], field by field.
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
        sums.par_iter_mut().enumerate().for_each(|(field, sums)| {
            let (start, width) = (starts[field], self.widths[field].max(1));
            let found = Occurrences::of(&self.places[field], sums.len() / width);
            // dtable_r = sum over the output rows i taken from r of doutput_i's columns of the table  [w]
            // A table's row adds its occurrences in order: the same bytes whatever the number of threads.
            sums.par_chunks_mut(ROWS * width).enumerate().for_each(|(part, sums)| {
                for (i, sum) in sums.chunks_exact_mut(width).enumerate() {
                    for row in found.of_row(part * ROWS + i) {
                        let from = *row as usize * total + start;
                        for (sum, value) in sum.iter_mut().zip(&gradient[from..from + width]) {
                            *sum += value;
                        }
                    }
                }
            });
        });
        sums
    }
}

/// Where each row of a table was taken to, ascending.
struct Occurrences {
    /// Of every row of the table: where its part of `rows` ends `[u]`.
    ends: Vec<u32>,
    /// Output rows, those of one row of the table together `[rows]`.
    rows: Vec<u32>,
}

impl Occurrences {
    /// Counting sort of the output rows by the table's row.
    fn of(places: &[u32], table_rows: usize) -> Self {
        let mut next = vec![0; table_rows + 1];
        places.iter().for_each(|place| next[*place as usize + 1] += 1);
        for i in 1..next.len() {
            next[i] += next[i - 1];
        }
        let mut rows = vec![0; places.len()];
        for (row, place) in (0..).zip(places) {
            let next = &mut next[*place as usize];
            rows[*next as usize] = row;
            *next += 1;
        }
        // Every start has moved to its row's end.
        next.truncate(table_rows);
        Self { ends: next, rows }
    }

    /// The output rows that a row of the table went to.
    fn of_row(&self, row: usize) -> &[u32] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.rows[start as usize..self.ends[row] as usize]
    }
}
