//! Bytes that a rank sends in one update, on average over ranks: rows of embeddings lie on ranks by a hash of their id, dense
//! parameters on each, and the batch is split over ranks by feeds.
//!
//! With `R` ranks, `(R - 1) / R` of what a rank needs lies elsewhere. Per update and rank:
//!
//! | what | by | bytes |
//! | --- | --- | --- |
//! | gradients of `p` dense parameters | all-reduce | `2 (R - 1) / R * 4 p` |
//! | vectors of `w` numbers of `u` different rows of its batch, from their owners | all-to-all | `(R - 1) / R * 4 u w` |
//! | gradients of these, to their owners | all-to-all | `(R - 1) / R * 4 u w` |
//! | the z's of `s` sampled impressions, `4 d` numbers each, to all | all-to-all | `(R - 1) * 16 s d` |
//!
//! Every rank reads the whole batch, so no id is sent, and each computes what the terms that compare feeds send back.
//!
//! `u` is the sum over tables, of the rank's own part of the batch; `s` is one impression per feed of that part.

use serde::Serialize;

/// Bytes of a number.
const NUMBER: f64 = 4.0;
/// Vectors among the z's of an impression: shared and specific, of both domains.
const ZS: f64 = 4.0;

/// Different rows of one table in a rank's part of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TableRows {
    /// Numbers of a row's vector, w.
    pub width: f64,
    /// How many, u.
    pub rows: f64,
}

/// One update, as a rank sees it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Update {
    /// How many ranks there are, R.
    pub ranks: u32,
    /// Numbers of all dense parameters, p.
    pub dense_parameters: f64,
    /// Rows of its part of the batch.
    pub tables: Vec<TableRows>,
    /// Sampled impressions of its part, s.
    pub sampled: f64,
    /// Width of the model, d.
    pub width: f64,
}

/// Bytes that a rank sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Traffic {
    /// Gradients of dense parameters.
    pub dense: f64,
    /// Vectors of rows, and as much again for their gradients.
    pub rows: f64,
    /// The z's.
    pub zs: f64,
}

impl Traffic {
    /// Of an update.
    pub fn of(update: &Update) -> Self {
        let Update { ranks, dense_parameters, tables, sampled, width } = update;
        let others = f64::from(ranks - 1);
        let elsewhere = others / f64::from(*ranks);
        let numbers: f64 = tables.iter().map(|table| table.rows * table.width).sum();
        Self {
            dense: all_reduce_bytes(*ranks, NUMBER * dense_parameters),
            rows: 2.0 * elsewhere * NUMBER * numbers,
            zs: others * NUMBER * ZS * sampled * width,
        }
    }

    /// All of it.
    pub fn total(self) -> f64 {
        self.dense + self.rows + self.zs
    }
}

/// Bytes that a rank sends so that each of `ranks` has the sums of what all have, `bytes` each.
pub fn all_reduce_bytes(ranks: u32, bytes: f64) -> f64 {
    2.0 * f64::from(ranks - 1) / f64::from(ranks) * bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What each rank sends to each other one, counted one by one.
    fn counted(ranks: usize, dense: usize, rows: &[Vec<u64>], width: usize, sampled: usize) -> f64 {
        let owner = |id: u64| id as usize % ranks;
        let mut bytes = 0.0;
        for (rank, ids) in rows.iter().enumerate() {
            // Sent by its owner, and its gradient sent back.
            let elsewhere = ids.iter().filter(|id| owner(**id) != rank).count();
            bytes += 2.0 * 4.0 * (width * elsewhere) as f64;
            // Each of the parts of the dense gradient is another rank's to sum, and comes back summed.
            for part in 0..ranks {
                let numbers = dense / ranks + usize::from(part < dense % ranks);
                if part != rank {
                    bytes += 4.0 * numbers as f64;
                }
                if part == rank {
                    bytes += 4.0 * numbers as f64 * (ranks - 1) as f64;
                }
            }
            for other in 0..ranks {
                if other != rank {
                    // Its z's to the other.
                    bytes += 4.0 * (4 * width * sampled) as f64;
                }
            }
        }
        bytes / ranks as f64
    }

    proptest! {
        /// The formula is what ranks send, on average; which rank owns a row is spread evenly.
        #[test]
        fn bytes_are_those_that_are_sent(
            ranks in 1_usize..9, dense in 0_usize..10_000, per_rank in 0_u64..40, width in 1_usize..130, sampled in 0_usize..300,
        ) {
            // As many ids of each owner on each rank.
            let ids = (0..per_rank * ranks as u64).collect::<Vec<_>>();
            let expected = counted(ranks, dense, &vec![ids.clone(); ranks], width, sampled);
            let traffic = Traffic::of(&Update {
                ranks: ranks as u32,
                dense_parameters: dense as f64,
                tables: vec![TableRows { width: width as f64, rows: ids.len() as f64 }],
                sampled: sampled as f64,
                width: width as f64,
            });
            let total = traffic.total();
            prop_assert!((total - expected).abs() <= 1e-9 * expected.max(1.0), "{total} {expected}");
        }
    }

    #[test]
    fn tables_of_other_widths_add_up() {
        let of = |tables: &[(f64, f64)]| {
            let tables =
                tables.iter().map(|(width, rows)| TableRows { width: *width, rows: *rows });
            Traffic::of(&Update {
                ranks: 4,
                dense_parameters: 10.0,
                tables: tables.collect(),
                sampled: 2.0,
                width: 8.0,
            })
        };
        let (both, one, other) =
            (of(&[(8.0, 3.0), (2.0, 5.0)]), of(&[(8.0, 3.0)]), of(&[(2.0, 5.0)]));
        assert_eq!(both.rows, one.rows + other.rows);
        assert_eq!((both.dense, both.zs), (one.dense, one.zs));
        assert_eq!(both.total(), both.dense + both.rows + both.zs);
        assert_eq!(one.rows, 2.0 * 0.75 * 4.0 * 24.0);
    }
}
