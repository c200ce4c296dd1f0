//! Who is in which bucket, as the answers say: users under dense numbers, and the request that an impression belongs to.
//!
//! # Memory
//! About 80 bytes per user and 40 per answer.

use std::collections::HashMap;
use std::ops::Range;

use eliverec_core::id::IdHash;
use serde::Serialize;

use crate::error::Error;
use crate::shares::Shares;

/// An answer in the layer, from a row of the log.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'a> {
    /// Ties it to its impressions.
    pub request_id: u64,
    /// Who asked.
    pub user_id: u64,
    /// When, milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// A layer and the user's bucket in it; `None` outside of all buckets.
    pub bucket: Option<(&'a str, &'a str)>,
}

/// A request that a bucket answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) user: u32,
    pub(crate) at_ms: i64,
}

/// Where a user stands.
#[derive(Clone, Copy, Debug)]
struct Placed {
    /// The bucket of the earliest answer, `None` if it was outside of all, and when that was.
    first: Option<u16>,
    first_ms: i64,
    /// The only bucket so far, and its earliest answer.
    bucket: Option<u16>,
    bucket_ms: i64,
    /// Whether answers name several buckets.
    several: bool,
}

/// How many users stand where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Population {
    /// Users with an answer while the layer was in force.
    pub users: u64,
    /// Users of each bucket who were in no other: those who are compared.
    pub in_bucket: Vec<u64>,
    /// Users whose answers name several buckets, by an override or changed shares: left out.
    pub in_several: u64,
    /// Users who were never in a bucket.
    pub outside: u64,
}

/// The answers of the days that are compared.
#[derive(Debug)]
pub struct Assignment {
    shares: Shares,
    /// Milliseconds since 1970 UTC of the first day's beginning and the last day's end.
    days_ms: Range<i64>,
    users: HashMap<u64, u32, IdHash>,
    placed: Vec<Placed>,
    requests: HashMap<u64, Request, IdHash>,
    answers: u64,
    left_out: u64,
}

impl Assignment {
    /// Nobody yet, for the answers of some days.
    pub fn new(shares: Shares, days_ms: Range<i64>) -> Self {
        Self {
            shares,
            days_ms,
            users: HashMap::default(),
            placed: Vec::new(),
            requests: HashMap::default(),
            answers: 0,
            left_out: 0,
        }
    }

    /// Takes in a row. Those of other days are passed over; one of another layer says that the user was answered, and, if no row of
    /// the same request is of this layer, that it was outside of all its buckets.
    ///
    /// # Errors
    /// [`Error::UnknownBucket`].
    pub fn take(&mut self, row: Answered<'_>) -> Result<(), Error> {
        let own = row.bucket.filter(|(layer, _)| *layer == self.shares.layer);
        let is_of_layer = own.is_some();
        if !self.days_ms.contains(&row.at_ms) || (!is_of_layer && !self.shares.is_open(row.at_ms)) {
            self.left_out += 1;
            return Ok(());
        }
        let bucket = own.map(|(_, name)| self.bucket(&row, name)).transpose()?;
        self.answers += u64::from(is_of_layer);
        let next = self.placed.len() as u32;
        let user = *self.users.entry(row.user_id).or_insert(next);
        if user == next {
            self.placed.push(Placed {
                first: bucket,
                first_ms: row.at_ms,
                bucket: None,
                bucket_ms: i64::MAX,
                several: false,
            });
        }
        let placed = &mut self.placed[user as usize];
        // Of the rows of one answer the one of this layer tells.
        if row.at_ms < placed.first_ms || (is_of_layer && row.at_ms == placed.first_ms) {
            (placed.first, placed.first_ms) = (bucket, row.at_ms);
        }
        if let Some(bucket) = bucket {
            placed.several |= placed.bucket.is_some_and(|other| other != bucket);
            placed.bucket = Some(bucket);
            placed.bucket_ms = placed.bucket_ms.min(row.at_ms);
            self.requests.entry(row.request_id).or_insert(Request { user, at_ms: row.at_ms });
        }
        Ok(())
    }

    fn bucket(&self, row: &Answered<'_>, name: &str) -> Result<u16, Error> {
        let place = self.shares.bucket(name).and_then(|place| u16::try_from(place).ok());
        place.ok_or_else(|| Error::UnknownBucket {
            request_id: row.request_id,
            layer: self.shares.layer.clone(),
            bucket: name.into(),
        })
    }

    /// The layer's buckets.
    pub const fn shares(&self) -> &Shares {
        &self.shares
    }

    /// The days that are compared.
    pub fn days_ms(&self) -> Range<i64> {
        self.days_ms.clone()
    }

    /// Answers in the layer on these days.
    pub const fn answers(&self) -> u64 {
        self.answers
    }

    /// Rows of other days, or from before the layer was in force.
    pub const fn rows_left_out(&self) -> u64 {
        self.left_out
    }

    /// Users by the period and the bucket of their earliest answer, for the sample-ratio test.
    pub fn first_answers(&self) -> Vec<Vec<u64>> {
        let mut counts = vec![vec![0; self.shares.buckets.len()]; self.shares.periods.len()];
        for placed in &self.placed {
            if let Some(bucket) = placed.first {
                counts[self.shares.period(placed.first_ms)][usize::from(bucket)] += 1;
            }
        }
        counts
    }

    /// How many users stand where.
    pub fn population(&self) -> Population {
        let mut population = Population {
            users: self.placed.len() as u64,
            in_bucket: vec![0; self.shares.buckets.len()],
            ..Population::default()
        };
        for user in 0..self.placed.len() as u32 {
            match self.bucket_of(user) {
                Some(bucket) => population.in_bucket[bucket] += 1,
                None if self.placed[user as usize].several => population.in_several += 1,
                None => population.outside += 1,
            }
        }
        population
    }

    /// How many users there are, of whatever place.
    pub(crate) fn users(&self) -> usize {
        self.placed.len()
    }

    /// The number of a user with an answer.
    pub(crate) fn user(&self, user_id: u64) -> Option<u32> {
        self.users.get(&user_id).copied()
    }

    /// The request of that id, if a bucket answered it.
    pub(crate) fn request(&self, request_id: u64) -> Option<Request> {
        self.requests.get(&request_id).copied()
    }

    /// The bucket in which a user is compared.
    pub(crate) fn bucket_of(&self, user: u32) -> Option<usize> {
        let placed = &self.placed[user as usize];
        placed.bucket.filter(|_| !placed.several).map(usize::from)
    }

    /// When a bucket first answered a user, milliseconds since 1970 UTC.
    pub(crate) fn first_ms(&self, user: u32) -> i64 {
        self.placed[user as usize].bucket_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shares::Period;

    fn row(request_id: u64, user_id: u64, at_ms: i64, bucket: Option<&str>) -> Answered<'_> {
        Answered { request_id, user_id, at_ms, bucket: bucket.map(|name| ("ranking", name)) }
    }

    fn other(request_id: u64, user_id: u64, at_ms: i64) -> Answered<'static> {
        Answered { request_id, user_id, at_ms, bucket: Some(("other", "x")) }
    }

    #[test]
    fn users_stand_where_their_answers_say() {
        let shares = Shares {
            layer: "ranking".into(),
            buckets: vec!["a".into(), "b".into()],
            periods: vec![
                Period { from_ms: 0, shares: vec![0.5, 0.4] },
                Period { from_ms: 50, shares: vec![0.1, 0.9] },
            ],
        };
        let mut found = Assignment::new(shares, 10..100);
        for answered in [
            row(1, 1, 60, Some("a")),
            row(2, 1, 40, Some("a")),
            // Overridden, or moved.
            row(3, 2, 20, Some("a")),
            row(4, 2, 70, Some("b")),
            row(5, 3, 20, None),
            // Outside at first.
            row(6, 4, 20, None),
            row(7, 4, 60, Some("b")),
            row(8, 5, 5, Some("a")),
            // Outside, as a row without a layer says, and as that of another layer does.
            row(9, 6, 20, None),
            other(10, 6, 30),
            row(10, 6, 30, Some("b")),
            // One answer, in two layers.
            other(11, 7, 30),
            row(11, 7, 30, Some("b")),
        ] {
            found.take(answered).unwrap();
        }
        let population = Population { users: 6, in_bucket: vec![1, 3], in_several: 1, outside: 1 };
        assert_eq!(found.population(), population);
        assert_eq!(found.first_answers(), [vec![2, 1], vec![0, 0]]);
        assert_eq!((found.answers(), found.rows_left_out()), (7, 1));
        assert_eq!(found.first_ms(found.user(1).unwrap()), 40);
        assert!(found.request(6).is_none() && found.request(7).is_some());
        let error = found.take(row(12, 7, 20, Some("c"))).unwrap_err().to_string();
        assert!(error.starts_with("request 12: its answer names the bucket c"), "{error}");
    }
}
