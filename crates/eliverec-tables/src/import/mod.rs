//! Importers: the published real data sets, each from its own files to a feed directory split by time or order, and some
//! to an event log.
//!
//! Every importer keeps one rule above all: what a feed says about the time before its request was known strictly
//! before the request. Sets that hold positives only get sampled candidates, the same for the same seed. Each row of
//! the source that could become a request is counted as a feed or, by reason, as dropped.

use std::path::Path;

use eliverec_core::{Dimensions, Feed, Schema};

use crate::{Error, FeedWriter, Split};

mod amazon;
mod bandit;
mod calendar;
mod candidates;
mod driver;
mod ebnerd;
mod ebnerd_tables;
mod log;
mod output;
mod record;
mod source;
mod timeline;
mod trivago;

pub use bandit::{BanditRow, read_bandit};
pub use output::{Imported, ImportedLog, Options};
use output::{LogOutput, Output};
use source::Folder;

/// A real data set and how it becomes feeds.
#[derive(Debug)]
pub struct Importer {
    /// What `eliverec import` calls it.
    pub name: &'static str,
    /// One line for the list of importers: the domains, the labels and how the split is made.
    pub summary: &'static str,
    schema: &'static str,
    read: fn(&Folder, Options, &mut Output<'_>) -> Result<(), Error>,
    log: Option<ToLog>,
}

/// How a set becomes a log.
#[derive(Debug)]
struct ToLog {
    /// The features that take the place of the importer's `target` fields.
    target: &'static [&'static str],
    read: fn(&Folder, u64, &mut LogOutput) -> Result<Dimensions, Error>,
}

/// Every importer, in the order of the list that help shows.
pub const IMPORTERS: &[Importer] = &[
    Importer {
        name: "ebnerd",
        summary: "news impressions (EB-NeRD): free articles live, paywalled ones as products; read time, scroll; by time",
        schema: include_str!("../../schemas/ebnerd.toml"),
        read: ebnerd::read,
        log: Some(ToLog {
            target: &["entries_10m", "entries_60m", "channel_popularity", "exposure_age_s"],
            read: ebnerd::log,
        }),
    },
    Importer {
        name: "driver-live",
        summary: "live-room entries (DRIVER), no products; 7 sampled rooms live at the time; by time",
        schema: include_str!("../../schemas/driver-live.toml"),
        read: driver::read,
        log: Some(ToLog {
            target: &["minutes_live", "entries_10m", "entries_60m"],
            read: driver::log,
        }),
    },
    Importer {
        name: "trivago",
        summary: "hotel lists (RecSys 2019): click-outs live, item actions as products; position, price; by time",
        schema: include_str!("../../schemas/trivago.toml"),
        read: trivago::read,
        log: None,
    },
    Importer {
        name: "amazon-food-kitchen",
        summary: "dated reviews: kitchen live, food as products; 7 sampled items; by time",
        schema: include_str!("../../schemas/amazon-food-kitchen.toml"),
        read: amazon::read_food_kitchen,
        log: None,
    },
    Importer {
        name: "amazon-food-kitchen-seq",
        summary: "ordered reviews: kitchen live, food as products; 7 sampled items; last events held out",
        schema: include_str!("../../schemas/amazon-food-kitchen-seq.toml"),
        read: amazon::read_food_kitchen_seq,
        log: None,
    },
    Importer {
        name: "amazon-toy-game-seq",
        summary: "ordered reviews: games live, toys as products; 7 sampled items; last events held out",
        schema: include_str!("../../schemas/amazon-toy-game-seq.toml"),
        read: amazon::read_toy_game_seq,
        log: None,
    },
];

/// The importer of that name.
pub fn find(name: &str) -> Option<&'static Importer> {
    IMPORTERS.iter().find(|importer| importer.name == name)
}

impl Importer {
    /// The schema of its feeds.
    pub fn schema(&self) -> Schema {
        Schema::parse(self.schema).expect("the shipped schemas parse; a test reads each")
    }

    /// Reads the set in `from` and writes it as the feed directory `out`, the same for the same options.
    ///
    /// # Errors
    /// A missing file or column, a file without rows and a value that cannot be used are named with file, line and column; a set that gives no
    /// feed; everything that [`FeedWriter`] refuses.
    pub fn run(&self, from: &Path, out: &Path, options: Options) -> Result<Imported, Error> {
        let mut writer = FeedWriter::create(out, &self.schema())?;
        let imported = self.feeds(from, options, &mut |split, feed| writer.push(split, feed))?;
        if imported.rows_out() == 0 {
            return Err(Error::directory(from, nothing_of(&imported)));
        }
        writer.finish()?;
        Ok(imported)
    }

    /// Reads the set in `from` and hands over feed by feed, without writing anything.
    ///
    /// # Errors
    /// As [`Importer::run`], and whatever `take` returns.
    pub fn feeds(
        &self,
        from: &Path,
        options: Options,
        take: &mut dyn FnMut(Split, &Feed) -> Result<(), Error>,
    ) -> Result<Imported, Error> {
        let from = Folder::open(from)?;
        let mut output = Output::new(self.schema(), take);
        (self.read)(&from, options, &mut output)?;
        Ok(output.finish(from.read()))
    }
}

/// Why a set gives no feed.
fn nothing_of(imported: &Imported) -> String {
    let dropped: Vec<String> =
        imported.dropped.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    match dropped.as_slice() {
        [] => "no row of its files can be a request; give the whole set".into(),
        dropped => format!(
            "no feed comes of its {} rows ({}); give the whole set",
            imported.rows_in,
            dropped.join("; ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_schema_parses_and_names_are_unique() {
        for (i, importer) in IMPORTERS.iter().enumerate() {
            assert_eq!(importer.schema().name, importer.name);
            assert!(IMPORTERS[..i].iter().all(|other| other.name != importer.name));
            assert_eq!(find(importer.name).unwrap().summary, importer.summary);
        }
        assert!(find("ebnerd-demo").is_none());
    }
}
