//! One of many feeds that are columns, as match features read it.

use std::ops::Range;

use crate::columns::{FeedColumns, Parts};
use crate::feed::Column;
use crate::matching::{FeedRows, History};
use crate::schema::Group;

/// One of some feeds.
#[derive(Debug)]
pub struct RowsOf<'a> {
    parts: &'a Parts,
    feed: usize,
}

impl FeedColumns {
    /// The rows of one of them.
    pub fn rows_of(&self, feed: usize) -> RowsOf<'_> {
        RowsOf { parts: self.parts(), feed }
    }
}

impl FeedRows for RowsOf<'_> {
    fn rows(&self, group: Group) -> (&[Column], Range<usize>) {
        (self.parts.columns(group), self.parts.rows(group, self.feed))
    }

    fn ages(&self, history: History) -> &[f32] {
        let of = match history {
            History::Products => &self.parts.products,
            History::Channels => &self.parts.channels,
        };
        &of.age_s[of.offsets.range(self.feed)]
    }
}
