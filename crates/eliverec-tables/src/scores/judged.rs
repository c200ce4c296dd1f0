//! Scores and what happened as columns of their own, from whoever has no feeds at hand: one row per candidate.

use std::collections::HashMap;
use std::path::Path;

use arrow::array::{Array, ArrayRef};

use crate::decode::{Place, Problem};
use crate::error::Error;
use crate::parquet_file::located;
use crate::plain::plain;
use crate::values::{self, Wrong};

/// What messages call the columns.
const PLACE: &str = "metrics";

/// Columns of one length `[n]`.
#[derive(Debug)]
pub struct Judged {
    /// Probabilities of a watch.
    pub scores: ArrayRef,
    /// Whether it was watched.
    pub labels: ArrayRef,
    /// Who asked.
    pub users: ArrayRef,
    /// Which request the candidate is of.
    pub feeds: ArrayRef,
}

/// The candidates of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct JudgedFeed {
    /// Who asked.
    pub user_id: u64,
    /// Probabilities of a watch `[n]`.
    pub p_watch: Vec<f32>,
    /// Which were watched `[n]`.
    pub watched: Vec<bool>,
}

impl Judged {
    /// The requests in the order of their first rows, each with its candidates in the order of the rows.
    ///
    /// # Errors
    /// Columns of several lengths, nulls, numbers that are no probabilities, labels that are none, a request of two users;
    /// the column and the row.
    pub fn feeds(&self) -> Result<Vec<JudgedFeed>, Error> {
        let Self { scores, labels, users, feeds } = self;
        let n = scores.len();
        for (name, array) in [("labels", labels), ("users", users), ("feeds", feeds)] {
            if array.len() != n {
                let reason = format!("has {} rows, and scores has {n}", array.len());
                return Err(located(
                    Path::new(PLACE),
                    0,
                    Problem::Column { field: name.into(), reason },
                ));
            }
        }
        let scores = read("scores", scores, values::known_numbers)?;
        if let Some(row) = scores.iter().position(|p| !(0.0..=1.0).contains(p)) {
            let reason = format!("{} is no probability; write numbers from 0 to 1", scores[row]);
            return Err(wrong(row, "scores", reason));
        }
        let labels = read("labels", labels, values::labels)?;
        let users = read("users", users, values::ids)?;
        let requests = read("feeds", feeds, values::ids)?;
        let mut places: HashMap<u64, usize> = HashMap::new();
        let mut feeds: Vec<JudgedFeed> = Vec::new();
        for (row, request) in requests.iter().enumerate() {
            let place = *places.entry(*request).or_insert(feeds.len());
            if place == feeds.len() {
                let (p_watch, watched) = (Vec::new(), Vec::new());
                feeds.push(JudgedFeed { user_id: users[row], p_watch, watched });
            }
            let feed = &mut feeds[place];
            if feed.user_id != users[row] {
                let reason = "is another user than in the feed's first row; a feed is one user's";
                return Err(wrong(row, "users", reason.into()));
            }
            feed.p_watch.push(scores[row]);
            feed.watched.push(labels[row]);
        }
        Ok(feeds)
    }
}

fn read<T>(
    name: &str,
    array: &ArrayRef,
    read: impl Fn(&dyn Array) -> Result<T, Wrong>,
) -> Result<T, Error> {
    let failed = |problem| located(Path::new(PLACE), 0, problem);
    let array =
        plain(array).map_err(|reason| failed(Problem::Column { field: name.into(), reason }))?;
    Place::Top.read(Some(&array), name, read).map_err(failed)
}

fn wrong(row: usize, field: &str, reason: String) -> Error {
    located(Path::new(PLACE), 0, Problem::Value { row, field: field.into(), reason })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{BooleanArray, Float64Array, LargeStringArray, UInt64Array};

    use super::*;

    fn judged(feeds: Vec<u64>) -> Judged {
        Judged {
            scores: Arc::new(Float64Array::from(vec![0.5, 0.25, 1.0])),
            labels: Arc::new(BooleanArray::from(vec![true, false, true])),
            users: Arc::new(LargeStringArray::from(vec!["a", "b", "a"])),
            feeds: Arc::new(UInt64Array::from(feeds)),
        }
    }

    #[test]
    fn rows_of_a_feed_need_not_stand_together() {
        let feeds = judged(vec![7, 8, 7]).feeds().unwrap();
        assert_eq!(feeds.len(), 2);
        assert_eq!(
            (&feeds[0].p_watch[..], &feeds[0].watched[..]),
            (&[0.5, 1.0][..], &[true, true][..])
        );
        assert_eq!(feeds[1].p_watch, [0.25]);
        assert_ne!(feeds[0].user_id, feeds[1].user_id);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_row() {
        let told = |judged: Judged| judged.feeds().unwrap_err().to_string();
        assert!(told(judged(vec![7, 7, 7])).starts_with("metrics: row 1: users: is another user"));
        assert_eq!(told(judged(vec![7, 8])), "metrics: column feeds: has 2 rows, and scores has 3");
        let scores = Arc::new(Float64Array::from(vec![0.5, 1.5, 1.0]));
        let above = Judged { scores, ..judged(vec![7, 8, 7]) };
        assert!(told(above).starts_with("metrics: row 1: scores: 1.5 is no probability"));
    }
}
