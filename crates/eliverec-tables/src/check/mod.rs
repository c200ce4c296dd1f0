//! What would make training quietly worse: data that keeps the contract, is read without an error, and still cannot be meant.
//!
//! [`feeds`] looks through a feed directory, [`crate::events::check::log`] through an event log. Each thing that can be found
//! is a [`Check`] in [`CHECKS`] or [`crate::events::check::CHECKS`]: a name, what it finds, what to do. What breaks the
//! contract is an error of the reader and not a finding.
//!
//! A family of checks is a file with a `family::Family`: it sees every feed once, in the order of the splits, and
//! tells what it found at the end.
//!
//! # Memory
//! One pass over the files as [`crate::read`] has it. Ids are remembered up to a number of them: a million requests (some 40 MB),
//! a quarter of a million ids of each vocabulary and users of each split (some 10 MB each). Beyond that a part of them is,
//! chosen by hash (`sample.rs`), and [`Checked::covers`] says which part. Numbers are counted by magnitude or sampled.

mod below_zero;
mod family;
mod fields;
pub(crate) mod finding;
mod histories;
mod ids;
mod labels;
mod leaks;
mod promised;
mod promises;
mod requests;
pub(crate) mod sample;

pub use finding::{Check, Checked, Finding, Level, Part, Read};
pub use promised::PROMISED;
pub use promises::promises;

use family::Family;
use finding::Findings;

use crate::directory::FeedDirectory;
use crate::error::Error;
use crate::layout::Split;

/// The checks of feed directories, in the order in which findings of one level stand.
pub const CHECKS: &[&Check] = &[
    &leaks::FIELD_TELLS_LABEL,
    &leaks::POSITION_TELLS_LABEL,
    &labels::ONE_CLASS,
    &ids::IDS_NEVER_MEET,
    &ids::IDS_UNSEEN,
    &promised::SPLITS_SHARE_REQUESTS,
    &promised::REQUEST_TWICE,
    &promised::SPLITS_OUT_OF_ORDER,
    &promised::TIME_UNIT,
    &histories::NOT_OLDEST_FIRST,
    &histories::AGE_UNIT,
    &histories::AGES_EQUAL,
    &histories::EVENTS_REPEAT,
    &histories::HISTORY_EMPTY,
    &histories::HISTORY_CUT,
    &requests::CANDIDATE_TWICE,
    &labels::STAY_UNIT,
    &labels::LABEL_CONSTANT,
    &labels::LABEL_MISSING,
    &labels::FEEDS_OF_ONE_CLASS,
    &labels::USERS_OF_ONE_CLASS,
    &fields::FIELD_ZERO,
    &fields::FIELD_CONSTANT,
    &fields::FIELD_STOPS,
    &fields::LISTS_EMPTY,
    &fields::OUTLIERS,
    &below_zero::LOG_BELOW_ZERO,
    &ids::IDS_SEEN_ONCE,
    &ids::VOCABULARY_UNUSED,
    &requests::SPLIT_EMPTY,
];

/// Looks through the feeds of every split.
///
/// # Errors
/// What reading the feeds gives, and a directory without feeds.
pub fn feeds(directory: &FeedDirectory) -> Result<Checked, Error> {
    let schema = directory.schema();
    let mut families: [Box<dyn Family>; 7] = [
        Box::new(leaks::Leaks::new(schema)),
        Box::new(labels::LabelColumns::new(schema)),
        Box::new(ids::Vocabularies::new(schema)),
        Box::new(requests::Requests::default()),
        Box::new(histories::Histories::new(schema)),
        Box::new(fields::Fields::new(schema)),
        Box::new(below_zero::BelowZero::new(schema)),
    ];
    let (mut read, mut skipped) = (Vec::new(), directory.beside().to_vec());
    for split in Split::ALL {
        let (mut impressions, mut part) = (
            0,
            Part {
                name: split.name().into(),
                files: directory.files(split)?.len() as u64,
                ..Part::default()
            },
        );
        skipped.extend(directory.listing(split)?.skipped);
        if directory.feeds(split)? > 0 {
            for feed in directory.read(split)? {
                let feed = feed?;
                part.rows += 1;
                impressions += feed.impressions() as u64;
                families.iter_mut().for_each(|family| family.feed(split, &feed));
            }
        }
        part.impressions = Some(impressions);
        read.push(part);
    }
    if read.iter().all(|part| part.rows == 0) {
        let reason = "no split holds a feed; write some, see docs/own-data.md";
        return Err(Error::directory(directory.path(), reason));
    }
    let (mut findings, mut covers) = (Findings::default(), Vec::new());
    for family in &families {
        family.tell(&mut findings);
        covers.extend(family.covers());
    }
    Ok(Checked::new(Read::of(read, skipped), covers, findings, CHECKS))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_sentences_are_there() {
        let all = CHECKS.iter().chain(crate::events::check::CHECKS);
        let mut names = BTreeSet::new();
        for check in all {
            assert!(names.insert(check.name), "{}", check.name);
            assert!(!check.finds.is_empty() && !check.advice.is_empty(), "{}", check.name);
        }
    }
}
