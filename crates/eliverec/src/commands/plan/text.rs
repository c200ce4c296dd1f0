//! A plan in words.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use comfy_table::CellAlignment;
use eliverec_plan::scaling::{Curve, Fixed, MOST_RANKS, WORTH_DOUBLING};
use eliverec_plan::{Asked, Constant, Plan};

use crate::commands::plain_table;

/// What was asked, the constants, the lines, the curves.
pub(super) fn of(plan: &Plan) -> String {
    let mut text = asked(&plan.asked);
    text += "\nmeasured:\n";
    text += &constants(plan);
    let mut stage = "";
    let mut table = plain_table();
    for line in &plan.lines {
        if std::mem::replace(&mut stage, line.stage) != line.stage {
            table.add_row([line.stage, "", "", ""]);
        }
        let value = line.value.map_or("none".into(), number);
        table.add_row([
            format!("  {}", line.what),
            value,
            line.unit.into(),
            format!("= {}", line.formula),
        ]);
        if let Some(note) = &line.note {
            table.add_row([String::new(), String::new(), String::new(), format!("  {note}")]);
        }
    }
    table
        .column_iter_mut()
        .skip(1)
        .take(1)
        .for_each(|c| c.set_cell_alignment(CellAlignment::Right));
    let _ = writeln!(text, "\n{}", table.trim_fmt());
    for curve in &plan.curves {
        text.push('\n');
        text += &of_curve(curve);
    }
    text
}

fn asked(asked: &Asked) -> String {
    let Asked {
        impressions_per_day,
        days,
        users,
        channels,
        products,
        requests_per_second,
        impressions_per_request,
        batch,
        epochs,
        sample_hours,
        train_hours,
        utilisation,
        cores_per_process,
        rank_memory_gib,
        redis_memory_gib,
        bytes_per_number,
    } = asked;
    let [impressions_per_day, users, channels, products, requests_per_second] =
        [impressions_per_day, users, channels, products, requests_per_second].map(|of| number(*of));
    format!(
        "asked: {impressions_per_day} impressions_per_day, {days} days, {users} users, {channels} channels, {products} products, {requests_per_second} requests_per_second,\n\
         {impressions_per_request} impressions_per_request, batch {batch}, {epochs} epochs, {sample_hours} sample_hours, {train_hours} train_hours, utilisation {utilisation},\n\
         {cores_per_process} cores_per_process, rank_memory {rank_memory_gib} GiB, redis_memory {redis_memory_gib} GiB, {bytes_per_number} bytes_per_number\n"
    )
}

/// Every constant of the lines once, with where it comes from.
fn constants(plan: &Plan) -> String {
    let all = plan.lines.iter().flat_map(|line| &line.constants);
    let by_name: BTreeMap<&str, &Constant> = all.map(|of| (of.name, of)).collect();
    let mut table = plain_table();
    for of in by_name.values() {
        let files: Vec<String> = of.files.iter().map(|path| path.display().to_string()).collect();
        table.add_row([
            format!("  {}", of.name),
            number(of.value),
            of.unit.into(),
            of.from.into(),
            format!("{}: {}", of.command, files.join(", ")),
        ]);
    }
    table
        .column_iter_mut()
        .skip(1)
        .take(1)
        .for_each(|c| c.set_cell_alignment(CellAlignment::Right));
    table.trim_fmt() + "\n"
}

fn of_curve(curve: &Curve) -> String {
    let batch = number(curve.batch);
    let mut text = match curve.fixed {
        Fixed::Batch => format!("an update of {batch} impressions on all ranks together:\n"),
        Fixed::BatchPerRank => format!("an update of {batch} impressions on each rank:\n"),
    };
    let mut table = plain_table();
    table.set_header([
        "ranks",
        "compute ms",
        "all-reduce ms",
        "exchange ms",
        "z's ms",
        "sent MB",
        "impressions/s",
        "efficiency",
    ]);
    for point in &curve.points {
        let ms = |seconds: f64| format!("{:.2}", 1e3 * seconds);
        table.add_row([
            point.ranks.to_string(),
            ms(point.compute_s),
            ms(point.all_reduce_s),
            ms(point.exchange_s),
            ms(point.zs_s),
            format!("{:.2}", point.traffic.total() / 1e6),
            format!("{:.0}", point.impressions_per_s),
            format!("{:.0} %", 100.0 * point.efficiency),
        ]);
    }
    table.column_iter_mut().for_each(|c| c.set_cell_alignment(CellAlignment::Right));
    let _ = writeln!(text, "{}", table.trim_fmt());
    let last = curve.points.last().map_or(0, |point| point.ranks);
    if last < MOST_RANKS {
        let _ = writeln!(text, "more than {last} ranks: some would have no feed of such an update");
    }
    let _ = match curve.bends_at {
        Some(ranks) => writeln!(
            text,
            "bends at {ranks} ranks: the first that are less than {WORTH_DOUBLING} times as fast as half of them"
        ),
        None => writeln!(text, "does not bend up to {last} ranks"),
    };
    text
}

/// Three digits, or all before the point; counts as they are.
fn number(value: f64) -> String {
    let size = value.abs();
    if size == size.round() && size < 1e7 {
        format!("{value:.0}")
    } else if !(1e-3..1e7).contains(&size) {
        format!("{value:.2e}")
    } else {
        let decimals = (2.0 - size.log10().floor()).max(0.0) as usize;
        format!("{value:.decimals$}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        let cases = [
            (0.0, "0"),
            (23.0, "23"),
            (1e9, "1.00e9"),
            (1_234.4, "1234"),
            (12.34, "12.3"),
            (1.234, "1.23"),
            (0.01234, "0.0123"),
            (0.001_234, "0.00123"),
            (0.000_012_34, "1.23e-5"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
    }
}
