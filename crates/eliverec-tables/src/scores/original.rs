//! The ids of a split as they were given, beside what a model makes of them: hashing text is a way in and no way back.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, UInt16Array};
use arrow::compute::{cast, concat};
use arrow::datatypes::DataType;
use arrow::util::display::array_value_to_string;
use eliverec_core::Schema;
use eliverec_core::schema::{Group, Kind};

use crate::decode::{Place, Problem};
use crate::directory::FeedDirectory;
use crate::error::Error;
use crate::feed_table::FeedTable;
use crate::footer::row_groups;
use crate::layout::Split;
use crate::row_reader::{RowReader, Rows};
use crate::row_source::RowSource;
use crate::table_rows::TABLE;
use crate::values;

/// The ids of some requests and of their candidates.
#[derive(Debug)]
pub struct Originals {
    /// `[b]`
    pub(super) request_id: ArrayRef,
    /// `[b]`
    pub(super) user_id: ArrayRef,
    /// The categorical fields of the channels by name, `[n]` each.
    pub(super) candidates: Vec<(String, ArrayRef)>,
    /// Places in the list shown `[n]`.
    pub(super) position: UInt16Array,
}

/// Reads them in the order of the rows, as many requests at a time as are asked for.
#[derive(Debug)]
pub struct OriginalIds {
    /// Where the feeds are, for messages.
    path: PathBuf,
    fields: Vec<String>,
    rows: RowSource,
    waiting: VecDeque<Lot>,
    /// The types of the first rows, which all others get, too.
    types: Option<Vec<DataType>>,
}

/// Rows that were decoded together, less those that were taken.
#[derive(Debug)]
struct Lot {
    request_id: ArrayRef,
    user_id: ArrayRef,
    /// Where each request's candidates start.
    starts: Vec<usize>,
    candidates: Vec<ArrayRef>,
    position: ArrayRef,
    taken: usize,
}

/// The categorical fields of the channels: what tells candidates apart.
pub(super) fn candidate_fields(schema: &Schema) -> Vec<String> {
    let fields = schema.fields(Group::Candidate).iter();
    let categorical = fields.filter(|field| matches!(field.kind, Kind::Categorical { .. }));
    categorical.map(|field| field.name.clone()).collect()
}

impl OriginalIds {
    /// Of a split of feeds.
    ///
    /// # Errors
    /// A split without feeds, files that cannot be read.
    pub fn open(feeds: &FeedDirectory, split: Split) -> Result<Self, Error> {
        let files = feeds.some_files(split)?;
        let fields = candidate_fields(feeds.schema());
        let of_candidates = fields.iter().map(String::as_str).chain(["position"]).collect();
        let columns = [("request_id", vec![]), ("user_id", vec![]), ("candidates", of_candidates)];
        let rows = || RowReader::new(feeds.known(), &files, row_groups(&files), &columns);
        let mut ids = Self::new(feeds.path(), fields.clone(), RowSource::Files(Box::new(rows())));
        let with_rows = files.iter().filter(|file| file.feeds() > 0);
        let types: Vec<Vec<DataType>> = with_rows.map(|file| file.types(&columns)).collect();
        if (0..2 + ids.fields.len()).any(|column| mixed(&types, column)) {
            ids.types = Some(ids.common_types(&types, rows())?);
        }
        Ok(ids)
    }

    /// The types that take the ids of all files, some of which write them with a sign and some without.
    fn common_types(
        &self,
        types: &[Vec<DataType>],
        mut rows: RowReader,
    ) -> Result<Vec<DataType>, Error> {
        let mut negative = vec![false; 2 + self.fields.len()];
        while let Some(rows) = rows.next()? {
            let (ids, ..) = self.columns(&rows)?;
            for (negative, (_, array)) in negative.iter_mut().zip(ids) {
                *negative |= lost(&array, &DataType::UInt64).is_some();
            }
        }
        let common = |(column, negative): (usize, bool)| match mixed(types, column) {
            true if negative => DataType::Int64,
            true => DataType::UInt64,
            false => given_type(&types[0][column]),
        };
        Ok(negative.into_iter().enumerate().map(common).collect())
    }

    /// Of feeds in memory.
    pub fn of_table(feeds: &FeedTable) -> Self {
        let fields = candidate_fields(feeds.schema());
        Self::new(Path::new(TABLE), fields, RowSource::Table(feeds.rows()))
    }

    fn new(path: &Path, fields: Vec<String>, rows: RowSource) -> Self {
        Self { path: path.into(), fields, rows, waiting: VecDeque::new(), types: None }
    }

    /// The ids of the next `feeds` requests.
    ///
    /// # Errors
    /// Fewer rows than that; files that cannot be read or hold ids of other types than the first.
    pub fn take(&mut self, feeds: usize) -> Result<Originals, Error> {
        let mut parts: Vec<[Vec<ArrayRef>; 2]> = Vec::new();
        let mut left = feeds;
        while left > 0 {
            let Some(lot) = self.waiting.front_mut() else {
                self.decode()?;
                continue;
            };
            let taken = lot.taken..(lot.taken + left).min(lot.request_id.len());
            left -= taken.len();
            lot.taken = taken.end;
            let rows = lot.starts[taken.start]..lot.starts[taken.end];
            let cut = |array: &ArrayRef, range: &std::ops::Range<usize>| {
                array.slice(range.start, range.len())
            };
            let mut of_candidates: Vec<ArrayRef> =
                lot.candidates.iter().map(|array| cut(array, &rows)).collect();
            of_candidates.push(cut(&lot.position, &rows));
            parts.push([
                vec![cut(&lot.request_id, &taken), cut(&lot.user_id, &taken)],
                of_candidates,
            ]);
            if lot.taken == lot.request_id.len() {
                self.waiting.pop_front();
            }
        }
        let joined = |which: usize, column: usize| -> Result<ArrayRef, Error> {
            let arrays: Vec<&dyn Array> =
                parts.iter().map(|part| part[which][column].as_ref()).collect();
            concat(&arrays).map_err(|e| Error::parquet(&self.path, &e))
        };
        let position = joined(1, self.fields.len())?;
        let position: &UInt16Array =
            position.as_any().downcast_ref().expect("places were made so when decoded");
        Ok(Originals {
            request_id: joined(0, 0)?,
            user_id: joined(0, 1)?,
            candidates: (0..self.fields.len())
                .map(|column| Ok((self.fields[column].clone(), joined(1, column)?)))
                .collect::<Result<_, Error>>()?,
            position: position.clone(),
        })
    }

    /// Decodes the next rows.
    fn decode(&mut self) -> Result<(), Error> {
        let Some(rows) = self.rows.next()? else {
            let reason = "fewer rows than a moment ago; do not change feeds while they are read";
            return Err(Error::directory(&self.path, reason));
        };
        let lot = self.lot(&rows)?;
        self.waiting.push_back(lot);
        Ok(())
    }

    /// The columns of ids with their names, where each request's candidates start, and their places in the list shown.
    fn columns(&self, rows: &Rows) -> Result<Columns, Error> {
        let batch = &rows.batch;
        let read = || {
            let top = Place::Top;
            let any = |array: &dyn Array| Ok(arrow::array::make_array(array.to_data()));
            let request_id = top.read(batch.column_by_name("request_id"), "request_id", any)?;
            let user_id = top.read(batch.column_by_name("user_id"), "user_id", any)?;
            let (starts, elements) =
                top.read(batch.column_by_name("candidates"), "candidates", values::lists)?;
            let place = Place::List("candidates", &starts);
            let structs = place.read(Some(&elements), "", values::structs)?;
            let column = |name: &String| place.read(structs.column_by_name(name), name, any);
            let candidates = self.fields.iter().map(column).collect::<Result<Vec<_>, _>>()?;
            let position = match structs.column_by_name("position") {
                Some(array) => place.read(Some(array), "position", values::positions)?,
                None => vec![None; structs.len()],
            };
            Ok((request_id, user_id, starts, candidates, position))
        };
        let (request_id, user_id, starts, candidates, position) =
            read().map_err(|problem| rows.located(problem))?;
        let names =
            ["request_id", "user_id"].into_iter().chain(self.fields.iter().map(String::as_str));
        let ids = [request_id, user_id].into_iter().chain(candidates);
        let ids = names.map(String::from).zip(ids).collect();
        Ok((ids, starts, position))
    }

    fn lot(&mut self, rows: &Rows) -> Result<Lot, Error> {
        let (ids, starts, position) = self.columns(rows)?;
        let given_types = || ids.iter().map(|(_, array)| given_type(array.data_type())).collect();
        let types = self.types.get_or_insert_with(given_types);
        let mut given = Vec::with_capacity(ids.len());
        for (column, ((name, array), kind)) in ids.iter().zip(types.iter()).enumerate() {
            if let Some(i) = lost(array, kind) {
                let (row, field) = match column {
                    0 | 1 => (i, name.clone()),
                    _ => {
                        let row = starts.partition_point(|start| *start <= i) - 1;
                        (row, format!("candidates[{}].{name}", i - starts[row]))
                    }
                };
                let id = array_value_to_string(array, i).unwrap_or_default();
                let reason = format!(
                    "{id} does not fit into {kind}, as other files of the split have it; write ids of one type in all files"
                );
                return Err(rows.located(Problem::Value { row, field, reason }));
            }
            given.push(cast(array, kind).map_err(|e| Error::parquet(rows.path(0), &e))?);
        }
        let candidates = given.split_off(2);
        let [request_id, user_id]: [ArrayRef; 2] =
            given.try_into().expect("two were left by the split");
        let position = Arc::new(UInt16Array::from(position));
        Ok(Lot { request_id, user_id, starts, candidates, position, taken: 0 })
    }
}

/// Columns by name, where each request's candidates start, and their places in the list shown.
type Columns = (Vec<(String, ArrayRef)>, Vec<usize>, Vec<Option<u16>>);

/// Whether some files write the ids of a column with a sign and some without.
fn mixed(types: &[Vec<DataType>], column: usize) -> bool {
    let has = |is: fn(&DataType) -> bool| types.iter().any(|of_file| is(&of_file[column]));
    has(DataType::is_signed_integer) && has(DataType::is_unsigned_integer)
}

/// The first id that a type does not take.
fn lost(array: &ArrayRef, kind: &DataType) -> Option<usize> {
    if text(array.data_type()) && text(kind) || array.is_empty() {
        return None;
    }
    let same = cast(array, kind).ok().filter(|_| text(array.data_type()) == text(kind));
    let Some(same) = same else { return Some(0) };
    (0..array.len()).find(|i| same.is_null(*i) && array.is_valid(*i))
}

fn text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// The type in which ids of a type are written again.
fn given_type(kind: &DataType) -> DataType {
    if text(kind) {
        DataType::Utf8
    } else if kind.is_unsigned_integer() {
        DataType::UInt64
    } else {
        DataType::Int64
    }
}
