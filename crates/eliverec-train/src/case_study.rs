//! Which users a case study looks at (the paper's Sec. VI-D, Fig. 8), and their requests explained by two models: the users whose
//! rankings differ most, and some by chance, so that a reader sees what is usual, too.
//!
//! A user stands for the last request of the split that both rankings can be compared on: one with more channels than are looked at, of
//! a user with a history in each domain that the schema has. The distance of two rankings is one minus their average overlap (Wu and
//! Crestani, "Methods for Ranking Information Retrieval Systems Without Relevance Judgments", 2003): the mean over the depths 1 to k of
//! the share of channels that the first so many places of both have in common. Higher places count in more depths, so in more of it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use eliverec_core::Feed;
use eliverec_core::id::IdHash;
use eliverec_core::schema::Group;
use eliverec_core::seed::{numbered, stream};
use eliverec_run::{Explained, RunDirectory, Scorer};
use eliverec_tables::{FeedDirectory, Split, WrittenIds};
use serde::Serialize;

use crate::error::Error;
use crate::evaluate::batches;
use crate::explain::explain_feed;
use crate::feeds_read::check_fit;

/// How many users are looked at.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    /// Places of a ranking that are compared.
    pub top: usize,
    /// Users whose rankings differ most.
    pub most: usize,
    /// Users by chance, of the others.
    pub chance: usize,
    /// Of chance, which also orders users whose distances are the same.
    pub seed: u64,
}

/// Why a user is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChosenBy {
    /// The rankings differ more than those of users who were not chosen.
    Distance,
    /// The seed.
    Chance,
}

/// A request that is looked at.
#[derive(Clone, Debug)]
pub struct Case {
    /// Why.
    pub chosen_by: ChosenBy,
    /// Of the two rankings, from 0 (alike) to 1 (nothing in common).
    pub distance: f64,
    /// What was known.
    pub feed: Feed,
    /// Its ids as its file writes them.
    pub written: WrittenIds,
    /// By model, what it saw and did.
    pub explained: [Explained; 2],
}

/// Users of a split compared, and those that are looked at.
#[derive(Clone, Debug)]
pub struct Compared {
    /// Users whose last request was compared.
    pub users: u64,
    /// Mean distance of their rankings.
    pub mean_distance: f64,
    /// Share of them whose first places are the same, in the same order.
    pub alike: f64,
    /// Requests that were not compared, by reason.
    pub left_out: BTreeMap<String, u64>,
    /// Those by distance first, the largest first; then those by chance.
    pub cases: Vec<Case>,
}

/// One minus the average overlap of two rankings, of the same length, without repeats.
pub fn distance(first: &[usize], second: &[usize]) -> f64 {
    let depths = first.len().min(second.len());
    let overlap = |depth: usize| {
        let other = &second[..depth];
        first[..depth].iter().filter(|place| other.contains(place)).count() as f64 / depth as f64
    };
    1.0 - (1..=depths).map(overlap).sum::<f64>() / depths.max(1) as f64
}

/// The candidates of a request, the likeliest watch first; of equal ones the one that was shown first.
pub fn ranking(probabilities: &[f32]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..probabilities.len()).collect();
    places.sort_by(|a, b| probabilities[*b].total_cmp(&probabilities[*a]));
    places
}

/// The last request of a user.
struct Last {
    ts_ms: i64,
    /// Among the feeds of the split.
    place: u64,
    rankings: [Vec<usize>; 2],
}

/// Compares two models, of the runs at two paths, on a split of `feeds`, and explains what `choice` takes. `progress` hears how many
/// requests were read, of each of the passes.
///
/// # Errors
/// Feeds of another schema than a run's, a split without feeds or without a request that can be compared, feeds that break the contract,
/// scores that are no numbers.
pub fn compare(
    models: [(&Scorer, &Path); 2],
    feeds: &FeedDirectory,
    split: Split,
    choice: Choice,
    mut progress: impl FnMut(u64),
) -> Result<Compared, Error> {
    for (_, path) in models {
        check_fit(&RunDirectory::at(path), feeds)?;
    }
    let (mut users, left_out) = last_requests(feeds, split, choice.top, &mut progress)?;
    if users.is_empty() {
        let reasons = left_out.iter().map(|(reason, count)| format!("{count} {reason}"));
        let reason = format!(
            "the {split} split has no request that can be compared: {}",
            reasons.collect::<Vec<_>>().join(", ")
        );
        return Err(eliverec_run::Error::Run { path: feeds.path().into(), reason }.into());
    }
    for (i, (scorer, path)) in models.into_iter().enumerate() {
        rank(scorer, path, feeds, split, &mut progress, |user, place, probabilities| {
            if let Some(last) = users.get_mut(&user).filter(|last| last.place == place) {
                let mut ranking = ranking(probabilities);
                ranking.truncate(choice.top);
                last.rankings[i] = ranking;
            }
        })?;
    }
    let chance = stream(choice.seed, "train/case-study");
    let mut compared: Vec<(f64, u64, u64)> = users
        .iter()
        .map(|(user, last)| {
            let [first, second] = &last.rankings;
            (distance(first, second), numbered(chance, *user), last.place)
        })
        .collect();
    compared.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let count = compared.len();
    let mean_distance = compared.iter().map(|(distance, ..)| distance).sum::<f64>() / count as f64;
    let alike = compared.iter().filter(|(distance, ..)| *distance == 0.0).count();
    let mut others = compared.split_off(choice.most.min(count));
    others.sort_by_key(|(_, drawn, _)| *drawn);
    others.truncate(choice.chance);
    let by_distance = compared.into_iter().map(|of| (ChosenBy::Distance, of.0, of.2));
    let chosen = by_distance.chain(others.into_iter().map(|of| (ChosenBy::Chance, of.0, of.2)));
    let scorers = models.map(|(scorer, _)| scorer);
    Ok(Compared {
        users: count as u64,
        mean_distance,
        alike: alike as f64 / count as f64,
        left_out,
        cases: explain(scorers, feeds, split, chosen.collect())?,
    })
}

/// By user.
type LastRequests = HashMap<u64, Last, IdHash>;

/// The last request of each user that can be compared in `top` places, by user, and what was left out.
fn last_requests(
    feeds: &FeedDirectory,
    split: Split,
    top: usize,
    progress: &mut impl FnMut(u64),
) -> Result<(LastRequests, BTreeMap<String, u64>), Error> {
    let has = |group| !feeds.schema().fields(group).is_empty();
    let [has_channels, has_products] = [Group::Channel, Group::Product].map(has);
    let (mut few, mut empty, mut earlier) = (0, 0, 0);
    let mut users: HashMap<u64, Last, IdHash> = HashMap::default();
    for (place, feed) in (0..).zip(feeds.read(split)?) {
        let feed = feed?;
        progress(place + 1);
        if feed.impressions() <= top {
            few += 1;
        } else if has_channels && feed.channels.age_s.is_empty()
            || has_products && feed.products.age_s.is_empty()
        {
            empty += 1;
        } else {
            let last = Last { ts_ms: feed.ts_ms, place, rankings: Default::default() };
            // Of one moment the one that stands last.
            let is_later = users.get(&feed.user_id).is_none_or(|of| of.ts_ms <= feed.ts_ms);
            earlier += u64::from(users.contains_key(&feed.user_id));
            if is_later {
                users.insert(feed.user_id, last);
            }
        }
    }
    let reasons = [
        (format!("requests with no more than {top} channels"), few),
        ("requests of a user without a history in both domains".into(), empty),
        ("earlier requests of the same users".into(), earlier),
    ];
    Ok((users, reasons.into_iter().filter(|(_, count)| *count > 0).collect()))
}

/// Gives each request of a split to `each`: its user, its place and its probabilities by a model.
fn rank(
    scorer: &Scorer,
    path: &Path,
    feeds: &FeedDirectory,
    split: Split,
    progress: &mut impl FnMut(u64),
    mut each: impl FnMut(u64, u64, &[f32]),
) -> Result<(), Error> {
    let scoring = scorer.scoring();
    let mut place = 0;
    for prepared in batches(&scoring, feeds, split)? {
        let prepared = prepared?;
        let p_watch = scoring.score(&prepared).p_watch;
        if let Some(i) = p_watch.iter().position(|p| !p.is_finite()) {
            let feed = prepared.batch.candidates.locate(i).0;
            let (value, request) = (p_watch[i], prepared.batch.request_ids[feed]);
            let reason = format!("gives p_watch = {value} for request {request}");
            return Err(eliverec_run::Error::Damaged { path: path.into(), reason }.into());
        }
        for (user, range) in prepared.batch.user_ids.iter().zip(prepared.batch.candidates.ranges())
        {
            each(*user, place, &p_watch[range]);
            place += 1;
        }
        progress(place);
    }
    Ok(())
}

/// Reads the chosen requests and explains them, in the order in which they were chosen.
fn explain(
    scorers: [&Scorer; 2],
    feeds: &FeedDirectory,
    split: Split,
    chosen: Vec<(ChosenBy, f64, u64)>,
) -> Result<Vec<Case>, Error> {
    let mut wanted: Vec<u64> = chosen.iter().map(|(.., place)| *place).collect();
    wanted.sort_by_key(|place| Reverse(*place));
    let mut found = BTreeMap::new();
    for (place, feed) in (0..).zip(feeds.read(split)?) {
        let Some(next) = wanted.last() else { break };
        let feed = feed?;
        if place == *next {
            wanted.pop();
            found.insert(place, feed);
        }
    }
    let mut cases = Vec::with_capacity(chosen.len());
    for (chosen_by, distance, place) in chosen {
        let Some(feed) = found.remove(&place) else { continue };
        let written = feeds.written_ids(split, place)?;
        let explained = |scorer| explain_feed(scorer, &feed, &written).map(|(_, (of, ..))| of);
        let explained = [explained(scorers[0])?, explained(scorers[1])?];
        cases.push(Case { chosen_by, distance, feed, written, explained });
    }
    Ok(cases)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_is_one_minus_the_average_overlap() {
        assert_eq!(distance(&[1, 2, 3], &[1, 2, 3]), 0.0);
        assert_eq!(distance(&[1, 2], &[3, 4]), 1.0);
        // Shares in common: 0 of 1, 2 of 2, 3 of 3.
        assert!((distance(&[1, 2, 3], &[2, 1, 3]) - 1.0 / 3.0).abs() < 1e-12);
        // A difference at the top weighs more than the same one below it.
        let top = distance(&[9, 2, 3, 4, 5], &[1, 2, 3, 4, 5]);
        let bottom = distance(&[1, 2, 3, 4, 9], &[1, 2, 3, 4, 5]);
        assert!(top > bottom && bottom > 0.0, "{top} {bottom}");
    }

    #[test]
    fn equal_probabilities_keep_the_order_shown() {
        assert_eq!(ranking(&[0.2, 0.5, 0.2, 0.9]), [3, 1, 0, 2]);
    }
}
