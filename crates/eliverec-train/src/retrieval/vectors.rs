//! A run's vectors: e_vt of channels, and the intents of users before any target is known.

use std::collections::{BTreeMap, HashSet};

use eliverec_core::feed::Candidates;
use eliverec_core::offsets::Offsets;
use eliverec_core::{BatchBuilder, Feed, Schema};
use eliverec_models::trace::{Recorded, Trace};
use eliverec_retrieval::ChannelVectors;
use eliverec_retrieval::intents::pooled;
use eliverec_run::{Prepared, Scorer};
use eliverec_tables::{FeedDirectory, Split};

use crate::error::Error;
use eliverec_retrieval::fields::{Fields, ids};

/// Channels whose vectors are computed at a time.
const CHANNELS: usize = 512;

/// e_vt of every channel that feeds which fit the run show, by `scorer`: of its fields as they were when it was first shown.
///
/// # Errors
/// Feeds that break the contract, weights that give no numbers.
pub(crate) fn channel_vectors(
    scorer: &Scorer,
    feeds: &FeedDirectory,
) -> Result<ChannelVectors, Error> {
    let fields = Fields::of(feeds.schema())?;
    let Some((moment, channels)) = first_shown(feeds, &fields)? else {
        let reason = "no split holds a feed; `eliverec import` makes feed directories".into();
        return Err(eliverec_run::Error::Run { path: feeds.path().into(), reason }.into());
    };
    let known = ids(&channels.channel[fields.channel]);
    let (mut width, mut values) = (scorer.config.input.width, Vec::new());
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
        let (_, recorded) = traced(scorer, std::slice::from_ref(&feed))?;
        if let Some(targets) = recorded.get("e_vt") {
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

/// What the model records of some feeds, and the feeds as a batch.
fn traced(
    scorer: &Scorer,
    feeds: &[Feed],
) -> Result<(Prepared, BTreeMap<String, Recorded>), Error> {
    let lengths = scorer.config.settings().lengths();
    let mut builder = BatchBuilder::new(&scorer.schema, &scorer.normalization, lengths);
    for feed in feeds {
        builder.push(feed)?;
    }
    let batch = builder.finish().expect("at least one feed was added");
    let prepared = Prepared::of(&scorer.schema, batch);
    let mut trace = Trace::on();
    scorer.scoring().trace(&prepared, &mut trace);
    Ok((prepared, trace.into_recorded()))
}

/// The vectors of each feed's intents: the consistent and the specific one of every domain in which the user did something.
pub(crate) fn intents(scorer: &Scorer, feeds: &[Feed]) -> Result<Vec<Vec<Vec<f32>>>, Error> {
    if feeds.is_empty() {
        return Ok(Vec::new());
    }
    let (prepared, recorded) = traced(scorer, feeds)?;
    let mut all = vec![Vec::new(); feeds.len()];
    let domains = [("live", &prepared.batch.channels), ("product", &prepared.batch.products)];
    for (domain, offsets) in domains {
        let of = |what: &str| recorded.get(&format!("{domain}.{what}"));
        if of("encoder_attention").is_some() {
            // DIN's unit weighs the history for each candidate: there is no intent before a target is known.
            continue;
        }
        if let (Some(events), Some(intention)) = (of("bare"), of("intention")) {
            for (intents, range) in all.iter_mut().zip(offsets.ranges()) {
                intents.extend(of_feed(events, intention, offsets, range).into_iter().flatten());
            }
        }
    }
    Ok(all)
}

fn of_feed(
    events: &Recorded,
    intention: &Recorded,
    offsets: &Offsets,
    range: std::ops::Range<usize>,
) -> Option<[Vec<f32>; 2]> {
    let total = offsets.total();
    if total == 0 {
        return None;
    }
    let rows = |recorded: &Recorded| {
        let width = recorded.values.len() / total;
        recorded.values[range.start * width..range.end * width].to_vec()
    };
    pooled(&rows(events), &rows(intention), events.values.len() / total)
}
