//! From sorted requests to row groups of feeds.

use std::sync::{Arc, Mutex};

use datafusion_common::Result;
use eliverec_core::{Dimensions, Feed, Schema};
use eliverec_features::{FeedBuilder, Wanted};
use eliverec_tables::events::Day;
use eliverec_tables::write::{ROW_GROUP_FEEDS, ROW_GROUP_VALUES};
use eliverec_tables::{FeedEncoder, Split};

use crate::counters::lock;
use crate::error::Error;
use crate::publish::Encoded;
use crate::rows::Row;
use crate::wire::{candidates, read_request};

/// Bytes of requests after which a row group ends: a value of a history or a list is eight of them or more.
const CHUNK_BYTES: usize = 8 * ROW_GROUP_VALUES;

/// Requests of one day that make a row group.
#[derive(Debug)]
pub(crate) struct Chunk {
    day: Day,
    /// Moment, id, and where the request ends.
    requests: Vec<(i64, u64, usize)>,
    payloads: Vec<u8>,
}

impl Chunk {
    /// The day of all its requests.
    pub(crate) const fn day(&self) -> Day {
        self.day
    }

    fn iter(&self) -> impl Iterator<Item = (i64, u64, &[u8])> {
        let starts = std::iter::once(0).chain(self.requests.iter().map(|(.., end)| *end));
        let requests = self.requests.iter().zip(starts);
        requests.map(|((at, id, end), start)| (*at, *id, &self.payloads[start..*end]))
    }

    /// Takes the last request out again.
    fn pop(&mut self) -> Result<u64> {
        let last = self.iter().last().map_or(Ok(0), |(_, _, payload)| candidates(payload))?;
        self.requests.pop();
        self.payloads.truncate(self.requests.last().map_or(0, |(.., end)| *end));
        Ok(last)
    }
}

/// Cuts requests, which come in order, into chunks.
#[derive(Debug, Default)]
pub(crate) struct Cutter {
    chunk: Option<Chunk>,
    last: Option<i128>,
    /// Of requests that several users have.
    contradicting: u64,
}

impl Cutter {
    /// Takes in the next request; a chunk that it does not belong to is complete.
    ///
    /// A request that has the id and the moment of the one before is another user's: nobody knows whose it was, and both
    /// are left out.
    pub(crate) fn push(&mut self, row: Row<'_>) -> Result<Option<Chunk>> {
        let (at, id) = row.of_request();
        let Some(day) = Day::of(at) else { return Ok(None) };
        if self.last.replace(row.place) == Some(row.place) {
            self.contradicting += candidates(row.payload)?;
            if let Some(chunk) = &mut self.chunk
                && chunk.requests.last().is_some_and(|last| (last.0, last.1) == (at, id))
            {
                self.contradicting += chunk.pop()?;
            }
            return Ok(None);
        }
        let complete = self.chunk.as_ref().is_some_and(|chunk| {
            chunk.day != day
                || chunk.requests.len() >= ROW_GROUP_FEEDS
                || chunk.payloads.len() >= CHUNK_BYTES
        });
        let complete = if complete { self.take() } else { None };
        let new = || Chunk { day, requests: Vec::new(), payloads: Vec::new() };
        let chunk = self.chunk.get_or_insert_with(new);
        chunk.payloads.extend_from_slice(row.payload);
        chunk.requests.push((at, id, chunk.payloads.len()));
        Ok(complete)
    }

    /// The chunk that is not complete, if it has requests.
    pub(crate) fn take(&mut self) -> Option<Chunk> {
        self.chunk.take().filter(|chunk| !chunk.requests.is_empty())
    }

    /// Impressions left out because their request is several users'.
    pub(crate) const fn contradicting(&self) -> u64 {
        self.contradicting
    }
}

/// Makes row groups of chunks.
#[derive(Debug)]
pub(crate) struct FeedMaker {
    builder: FeedBuilder,
    encoder: FeedEncoder,
    /// Feeds of chunks that are done, for their memory: one list for each thread that has made some.
    feeds: Mutex<Vec<Vec<Feed>>>,
}

impl FeedMaker {
    pub(crate) fn new(schema: &Schema, dimensions: &Arc<Dimensions>) -> Result<Self, Error> {
        let builder = FeedBuilder::new(schema, dimensions)?.with_labels()?;
        Ok(Self { builder, encoder: FeedEncoder::new(schema)?, feeds: Mutex::default() })
    }

    /// What has to be known of a request.
    pub(crate) const fn wanted(&self) -> &Wanted {
        self.builder.wanted()
    }

    pub(crate) fn encode(&self, chunk: &Chunk, split: Split) -> Result<Encoded, Error> {
        let popularity = self.wanted().popularity;
        let mut memory = lock(&self.feeds).pop().unwrap_or_default();
        for (i, (at, id, payload)) in chunk.iter().enumerate() {
            let (request, features) = read_request(id, at, popularity, payload)?;
            match memory.get_mut(i) {
                Some(feed) => self.builder.replace_feed(feed, &request, &features),
                None => memory.push(self.builder.feed(&request, &features)),
            }
        }
        let feeds = &memory[..chunk.requests.len()];
        let labels = feeds.iter().filter_map(|feed| feed.candidates.labels.as_ref());
        let watched = labels.flat_map(|labels| &labels.watched).filter(|watched| **watched);
        let encoded = Encoded {
            day: chunk.day,
            group: self.encoder.encode(split, feeds)?,
            feeds: feeds.len() as u64,
            impressions: feeds.iter().map(|feed| feed.impressions() as u64).sum(),
            watched: watched.count() as u64,
        };
        lock(&self.feeds).push(memory);
        Ok(encoded)
    }
}
