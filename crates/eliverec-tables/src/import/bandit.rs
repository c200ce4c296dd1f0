//! Rows of the Open Bandit Dataset (Saito et al., 2021): what a policy showed at a place of a page, with which probability, and
//! whether it was clicked. They become no feeds, for they know no users and no lists; policies are estimated from them.

use std::path::Path;

use super::source::{Folder, Table};
use crate::Error;
use crate::check::Read;

/// A row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BanditRow {
    /// The item that was shown.
    pub item_id: u32,
    /// Where on the page, from 1.
    pub position: u32,
    /// Whether it was clicked.
    pub click: bool,
    /// With which probability it was chosen for the place.
    pub propensity: f64,
}

/// Reads the table of a folder `POLICY/CAMPAIGN`, which is named as the folder: `CAMPAIGN.csv.gz`.
///
/// # Errors
/// A folder without the table, and the first value that cannot be used, by line and column.
pub fn read_bandit(folder: &Path) -> Result<(Vec<BanditRow>, Read), Error> {
    let opened = Folder::open(folder)?;
    let canonical = fs_err::canonicalize(folder)?;
    let campaign = canonical.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let columns = ["item_id", "position", "click", "propensity_score"];
    let (mut table, [item, position, click, propensity]) =
        Table::open(&opened, &format!("{campaign}.csv.gz"), columns)?;
    let mut rows = Vec::new();
    while table.advance()? {
        let text = table.text(propensity);
        let is_one = |p: &f64| *p > 0.0 && *p <= 1.0;
        let chosen = text.parse::<f64>().ok().filter(is_one).ok_or_else(|| {
            table.wrong(propensity, format!("{text:?} is no probability above 0"))
        })?;
        rows.push(BanditRow {
            item_id: table.number(item)?,
            position: table.number(position)?,
            click: table.flag(click)?,
            propensity: chosen,
        });
    }
    drop(table);
    Ok((rows, opened.read()))
}
