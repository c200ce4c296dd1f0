//! Item-to-item neighbours of feeds.

use std::path::Path;

use eliverec_core::schema::Group;
use eliverec_retrieval::neighbours::Counted;
use eliverec_retrieval::{NeighbourCounter, NeighbourSettings, Neighbours};
use eliverec_tables::{FeedDirectory, Split};

use crate::error::Error;
use eliverec_retrieval::fields::{Fields, ids};

/// Counts what the users of a split watched: the channels of their histories, and of the candidates those labelled as watched.
/// Temporary files lie in `directory`.
///
/// # Errors
/// A split without feeds, feeds that break the contract, a schema without ids of channels, what the file system refuses.
pub fn neighbours(
    feeds: &FeedDirectory,
    split: Split,
    settings: NeighbourSettings,
    directory: &Path,
) -> Result<(Neighbours, Counted), Error> {
    let fields = Fields::of(feeds.schema())?;
    let mut counter = NeighbourCounter::new(settings, directory);
    for feed in feeds.read(split)? {
        let feed = feed?;
        let of = |group| ids(&feed.columns(group)[fields.channel]).iter();
        let labels = feed.candidates.labels.as_ref();
        let watched =
            labels.into_iter().flat_map(|labels| of(Group::Candidate).zip(&labels.watched));
        let now = watched.filter(|(_, watched)| **watched).map(|(channel, _)| channel);
        for channel in of(Group::Channel).chain(now) {
            counter.watch(feed.user_id, *channel)?;
        }
    }
    Ok(counter.finish()?)
}
