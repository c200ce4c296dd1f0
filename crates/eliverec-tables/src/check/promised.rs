//! What is promised of requests and can be told from their ids, times and ages alone: each once, in one split, training
//! before what it is judged on, histories from old to new. [`promises`] looks at these columns only, before a command reads the rest.

use arrow::array::{Array, StructArray};
use arrow::util::display::array_value_to_string;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::finding::{Check, Checked, Findings, Level, NOT_COMPARED, Part, Read, percent};
use super::histories::{Disordered, NOT_OLDEST_FIRST};
use super::sample::SampledIds;
use crate::decode::{Place, Problem, list_of_structs};
use crate::directory::FeedDirectory;
use crate::error::Error;
use crate::footer::{guarded, located};
use crate::layout::Split;
use crate::read::{DECODED_FEEDS, FeedFile};
use crate::values;

/// A request that stands twice.
pub(super) const REQUEST_TWICE: Check = Check {
    name: "request_twice",
    finds: "a `request_id` that several feeds of one split have: it is trained on or counted as often",
    advice: "write each request once; look for a file that was copied or written again beside the old one",
};

/// A request in two splits.
pub(super) const SPLITS_SHARE_REQUESTS: Check = Check {
    name: "splits_share_requests",
    finds: "a `request_id` that feeds of two splits have: what is judged was trained on",
    advice: "put each request into one split, by its time",
};

/// Splits that are not one after the other.
pub(super) const SPLITS_OUT_OF_ORDER: Check = Check {
    name: "splits_out_of_order",
    finds: "a split with requests from before the end of the split that it follows (severe: most of it, unless the clock starts at 0 and so may count each user's own steps): features and labels of the future are trained on",
    advice: "cut by time: training first, then validation, then test",
};

/// Times in another unit.
pub(super) const TIME_UNIT: Check = Check {
    name: "time_unit",
    finds: "requests from outside the years 1990 to 2100, which seconds or microseconds taken for milliseconds give (a note for a clock that starts at 0)",
    advice: "write ts as a timestamp of the unit that it has",
};

/// The checks that every command makes of the feeds that it reads ([`promises`]).
pub const PROMISED: &[&Check] =
    &[&SPLITS_SHARE_REQUESTS, &REQUEST_TWICE, &SPLITS_OUT_OF_ORDER, &TIME_UNIT, &NOT_OLDEST_FIRST];

/// Requests remembered.
const MOST_REQUESTS: usize = 1 << 20;
/// 1990-01-01 and 2100-01-01.
const YEARS_MS: std::ops::Range<i64> = 631_152_000_000..4_102_444_800_000;
/// A clock that starts at 0 has its first request on its first day.
const DAY_MS: i64 = 86_400_000;

/// The ids and times of the requests of every split.
#[derive(Debug)]
pub(super) struct Promised {
    ids: SampledIds<Seen>,
    splits: [OfSplit; Split::ALL.len()],
}

/// Of a request.
#[derive(Debug, Default)]
struct Seen {
    /// How often, in each split.
    times: [u32; Split::ALL.len()],
    /// The file in which it stood first, of the last split that has it.
    file: u32,
}

/// Of a split.
#[derive(Debug, Default)]
struct OfSplit {
    feeds: u64,
    first_ms: Option<i64>,
    last_ms: Option<i64>,
    /// Of requests before the end of the splits before.
    early: u64,
    strange_time: u64,
    /// The first of these times.
    first_strange_ms: Option<i64>,
    /// The first request that stands twice, and where.
    first_repeat: Option<String>,
}

impl Default for Promised {
    fn default() -> Self {
        Self::remembering(MOST_REQUESTS)
    }
}

impl Promised {
    /// Remembers at most so many requests.
    fn remembering(most: usize) -> Self {
        Self { ids: SampledIds::new(most), splits: Default::default() }
    }

    /// Takes in a request of a file, by its number in the split; those of earlier splits come first. Gives the file in which the
    /// request stood before, if it is one that is remembered.
    pub(super) fn add(
        &mut self,
        split: Split,
        file: u32,
        request_id: u64,
        ts_ms: i64,
    ) -> Option<u32> {
        let end_ms = self.splits[..split as usize].iter().filter_map(|seen| seen.last_ms).max();
        let of = &mut self.splits[split as usize];
        of.feeds += 1;
        of.first_ms = Some(of.first_ms.map_or(ts_ms, |first| first.min(ts_ms)));
        of.last_ms = of.last_ms.max(Some(ts_ms));
        of.early += u64::from(end_ms.is_some_and(|end| ts_ms < end));
        if !YEARS_MS.contains(&ts_ms) {
            of.strange_time += 1;
            of.first_strange_ms.get_or_insert(ts_ms);
        }
        let seen = self.ids.entry(request_id)?;
        let times = &mut seen.times[split as usize];
        *times = times.saturating_add(1);
        if *times == 1 {
            seen.file = file;
            return None;
        }
        Some(seen.file)
    }

    /// Tells what concerns the splits that are `read`.
    pub(super) fn tell(&self, read: &[Split], findings: &mut Findings) {
        self.tell_of_ids(read, findings);
        self.tell_of_times(read, findings);
    }

    pub(super) fn covers(&self) -> String {
        format!("uniqueness of request_id: {}", self.ids.part("requests"))
    }

    fn tell_of_ids(&self, read: &[Split], findings: &mut Findings) {
        let one_in = self.ids.one_in();
        for &split in read {
            let times = self.ids.values().map(|seen| u64::from(seen.times[split as usize]));
            let more = times.map(|times| times.saturating_sub(1)).sum::<u64>() * one_in;
            if more > 0 {
                let of = self.splits[split as usize].feeds;
                let mut says = format!("{more} of {of} feeds repeat the request_id of another");
                if let Some(first) = &self.splits[split as usize].first_repeat {
                    says = format!("{says}, the first: {first}");
                }
                findings.add(&REQUEST_TWICE, Level::Warning, split.name(), (more, of), says);
            }
        }
        for (i, split) in Split::ALL.into_iter().enumerate() {
            for other in Split::ALL.into_iter().skip(i + 1) {
                let is_in = |seen: &Seen, split: Split| seen.times[split as usize] > 0;
                let both = self.ids.values().filter(|s| is_in(s, split) && is_in(s, other));
                let both = both.count() as u64 * one_in;
                if both > 0 && (read.contains(&split) || read.contains(&other)) {
                    let of = self.splits[other as usize].feeds;
                    let says = format!("{both} of {of} requests of {other} stand in {split}, too");
                    let place = format!("{split}, {other}");
                    let counts = (both, of);
                    findings.add(&SPLITS_SHARE_REQUESTS, Level::Severe, place, counts, says);
                }
            }
        }
    }

    fn tell_of_times(&self, read: &[Split], findings: &mut Findings) {
        // Of all splits: what a clock starts with stands in the first.
        let first_ms = self.splits.iter().filter_map(|seen| seen.first_ms).min();
        let starts_at_0 = first_ms.is_some_and(|first| (0..DAY_MS).contains(&first));
        for &split in read {
            let seen = &self.splits[split as usize];
            if seen.early > 0 {
                let level = if seen.early * 2 > seen.feeds && !starts_at_0 {
                    Level::Severe
                } else {
                    Level::Warning
                };
                let says = format!(
                    "{} of {} requests ({}) are from before the end of the split before",
                    seen.early,
                    seen.feeds,
                    percent(seen.early, seen.feeds)
                );
                let counts = (seen.early, seen.feeds);
                findings.add(&SPLITS_OUT_OF_ORDER, level, split.name(), counts, says);
            }
            if seen.strange_time > 0 {
                let level = if starts_at_0 { Level::Note } else { Level::Warning };
                let says = format!(
                    "{} of {} requests are outside the years 1990 to 2100; the first is {} ms from 1970",
                    seen.strange_time,
                    seen.feeds,
                    seen.first_strange_ms.unwrap_or_default()
                );
                let counts = (seen.strange_time, seen.feeds);
                findings.add(&TIME_UNIT, level, format!("{split}: ts"), counts, says);
            }
        }
    }
}

/// What a command that goes through some splits reads, and what of it is not as docs/feeds.md promises: requests, times and
/// order. Reads ids, times and ages of the files, one after the other, and remembers a million requests. Ids and times of the other
/// splits are looked at, too, where these can be read.
///
/// # Errors
/// A request that stands twice in a split that is `measured`, for every figure would count it twice: its file and row, and where it
/// stands already. What reading the feeds gives, the first in the order of the files.
pub fn promises(
    directory: &FeedDirectory,
    read: &[Split],
    measured: &[Split],
) -> Result<Checked, Error> {
    promises_remembering(MOST_REQUESTS, directory, read, measured)
}

fn promises_remembering(
    most_requests: usize,
    directory: &FeedDirectory,
    read: &[Split],
    measured: &[Split],
) -> Result<Checked, Error> {
    let mut promised = Promised::remembering(most_requests);
    let mut disordered = Disordered::new(directory.schema());
    let (mut parts, mut covers) = (Vec::new(), Vec::new());
    let mut skipped = directory.beside().to_vec();
    for split in Split::ALL {
        let mut pass = Pass {
            directory,
            split,
            is_measured: measured.contains(&split),
            promised: &mut promised,
            disordered: read.contains(&split).then_some(&mut disordered),
        };
        if !read.contains(&split) {
            // What is wrong with another split is told when that is read.
            let of_others = directory.files(split).and_then(|files| pass.files(&files));
            if let Err(error) = of_others {
                covers.push(format!("requests of {split}: {NOT_COMPARED}: {error}"));
            }
            continue;
        }
        let files = directory.files(split)?;
        if let Err(error) = pass.files(&files) {
            // Of several errors the first in the order of the rows is the one to mend first.
            return Err(first_error(directory, split, error));
        }
        let rows = files.iter().map(FeedFile::feeds).sum();
        let name = split.name().into();
        parts.push(Part { name, files: files.len() as u64, rows, impressions: None });
        skipped.extend(directory.listing(split)?.skipped);
    }
    let mut findings = Findings::default();
    promised.tell(read, &mut findings);
    disordered.tell(&mut findings);
    covers.insert(0, promised.covers());
    Ok(Checked::new(Read::of(parts, skipped), covers, findings, PROMISED))
}

/// The first error of a split's rows, or `other` if there is none.
fn first_error(directory: &FeedDirectory, split: Split, other: Error) -> Error {
    if matches!(other, Error::Repeated { .. }) {
        return other;
    }
    let mut rows = directory.read(split).into_iter().flatten();
    rows.find_map(Result::err).unwrap_or(other)
}

/// One split's ids, times and ages on their way.
struct Pass<'a> {
    directory: &'a FeedDirectory,
    split: Split,
    is_measured: bool,
    promised: &'a mut Promised,
    /// `None` where ages are not looked at.
    disordered: Option<&'a mut Disordered>,
}

impl Pass<'_> {
    fn files(&mut self, files: &[FeedFile]) -> Result<(), Error> {
        (0..files.len()).try_for_each(|file| self.file(files, file))
    }

    fn file(&mut self, files: &[FeedFile], number: usize) -> Result<(), Error> {
        let path = files[number].path();
        let footer = files[number].footer(self.directory.schema())?;
        let mut wanted = vec![("request_id", vec![]), ("ts", vec![])];
        if let Some(disordered) = &self.disordered {
            wanted.extend(disordered.columns().into_iter().map(|column| (column, vec!["age_s"])));
        }
        let columns = footer.projection(&wanted);
        let unit = footer.ts_unit();
        let rows = guarded(path, || {
            ParquetRecordBatchReaderBuilder::new_with_metadata(footer.contents, footer.metadata)
                .with_projection(columns)
                .with_batch_size(DECODED_FEEDS)
                .build()
        })?;
        let (mut rows, mut first_row) = (rows, 0);
        while let Some(batch) = guarded(path, || rows.next().transpose())? {
            let problem = |problem: Problem| located(path, first_row, problem);
            let column = |name: &str| batch.column_by_name(name);
            let ids = Place::Top.read(column("request_id"), "request_id", values::ids);
            let times = |array: &dyn Array| values::times_ms(array, unit);
            let times = Place::Top.read(column("ts"), "ts", times).map_err(problem)?;
            for (row, (id, ts_ms)) in ids.map_err(problem)?.into_iter().zip(times).enumerate() {
                let Some(before) = self.promised.add(self.split, number as u32, id, ts_ms) else {
                    continue;
                };
                let id = column("request_id").and_then(|ids| array_value_to_string(ids, row).ok());
                let (row, request) = (first_row + row as u64, id.unwrap_or_default());
                let before = files[before as usize].path();
                if self.is_measured {
                    let (path, before) = (path.into(), before.into());
                    return Err(Error::Repeated { path, row, request, before });
                }
                let first = &mut self.promised.splits[self.split as usize].first_repeat;
                first.get_or_insert_with(|| {
                    let (path, before) = (path.display(), before.display());
                    format!("{request} in row {row} of {path}, which stands in {before} already")
                });
            }
            if let Some(disordered) = &mut self.disordered {
                for name in disordered.columns() {
                    let (starts, structs) = list_of_structs(&batch, name).map_err(problem)?;
                    let Some(structs) = structs else { continue };
                    let ages = ages(&structs, name, &starts).map_err(problem)?;
                    for range in starts.windows(2) {
                        disordered.add(name, self.split, &ages[range[0]..range[1]]);
                    }
                }
            }
            first_row += batch.num_rows() as u64;
        }
        Ok(())
    }
}

fn ages(structs: &StructArray, name: &str, starts: &[usize]) -> Result<Vec<f32>, Problem> {
    let place = Place::List(name, starts);
    place.read(structs.column_by_name("age_s"), "age_s", values::known_numbers)
}

#[cfg(test)]
mod tests {
    use eliverec_core::toy;

    use super::*;
    use crate::FeedWriter;

    /// Feeds of the training split, each written as often as it says.
    fn feeds(times: impl Fn(usize) -> usize, count: usize) -> (tempfile::TempDir, FeedDirectory) {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = FeedWriter::create(&folder.path().join("feeds"), &toy::schema()).unwrap();
        for (i, feed) in toy::feeds(count, 3).iter().enumerate() {
            (0..times(i)).for_each(|_| writer.push(Split::Train, feed).unwrap());
        }
        writer.finish().unwrap();
        let directory = FeedDirectory::open(folder.path().join("feeds")).unwrap();
        (folder, directory)
    }

    #[test]
    fn one_request_in_hundreds_of_feeds_is_counted_to_the_end() {
        let (_folder, directory) = feeds(|_| 596, 1);
        let checked = promises(&directory, &[Split::Train], &[]).unwrap();
        let twice = checked.findings.iter().find(|found| found.check == "request_twice").unwrap();
        assert_eq!((twice.count, twice.of), (595, 596));
        assert!(twice.says.starts_with("595 of 596 feeds repeat"), "{}", twice.says);
        assert_eq!(checked.partly_covered().count(), 0);
    }

    /// Beyond the requests that are remembered a part of them stands for all, and is told.
    #[test]
    fn beyond_what_is_remembered_a_part_stands_for_all() {
        let (_folder, directory) = feeds(|i| 1 + i % 2, 2_000);
        let of = |most: usize, measured: &[Split]| {
            promises_remembering(most, &directory, &[Split::Train], measured)
        };
        let checked = of(200, &[]).unwrap();
        let twice = checked.findings.iter().find(|found| found.check == "request_twice").unwrap();
        assert_eq!(twice.of, 3_000);
        assert!((800..1_200).contains(&twice.count), "{}", twice.says);
        let partly: Vec<&String> = checked.partly_covered().collect();
        assert_eq!(partly, ["uniqueness of request_id: one in 16 requests, chosen by hash"]);
        assert!(matches!(of(200, &[Split::Train]), Err(Error::Repeated { .. })));
        assert_eq!(of(2_000, &[]).unwrap().partly_covered().count(), 0);
    }
}
