//! Constants of training, from two or more sizes of a batch.

use std::path::PathBuf;

use serde::Deserialize;

use super::output::{parse, positive};
use crate::error::Error;
use crate::line::Constant;

/// What measures them.
const TRAIN: &str = "eliverec bench train --json";

/// Constants of training.
#[derive(Clone, Debug)]
pub(crate) struct Train {
    /// Seconds of an update whatever its batch.
    pub(crate) update_s: Constant,
    /// Seconds of an impression.
    pub(crate) impression_s: Constant,
    /// Threads that it was measured with: the cores of a rank.
    pub(crate) threads: Constant,
    pub(crate) dense_parameters: Constant,
    pub(crate) width: Constant,
    pub(crate) candidates: Constant,
    /// Different rows of a batch, of the smallest that was measured.
    pub(crate) rows: Constant,
    /// Numbers of these rows' vectors.
    pub(crate) numbers: Constant,
    /// To which power of the batch different rows grow.
    pub(crate) growth: Constant,
    pub(crate) row_bytes: Constant,
    /// Feeds in the smallest batch.
    pub(crate) feeds: f64,
}

impl Train {
    pub(super) fn new(files: &[(PathBuf, String)]) -> Result<Self, Error> {
        let mut benches: Vec<(PathBuf, TrainBench)> = Vec::new();
        for (path, text) in files {
            benches.push((path.clone(), parse(path, text, TRAIN)?));
        }
        benches.sort_by(|a, b| a.1.sizes.feeds.total_cmp(&b.1.sizes.feeds));
        let (Some((path, small)), Some((_, large))) = (benches.first(), benches.last()) else {
            return Err(Error::NotMeasured {
                constants: "how long an update takes",
                command: "eliverec bench train --feeds 32 --json, and again with --feeds 256",
                option: "--train, once for each",
            });
        };
        if small.sizes.feeds >= large.sizes.feeds {
            return Err(Error::NotMeasured {
                constants: "what of an update grows with its batch: all files have one number of feeds",
                command: "eliverec bench train --json with another number of --feeds",
                option: "--train",
            });
        }
        if let Some((other, _)) = benches.iter().find(|(_, of)| !of.is_like(small)) {
            let reason = format!(
                "is of another model, width, number of threads, candidates or ids than {}",
                path.display()
            );
            return Err(Error::NotThat { path: other.clone(), reason, command: TRAIN });
        }
        let files: Vec<PathBuf> = benches.iter().map(|(path, _)| path.clone()).collect();
        let of = |name, value, unit, from| {
            positive(Constant { name, value, unit, from, command: TRAIN, files: files.clone() })
        };
        let points = benches.iter().map(|(_, of)| (of.impressions(), of.impressions() / of.median));
        let (update_s, impression_s) = line_through(&points.collect::<Vec<_>>());
        if update_s < 0.0 {
            let reason = "with the others it gives an update that takes less than no time without impressions: larger batches were slower per \
                          impression than small ones; measure again on a quiet machine";
            return Err(Error::NotThat {
                path: path.clone(),
                reason: reason.into(),
                command: TRAIN,
            });
        }
        let rows =
            |of: &TrainBench| of.extent.tables.iter().map(|of| of.rows_per_batch).sum::<f64>();
        let numbers = small.extent.tables.iter().map(|of| of.rows_per_batch * of.width).sum();
        let growth =
            (rows(large) / rows(small)).ln() / (large.sizes.feeds / small.sizes.feeds).ln();
        Ok(Self {
            update_s: Constant {
                name: "update_s",
                value: update_s,
                unit: "s/update",
                from: "intercept of sizes.feeds x sizes.candidates / median over the batch",
                command: TRAIN,
                files: files.clone(),
            },
            impression_s: of(
                "impression_s",
                impression_s,
                "s/impression",
                "slope of the same line",
            )?,
            threads: of("threads", small.threads, "cores/rank", "threads")?,
            dense_parameters: of(
                "dense_parameters",
                small.extent.dense_parameters,
                "numbers",
                "extent.dense_parameters",
            )?,
            width: of("width", small.width, "numbers", "width")?,
            candidates: of(
                "candidates",
                small.sizes.candidates,
                "impressions/feed",
                "sizes.candidates",
            )?,
            rows: of(
                "rows",
                rows(small),
                "rows/batch",
                "sum of extent.tables.rows_per_batch, smallest batch",
            )?,
            numbers: of(
                "numbers",
                numbers,
                "numbers/batch",
                "sum of rows_per_batch x width, smallest batch",
            )?,
            growth: of(
                "growth",
                growth,
                "",
                "ln(ratio of rows) / ln(ratio of feeds), largest to smallest batch",
            )?,
            row_bytes: of(
                "row_bytes",
                large.extent.row_bytes,
                "bytes/row",
                "extent.row_bytes, largest batch",
            )?,
            feeds: small.sizes.feeds,
        })
    }
}

/// Intercept and slope of the least squares' line through points with two or more different places.
fn line_through(points: &[(f64, f64)]) -> (f64, f64) {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|of| of.0), mean(|of| of.1));
    let along = points.iter().map(|of| (of.0 - x) * (of.1 - y)).sum::<f64>();
    let slope = along / points.iter().map(|of| (of.0 - x).powi(2)).sum::<f64>();
    (y - slope * x, slope)
}

#[derive(Debug, Deserialize)]
struct TrainBench {
    model: String,
    width: f64,
    threads: f64,
    sizes: TrainSizes,
    median: f64,
    extent: Extent,
}

impl TrainBench {
    fn impressions(&self) -> f64 {
        self.sizes.feeds * self.sizes.candidates
    }

    fn is_like(&self, other: &Self) -> bool {
        let of =
            |of: &Self| (of.width, of.threads, of.sizes.candidates, of.sizes.length, of.sizes.ids);
        self.model == other.model && of(self) == of(other)
    }
}

#[derive(Debug, Deserialize)]
struct TrainSizes {
    feeds: f64,
    candidates: f64,
    length: f64,
    ids: f64,
}

#[derive(Debug, Deserialize)]
struct Extent {
    dense_parameters: f64,
    tables: Vec<Table>,
    row_bytes: f64,
}

#[derive(Debug, Deserialize)]
struct Table {
    width: f64,
    rows_per_batch: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_through_its_points() {
        let close = |found: (f64, f64), expected: (f64, f64)| {
            assert!(
                (found.0 - expected.0).abs() < 1e-12 && (found.1 - expected.1).abs() < 1e-12,
                "{found:?}"
            );
        };
        close(line_through(&[(1.0, 5.0), (3.0, 9.0)]), (3.0, 2.0));
        close(line_through(&[(1.0, 4.0), (1.0, 6.0), (3.0, 9.0)]), (3.0, 2.0));
    }
}
