//! Training on many ranks.

use super::{GIB, HOUR};
use crate::asked::Asked;
use crate::line::{Constant, Line};
use crate::measured::Measured;
use crate::scaling::{Curve, MOST_RANKS, Point};

pub(crate) fn lines(asked: &Asked, measured: &Measured, curves: &[Curve; 2]) -> Vec<Line> {
    let of = &measured.train;
    let work = asked.impressions() * asked.epochs;
    let rate = work / (asked.train_hours * HOUR * asked.utilisation);
    let [whole, per_rank] = curves;
    let time: Vec<&Constant> =
        vec![&of.update_s, &of.impression_s, &measured.alpha, &measured.beta];
    let mut lines = vec![
        Line::new(
            "training",
            "impressions a second",
            (rate, "impressions/s"),
            "impressions x epochs / (train_hours x 3600 x utilisation)",
            &[],
        ),
        Line::new("training", "rows", (asked.rows(), "rows"), "users + channels + products", &[]),
    ];
    let ranks = |what, curve: &Curve, formula| {
        let mut line = Line::new("training", what, (0.0, "ranks"), formula, &time);
        line.value = curve.fewest(rate).map(|point| f64::from(point.ranks));
        if let (None, Some(fastest)) = (line.value, curve.fastest()) {
            let ranks = fastest.ranks;
            line.note = Some(format!(
                "none up to {MOST_RANKS} is enough: the fastest, {ranks}, does {:.0} impressions/s",
                fastest.impressions_per_s
            ));
        }
        line
    };
    lines.push(ranks(
        "ranks, the batch of all ranks as on one",
        whole,
        "the fewest of the curve that do as many",
    ));
    lines.push(ranks(
        "ranks, each with that batch",
        per_rank,
        "the fewest of the curve that do as many; their updates are larger and fewer",
    ));
    let rows = asked.rows() * of.row_bytes.value;
    let for_memory = (rows / (asked.rank_memory_gib * GIB)).ceil();
    lines.push(Line::new(
        "training",
        "ranks that hold the rows",
        (for_memory, "ranks"),
        "rows x row_bytes / rank_memory, rounded up",
        &[&of.row_bytes],
    ));
    // What it takes is what both need; where no number is fast enough, the fastest is told, with its note above.
    let chosen = [whole, per_rank].into_iter().find_map(|curve| {
        let enough = |point: &&Point| {
            point.impressions_per_s >= rate && f64::from(point.ranks) >= for_memory
        };
        curve.points.iter().find(enough)
    });
    let Some(point) = chosen.or_else(|| per_rank.fastest()) else { return lines };
    let count = f64::from(point.ranks);
    let mut number = Line::new(
        "training",
        "ranks, fast enough and with room for the rows",
        (count, "ranks"),
        "the fewest of the first curve, or else of the second",
        &time,
    );
    if chosen.is_none() {
        number.note =
            Some(format!("not enough; the lines below are of the fastest, {}", point.ranks));
    }
    lines.push(number);
    let share = [&of.row_bytes];
    lines.extend([
        Line::new(
            "training",
            "cores",
            (count * of.threads.value, "cores"),
            "ranks x threads",
            &[&of.threads],
        ),
        Line::new(
            "training",
            "rows of a rank",
            (asked.rows() / count, "rows"),
            "rows / ranks",
            &[],
        ),
        Line::new(
            "training",
            "memory of a rank's rows",
            (rows / count / GIB, "GiB"),
            "rows x row_bytes / ranks",
            &share,
        ),
        Line::new(
            "training",
            "disk of a checkpoint",
            (asked.rows() * (24.0 + 8.0 * of.width.value) / GIB, "GiB"),
            "rows x (24 + 8 width): id, marks, vector, accumulator",
            &[&of.width],
        ),
        Line::new(
            "training",
            "time of an update",
            (point.update_s(), "s"),
            "update_s + impression_s x part of the batch + all-reduce + exchanges + z's (the curve has each)",
            &time,
        ),
        Line::new(
            "training",
            "dense gradients all-reduced, a rank and update",
            (point.traffic.dense / 1e6, "MB"),
            "2 (R - 1) / R x 4 dense_parameters",
            &[&of.dense_parameters],
        ),
        Line::new(
            "training",
            "rows exchanged, a rank and update",
            (point.traffic.rows / 1e6, "MB"),
            "(R - 1) / R x u x 8 x numbers / rows, u = rows x (part of the batch / smallest batch)^growth",
            &[&of.rows, &of.numbers, &of.growth],
        ),
        Line::new(
            "training",
            "z's gathered, a rank and update",
            (point.traffic.zs / 1e6, "MB"),
            "(R - 1) x 16 x feeds of the part x width",
            &[&of.width],
        ),
        Line::new(
            "training",
            "network of a rank",
            (8.0 * point.traffic.total() / point.update_s() / 1e9, "Gbit/s"),
            "8 x bytes of an update / its time",
            &time,
        ),
        Line::new(
            "training",
            "time",
            (work / point.impressions_per_s / HOUR, "h"),
            "impressions x epochs / impressions a second of these ranks",
            &time,
        ),
    ]);
    lines
}
