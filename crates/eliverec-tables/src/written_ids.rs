//! The ids of one feed as its file writes them: a person asks for text and negative numbers, which a model knows by 64 bits only.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StructArray};
use arrow::datatypes::DataType;
use arrow::util::display::array_value_to_string;
use eliverec_core::id::text_id;
use eliverec_core::schema::Group;
use serde::Serialize;

use crate::decode::wanted;
use crate::directory::FeedDirectory;
use crate::error::Error;
use crate::footer::{FeedFile, RowGroupPlace, row_groups};
use crate::id_types::IdType;
use crate::layout::Split;
use crate::row_reader::RowReader;

/// An id as its file writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum WrittenId {
    /// A whole number that is not negative.
    Unsigned(u64),
    /// A negative number.
    Negative(i64),
    /// Text.
    Text(String),
}

impl fmt::Display for WrittenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned(id) => id.fmt(f),
            Self::Negative(id) => id.fmt(f),
            Self::Text(id) => id.fmt(f),
        }
    }
}

/// The ids of one feed.
#[derive(Clone, Debug)]
pub struct WrittenIds {
    /// The feed's row.
    row: RecordBatch,
}

impl WrittenIds {
    /// The id of the request.
    pub fn request_id(&self) -> WrittenId {
        self.top("request_id")
    }

    /// The id of the user.
    pub fn user_id(&self) -> WrittenId {
        self.top("user_id")
    }

    fn top(&self, name: &str) -> WrittenId {
        let array = self.row.column_by_name(name).expect("the feed was read with it");
        let text = array_value_to_string(array, 0).unwrap_or_default();
        match array.data_type() {
            DataType::Utf8 => WrittenId::Text(text),
            _ => match (text.parse(), text.parse()) {
                (Ok(id), _) => WrittenId::Unsigned(id),
                (_, Ok(id)) => WrittenId::Negative(id),
                _ => WrittenId::Text(text),
            },
        }
    }

    /// The ids of entity `i` of a group's field, which has one or, if it is multi-valued, any number; `None` for a field of
    /// numbers.
    pub fn of(&self, group: Group, field: &str, i: usize) -> Option<Vec<String>> {
        let column = self.row.column_by_name(group.column())?;
        let (structs, i): (ArrayRef, usize) = match column.as_list_opt::<i32>() {
            Some(lists) => (lists.value(0), i),
            None => (Arc::clone(column), 0),
        };
        let structs: &StructArray = structs.as_struct_opt()?;
        let values = structs.column_by_name(field)?;
        let (values, range) = match values.as_list_opt::<i32>() {
            Some(lists) => (lists.value(i), 0..lists.value_length(i) as usize),
            None => (Arc::clone(values), i..i + 1),
        };
        let is_id = values.data_type().is_integer() || *values.data_type() == DataType::Utf8;
        is_id.then(|| range.filter_map(|i| array_value_to_string(&values, i).ok()).collect())
    }
}

impl FeedDirectory {
    /// The 64 bits of a request's id that somebody has written as the feeds write it: text is hashed, negative numbers are taken
    /// by their bits.
    ///
    /// # Errors
    /// Feeds whose ids are numbers, and text that is none; files that cannot be read.
    pub fn request_id(&self, written: &str) -> Result<u64, Error> {
        let mut files = Vec::new();
        for split in Split::ALL {
            files.extend(self.files(split)?.iter().map(|file| file.id_types().first().copied()));
        }
        // All files write it alike, which has been checked.
        if files.contains(&Some(Some(IdType::Text))) {
            return Ok(text_id(written));
        }
        let number = written.parse::<i128>().ok();
        let fits = number.filter(|id| (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(id));
        fits.map(|id| id as u64).ok_or_else(|| {
            let reason = format!(
                "its request_id are integers, and {written:?} is none of 64 bits; give one as the feeds have it"
            );
            Error::directory(self.path(), reason)
        })
    }

    /// The ids of the feed at `place` of a split, counted over its files in their order.
    ///
    /// # Errors
    /// Fewer feeds than that; files that cannot be read.
    pub fn written_ids(&self, split: Split, place: u64) -> Result<WrittenIds, Error> {
        let mut before = 0;
        let files = self.some_files(split)?;
        let holds = |(_, file): &(usize, &FeedFile)| {
            before += file.feeds();
            before > place
        };
        let gone = || Error::directory(self.path(), "fewer feeds than a moment ago");
        let (number, file) = files.iter().enumerate().find(holds).ok_or_else(gone)?;
        let row = (place + file.feeds() - before) as usize;
        let order = row_groups(std::slice::from_ref(file));
        let order = order.into_iter().map(|place| RowGroupPlace { file: number, ..place });
        let mut rows = RowReader::new(self.known(), &files, order, &wanted(self.schema()));
        let mut first = 0;
        loop {
            let batch = rows.next()?.ok_or_else(gone)?.batch;
            if row < first + batch.num_rows() {
                return Ok(WrittenIds { row: batch.slice(row - first, 1) });
            }
            first += batch.num_rows();
        }
    }
}
