//! Importers: the published real data sets, each from its own files to a feed directory split by time or order, and some
//! to an event log.
//!
//! Every importer keeps one rule above all: what a feed says about the time before its request was known strictly
//! before the request. Sets that hold positives only get sampled candidates, the same for the same seed. Each row of
//! the source that could become a request is counted as a feed or, by reason, as dropped.

use std::collections::BTreeMap;
use std::path::Path;

use eliverec_core::{Feed, Schema};

use crate::{Error, FeedWriter, Split};

mod amazon;
mod calendar;
mod candidates;
mod driver;
mod ebnerd;
mod ebnerd_tables;
mod log;
mod record;
mod source;
mod timeline;
mod trivago;

pub use log::ImportedLog;
use log::ToLog;

/// What a caller chooses about an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Of sampled candidates.
    pub seed: u64,
    /// Events of each domain that a feed keeps, the newest.
    pub history: usize,
}

impl Default for Options {
    /// The paper's sequence length (Sec. V-A).
    fn default() -> Self {
        Self { seed: 1, history: 50 }
    }
}

/// A real data set and how it becomes feeds.
#[derive(Debug)]
pub struct Importer {
    /// What `eliverec import` calls it.
    pub name: &'static str,
    /// One line for the list of importers: the domains, the labels and how the split is made.
    pub summary: &'static str,
    schema: &'static str,
    read: fn(&Path, Options, &mut Output<'_>) -> Result<(), Error>,
    log: Option<ToLog>,
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
    /// A missing file or column and a value that cannot be used are named with file, line and column; everything that
    /// [`FeedWriter`] refuses.
    pub fn run(&self, from: &Path, out: &Path, options: Options) -> Result<Imported, Error> {
        let mut writer = FeedWriter::create(out, &self.schema())?;
        let imported = self.feeds(from, options, &mut |split, feed| writer.push(split, feed))?;
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
        source::check_folder(from)?;
        let mut output = Output { schema: self.schema(), take, imported: Imported::default() };
        (self.read)(from, options, &mut output)?;
        Ok(output.imported)
    }
}

/// What became of the rows of a set: `rows_in` is the sum of `feeds` and `dropped`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Rows of the source that could become a request.
    pub rows_in: u64,
    /// Those that became none, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Feeds of train, validation and test, in the order of [`Split::ALL`].
    pub feeds: [u64; 3],
    /// Rows of the set's other files that were not used or not used as they are, by what happened to them.
    pub remarks: BTreeMap<String, u64>,
}

impl Imported {
    /// Feeds of all splits.
    pub fn rows_out(&self) -> u64 {
        self.feeds.iter().sum()
    }

    /// Rows that became no feed, for whatever reason.
    pub fn rows_dropped(&self) -> u64 {
        self.dropped.values().sum()
    }
}

/// Takes an importer's feeds and keeps count.
struct Output<'a> {
    schema: Schema,
    take: &'a mut dyn FnMut(Split, &Feed) -> Result<(), Error>,
    imported: Imported,
}

impl Output<'_> {
    fn feed(&mut self, split: Split, feed: &Feed) -> Result<(), Error> {
        self.imported.rows_in += 1;
        self.imported.feeds[split_index(split)] += 1;
        (self.take)(split, feed)
    }

    fn dropped(&mut self, reason: &str) {
        self.imported.rows_in += 1;
        *self.imported.dropped.entry(reason.into()).or_default() += 1;
    }

    fn remark(&mut self, what: &str) {
        *self.imported.remarks.entry(what.into()).or_default() += 1;
    }
}

const fn split_index(split: Split) -> usize {
    match split {
        Split::Train => 0,
        Split::Validation => 1,
        Split::Test => 2,
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

    #[test]
    fn feeds_are_counted_in_the_order_of_the_splits() {
        for (i, split) in Split::ALL.into_iter().enumerate() {
            assert_eq!(split_index(split), i);
        }
    }
}
