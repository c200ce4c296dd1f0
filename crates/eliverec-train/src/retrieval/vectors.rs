//! A model's vectors: e_vt of channels, and the intents of users before any target is known.

use std::collections::HashSet;

use eliverec_core::feed::Candidates;
use eliverec_core::{BatchBuilder, Feed, Schema};
use eliverec_models::trace::Trace;
use eliverec_retrieval::ChannelVectors;
use eliverec_run::{Prepared, Scoring};
use eliverec_tables::{FeedDirectory, Split};

use crate::error::Error;
use eliverec_retrieval::fields::{Fields, ids};

/// Channels whose vectors are computed at a time.
const CHANNELS: usize = 512;

/// e_vt of every channel that feeds which fit the model show: of its fields as they were when it was first shown.
///
/// # Errors
/// Feeds that break the contract, weights that give no numbers.
pub fn channel_vectors(
    scoring: &Scoring<'_>,
    feeds: &FeedDirectory,
) -> Result<ChannelVectors, Error> {
    let fields = Fields::of(feeds.schema())?;
    let Some((moment, channels)) = first_shown(feeds, &fields)? else {
        let reason = "no split holds a feed; `eliverec import` makes feed directories".into();
        return Err(eliverec_run::Error::Run { path: feeds.path().into(), reason }.into());
    };
    let known = ids(&channels.channel[fields.channel]);
    let (mut width, mut values) = (scoring.config.input.width, Vec::new());
    for start in (0..known.len()).step_by(CHANNELS) {
        let rows = start..(start + CHANNELS).min(known.len());
        let mut feed = moment.clone();
        for (to, from) in [
            (&mut feed.candidates.channel, &channels.channel),
            (&mut feed.candidates.target, &channels.target),
            (&mut feed.candidates.dynamic, &channels.dynamic),
        ] {
            to.iter_mut().zip(from).for_each(|(to, from)| to.extend(from, rows.clone()));
        }
        feed.candidates.position = vec![None; rows.len()];
        let mut trace = Trace::on();
        scoring.trace(&prepared(scoring, std::slice::from_ref(&feed))?, &mut trace);
        if let Some(targets) = trace.into_recorded().get("e_vt") {
            width = targets.shape[1];
            values.extend_from_slice(&targets.values);
        }
    }
    Ok(ChannelVectors::new(width, known, &values)?)
}

/// The first feed without its histories and candidates, and every channel once, with all of its columns.
fn first_shown(
    feeds: &FeedDirectory,
    fields: &Fields,
) -> Result<Option<(Feed, Candidates)>, Error> {
    let empty = Feed::empty(feeds.schema());
    let (mut channels, mut moment) = (empty.candidates, None);
    let mut known: HashSet<u64> = HashSet::new();
    for split in Split::ALL {
        if feeds.feeds(split)? == 0 {
            continue;
        }
        for feed in feeds.read(split)? {
            let feed = feed?;
            for (i, channel) in ids(&feed.candidates.channel[fields.channel]).iter().enumerate() {
                if !known.insert(*channel) {
                    continue;
                }
                for (to, from) in [
                    (&mut channels.channel, &feed.candidates.channel),
                    (&mut channels.target, &feed.candidates.target),
                    (&mut channels.dynamic, &feed.candidates.dynamic),
                ] {
                    to.iter_mut().zip(from).for_each(|(to, from)| to.extend(from, i..i + 1));
                }
            }
            moment.get_or_insert_with(|| without_lists(feed, feeds.schema()));
        }
    }
    Ok(moment.map(|moment| (moment, channels)))
}

fn without_lists(feed: Feed, schema: &Schema) -> Feed {
    let empty = Feed::empty(schema);
    Feed { user: feed.user, context: feed.context, ..empty }
}

fn prepared(scoring: &Scoring<'_>, feeds: &[Feed]) -> Result<Prepared, Error> {
    let lengths = scoring.config.settings().lengths();
    let mut builder = BatchBuilder::new(scoring.schema, scoring.normalization, lengths);
    for feed in feeds {
        builder.push(feed)?;
    }
    let batch = builder.finish().expect("at least one feed was added");
    Ok(Prepared::of(scoring.schema, batch))
}

/// The intents of each feed's user, as [`eliverec_run::intents`].
pub(crate) fn intents(scoring: &Scoring<'_>, feeds: &[Feed]) -> Result<Vec<Vec<Vec<f32>>>, Error> {
    if feeds.is_empty() {
        return Ok(Vec::new());
    }
    Ok(eliverec_run::intents(scoring, &prepared(scoring, feeds)?))
}
