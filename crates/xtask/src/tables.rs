//! Tables of the documentation that are cut from reports: what stands between
//! `<!-- table results/world/fig5/report.md#: AUC, gAUC -->` and `<!-- end -->`.
//!
//! Behind the path of a report and the heading of one of its tables (none for the first) follow the columns, beside the names of
//! the rows; `validation as world` renames one, `verdict + here as world` puts two into one cell, dashes left out. Several reports, with `; ` between
//! them, are joined by row.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

const BEGIN: &str = "<!-- table ";
const END: &str = "<!-- end -->";

/// Fills the tables of every page under `docs`, or says which one is not what its report says.
pub(crate) fn fill(root: &Path, check: bool) -> Result<()> {
    for entry in fs_err::read_dir(root.join("docs"))? {
        let path = entry?.path();
        if path.extension().is_none_or(|ending| ending != "md") {
            continue;
        }
        let text = fs_err::read_to_string(&path)?;
        let filled = filled(&text, &|report| Ok(fs_err::read_to_string(root.join(report))?))
            .with_context(|| path.display().to_string())?;
        if filled == text {
            continue;
        }
        let name = path.strip_prefix(root).unwrap_or(&path).display();
        ensure!(!check, "{name}: tables differ from their reports; run cargo xtask tables");
        fs_err::write(&path, filled)?;
    }
    Ok(())
}

/// `text` with its tables made anew from what `read` gives for a report's path.
fn filled(text: &str, read: &dyn Fn(&str) -> Result<String>) -> Result<String> {
    let mut filled = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let _ = writeln!(filled, "{line}");
        let Some(order) = line.strip_prefix(BEGIN).and_then(|order| order.strip_suffix(" -->"))
        else {
            continue;
        };
        filled += &table(order, read).with_context(|| order.to_owned())?;
        let end =
            lines.find(|line| *line == END).with_context(|| format!("no {END} after {order}"))?;
        let _ = writeln!(filled, "{end}");
    }
    Ok(filled)
}

/// The table that an order asks for.
fn table(order: &str, read: &dyn Fn(&str) -> Result<String>) -> Result<String> {
    let mut head = Vec::new();
    let mut rows: Vec<(String, Vec<String>)> = Vec::new();
    for part in order.split("; ") {
        let (source, columns) = part.rsplit_once(": ").context("no columns")?;
        let (path, heading) = source.split_once('#').context("no # behind the report")?;
        let report = read(path)?;
        let from = section(&report, heading).with_context(|| format!("no section {heading}"))?;
        let known = head.len();
        let mut places = Vec::new();
        for column in columns.split(", ") {
            let (column, name) = column.split_once(" as ").unwrap_or((column, column));
            let place = |column: &str| {
                let place = from[0].iter().position(|cell| cell == column);
                place.with_context(|| format!("no column {column}"))
            };
            places.push(column.split(" + ").map(place).collect::<Result<Vec<_>>>()?);
            head.push(name.to_owned());
        }
        for cells in &from[1..] {
            let cell = |places: &Vec<usize>| {
                let parts = places.iter().map(|place| &*cells[*place]);
                let known: Vec<&str> = parts.filter(|part| *part != "-").collect();
                if known.is_empty() { "-".to_owned() } else { known.join(" ") }
            };
            let values = places.iter().map(cell);
            if let Some((_, row)) = rows.iter_mut().find(|(name, _)| *name == cells[0]) {
                row.extend(values);
            } else {
                let unknown = std::iter::repeat_n("-".to_owned(), known);
                rows.push((cells[0].clone(), unknown.chain(values).collect()));
            }
        }
        rows.iter_mut().for_each(|(_, row)| row.resize(head.len(), "-".into()));
    }
    let mut text = String::new();
    let _ =
        writeln!(text, "| row | {} |\n| --- |{}", head.join(" | "), " ---: |".repeat(head.len()));
    for (name, row) in rows {
        let _ = writeln!(text, "| {name} | {} |", row.join(" | "));
    }
    Ok(text)
}

/// The cells of the first table behind a heading, the rule left out.
fn section(report: &str, heading: &str) -> Result<Vec<Vec<String>>> {
    let mut lines = report.lines();
    if !heading.is_empty() {
        lines
            .find(|line| line.trim_start_matches('#').trim() == heading)
            .context("no such heading")?;
    }
    let lines =
        lines.skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let cells =
        |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    let table: Vec<Vec<String>> = lines.filter(|line| !line.starts_with("|-")).map(cells).collect();
    if table.is_empty() {
        bail!("no table");
    }
    ensure!(table.iter().all(|row| row.len() == table[0].len()), "rows of different lengths");
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORLD: &str = "# Title\n\n|   | AUC |\n|---|----:|\n| a | 0.7 |\n\n## More\n\n| row | validation |\n|---|--:|\n| a | 1 |\n| b | 2 |\n";
    const OTHER: &str =
        "# Title\n\n## More\n\n| row | validation |\n|---|--:|\n| b | 3 |\n| c | 4 |\n";

    fn read(path: &str) -> Result<String> {
        match path {
            "world" => Ok(WORLD.into()),
            "other" => Ok(OTHER.into()),
            _ => bail!("no report {path}"),
        }
    }

    #[test]
    fn tables_are_joined_by_row_and_the_rest_stays() {
        let text = "Before.\n<!-- table world#: AUC -->\nold\n<!-- end -->\n\n<!-- table world#More: validation as w; other#More: validation as o -->\n<!-- end -->\nAfter.\n";
        let expected = "Before.\n<!-- table world#: AUC -->\n| row | AUC |\n| --- | ---: |\n| a | 0.7 |\n<!-- end -->\n\n<!-- table world#More: validation as w; other#More: validation as o -->\n| row | w | o |\n| --- | ---: | ---: |\n| a | 1 | - |\n| b | 2 | 3 |\n| c | - | 4 |\n<!-- end -->\nAfter.\n";
        let once = filled(text, &read).unwrap();
        assert_eq!(once, expected);
        assert_eq!(filled(&once, &read).unwrap(), expected);
    }

    #[test]
    fn columns_are_put_into_one_cell() {
        let text = "<!-- table other#More: validation + row as both -->\n<!-- end -->\n";
        let filled = filled(text, &read).unwrap();
        assert!(filled.contains("| row | both |\n| --- | ---: |\n| b | 3 b |\n"), "{filled}");
    }

    #[test]
    fn what_is_missing_is_named() {
        let wrong = |order: &str| {
            let text = format!("<!-- table {order} -->\n<!-- end -->\n");
            format!("{:#}", filled(&text, &read).unwrap_err())
        };
        assert!(wrong("world#More: nothing").contains("no column nothing"));
        assert!(wrong("world#Less: validation").contains("no section Less"));
        assert!(wrong("elsewhere#: AUC").contains("no report elsewhere"));
        let open = filled("<!-- table world#: AUC -->\n", &read).unwrap_err();
        assert!(format!("{open:#}").contains("no <!-- end -->"));
    }
}
