//! The checks that every command makes before it reads feeds: of columns that can be told apart from the rest, ids, times, ages and the
//! numbers of logarithms.

use std::sync::Arc;

use arrow::array::{Array, RecordBatch, StructArray};
use arrow::util::display::array_value_to_string;

use super::below_zero::BelowZero;
use super::family::Family;
use super::finding::{Checked, Findings, NOT_COMPARED, Part, Read};
use super::histories::Disordered;
use super::promised::{MOST_REQUESTS, PROMISED, Promised};
use crate::decode::{Place, Problem, list_of_structs};
use crate::directory::FeedDirectory;
use crate::error::Error;
use crate::footer::{FeedFile, row_groups};
use crate::layout::Split;
use crate::row_reader::{RowReader, Rows};
use crate::values;

/// What a command that goes through some splits reads, and what of it is not as docs/feeds.md promises: requests, times,
/// order and numbers below 0. Reads ids, times, ages and numbers of logarithms of the files, one after the other, and remembers a million requests. Ids and times of the other
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
    let schema = directory.schema();
    let mut of_read =
        OfRead { disordered: Disordered::new(schema), below_zero: BelowZero::new(schema) };
    let (mut parts, mut covers) = (Vec::new(), Vec::new());
    let mut skipped = directory.beside().to_vec();
    for split in Split::ALL {
        let mut pass = Pass {
            directory,
            split,
            is_measured: measured.contains(&split),
            promised: &mut promised,
            of_read: read.contains(&split).then_some(&mut of_read),
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
    of_read.disordered.tell(&mut findings);
    of_read.below_zero.tell(&mut findings);
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

/// One split's ids, times, ages and numbers of logarithms on their way.
struct Pass<'a> {
    directory: &'a FeedDirectory,
    split: Split,
    is_measured: bool,
    promised: &'a mut Promised,
    /// `None` of a split that is not read.
    of_read: Option<&'a mut OfRead>,
}

/// What is looked at in splits that are read.
struct OfRead {
    disordered: Disordered,
    below_zero: BelowZero,
}

impl Pass<'_> {
    fn files(&mut self, files: &Arc<[FeedFile]>) -> Result<(), Error> {
        let mut wanted = vec![("request_id", vec![]), ("ts", vec![])];
        if let Some(OfRead { disordered, below_zero }) = self.of_read.as_deref() {
            wanted.extend(disordered.columns().into_iter().map(|column| (column, vec!["age_s"])));
            wanted.extend(below_zero.columns());
        }
        let order = row_groups(files);
        let mut reader = RowReader::new(self.directory.known(), files, order, &wanted);
        while let Some(rows) = reader.next()? {
            self.requests(files, &rows)?;
            if let Some(of_read) = self.of_read.as_deref_mut() {
                of_read.rows(self.split, &rows.batch).map_err(|problem| rows.located(problem))?;
            }
        }
        Ok(())
    }

    fn requests(&mut self, files: &[FeedFile], rows: &Rows) -> Result<(), Error> {
        let problem = |problem: Problem| rows.located(problem);
        let column = |name: &str| rows.batch.column_by_name(name);
        let ids = Place::Top.read(column("request_id"), "request_id", values::ids);
        let times = |array: &dyn Array| values::times_ms(array, rows.ts_unit);
        let times = Place::Top.read(column("ts"), "ts", times).map_err(problem)?;
        for (i, (id, ts_ms)) in ids.map_err(problem)?.into_iter().zip(times).enumerate() {
            let (file, row) = rows.place(i);
            let Some(before) = self.promised.add(self.split, file as u32, id, ts_ms) else {
                continue;
            };
            let id = column("request_id").and_then(|ids| array_value_to_string(ids, i).ok());
            let request = id.unwrap_or_default();
            let (path, before) = (files[file].path(), files[before as usize].path());
            if self.is_measured {
                let (path, before) = (path.into(), before.into());
                return Err(Error::Repeated { path, row, request, before });
            }
            self.promised.first_repeat(self.split).get_or_insert_with(|| {
                let (path, before) = (path.display(), before.display());
                format!("{request} in row {row} of {path}, which stands in {before} already")
            });
        }
        Ok(())
    }
}

impl OfRead {
    fn rows(&mut self, split: Split, rows: &RecordBatch) -> Result<(), Problem> {
        for name in self.disordered.columns() {
            let (starts, structs) = list_of_structs(rows, name)?;
            let Some(structs) = structs else { continue };
            let ages = ages(&structs, name, &starts)?;
            for range in starts.windows(2) {
                self.disordered.add(name, split, &ages[range[0]..range[1]]);
            }
        }
        self.below_zero.rows(split, rows)
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
