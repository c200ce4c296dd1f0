//! Ids that cannot be learnt: seen once, only after training, or never on the other side of a request.

use eliverec_core::feed::Column;
use eliverec_core::schema::Group;
use eliverec_core::{Feed, Schema};

use super::family::Family;
use super::finding::{Check, Findings, Level, level_of, percent, share};
use super::sample::SampledIds;
use crate::layout::Split;

/// A vocabulary with many ids that are seen once.
pub(super) const IDS_SEEN_ONCE: Check = Check {
    name: "ids_seen_once",
    finds: "a vocabulary, without `min_count`, of whose ids more than a fifth (a warning: more than half) stand once in training",
    advice: "write min_count = 2 at the vocabulary: rare ids then share a row that is trained",
};

/// Ids of later splits that training has not seen.
pub(super) const IDS_UNSEEN: Check = Check {
    name: "ids_unseen",
    finds: "a vocabulary whose ids in validation or test are strange to training: more than a tenth of the occurrences (a warning: half; severe: nearly all)",
    advice: "if nearly all are, the ids are of another type or source there (text against integers); else give the model fields that new ids share, such as a category",
};

/// A vocabulary whose ids in a history are not those of the candidates.
pub(super) const IDS_NEVER_MEET: Check = Check {
    name: "ids_never_meet",
    finds: "a vocabulary whose ids in a history never stand among those of the candidates, such as text in one and integers in the other",
    advice: "write the ids of both columns in one type from one source, or give the fields two vocabularies",
};

/// A vocabulary that no field names.
pub(super) const VOCABULARY_UNUSED: Check = Check {
    name: "vocabulary_unused",
    finds: "a vocabulary that no field of schema.toml names",
    advice: "name it in a field, or take it out of schema.toml",
};

/// Ids remembered of a vocabulary.
const MOST_IDS: usize = 1 << 18;
/// Fewer distinct ids say nothing about shares.
const FEWEST: u64 = 20;
/// Fewer distinct ids say nothing about the tail.
const FEWEST_OF_TAIL: u64 = 100;

const HISTORIES: [Group; 4] =
    [Group::Product, Group::ProductEvent, Group::Channel, Group::ChannelEvent];
const CANDIDATES: [Group; 3] = [Group::Candidate, Group::Target, Group::Dynamic];

/// Every vocabulary of the schema.
#[derive(Debug)]
pub(super) struct Vocabularies {
    schema: Schema,
    seen: Vec<Seen>,
}

#[derive(Debug)]
struct Seen {
    /// In training.
    ids: SampledIds<Occurrences>,
    /// Occurrences after training of ids of the part that is remembered: strange ones, and all.
    later: [(u64, u64); Split::ALL.len()],
}

#[derive(Debug, Default)]
struct Occurrences {
    count: u32,
    /// A bit per group.
    groups: u16,
}

impl Occurrences {
    const fn is_in(&self, group: Group) -> bool {
        self.groups & (1 << group as u16) != 0
    }
}

impl Vocabularies {
    pub(super) fn new(schema: &Schema) -> Self {
        let seen = |_| Seen { ids: SampledIds::new(MOST_IDS), later: Default::default() };
        Self { schema: schema.clone(), seen: schema.vocabulary.iter().map(seen).collect() }
    }
}

impl Seen {
    fn add(&mut self, split: Split, group: Group, ids: &[u64]) {
        for id in ids {
            if split == Split::Train {
                if let Some(seen) = self.ids.entry(*id) {
                    seen.count = seen.count.saturating_add(1);
                    seen.groups |= 1 << group as u16;
                }
            } else if let Some(known) = self.ids.knows(*id) {
                let (strange, all) = &mut self.later[split as usize];
                *strange += u64::from(!known);
                *all += 1;
            }
        }
    }
}

impl Family for Vocabularies {
    fn feed(&mut self, split: Split, feed: &Feed) {
        for group in Group::ALL {
            for (field, column) in self.schema.fields(group).iter().zip(feed.columns(group)) {
                let (Column::Ids(ids) | Column::Lists { ids, .. }) = column else { continue };
                if let Some(vocabulary) = self.schema.vocabulary_of(field) {
                    self.seen[vocabulary].add(split, group, ids);
                }
            }
        }
    }

    fn tell(&self, findings: &mut Findings) {
        for (i, vocabulary) in self.schema.vocabulary.iter().enumerate() {
            let place = format!("vocabulary {}", vocabulary.name);
            if !Group::ALL.into_iter().any(|group| self.draws(group, i)) {
                let says = "no field draws on it".to_owned();
                findings.add(&VOCABULARY_UNUSED, Level::Note, place, (1, 1), says);
                continue;
            }
            let draw = |group: &Group| self.draws(*group, i);
            let of_context = Group::ALL.iter().filter(|group| draw(group)).eq([&Group::Context]);
            self.tell_of_once(i, &place, findings);
            self.tell_of_strange(i, of_context, &place, findings);
            self.tell_of_meetings(i, &place, findings);
        }
    }

    fn covers(&self) -> Option<String> {
        let parts = self.schema.vocabulary.iter().zip(&self.seen);
        let partly = parts.filter(|(_, seen)| seen.ids.one_in() > 1);
        let partly = partly.map(|(of, seen)| format!("{} of {}", seen.ids.part("ids"), of.name));
        let partly: Vec<String> = partly.collect();
        let parts = if partly.is_empty() { "all ids".into() } else { partly.join("; ") };
        Some(format!("vocabularies: {parts}"))
    }
}

impl Vocabularies {
    /// Whether a field of the group draws on vocabulary `i`.
    fn draws(&self, group: Group, i: usize) -> bool {
        let mut fields = self.schema.fields(group).iter();
        fields.any(|field| self.schema.vocabulary_of(field) == Some(i))
    }

    fn tell_of_once(&self, i: usize, place: &str, findings: &mut Findings) {
        let (ids, vocabulary) = (&self.seen[i].ids, &self.schema.vocabulary[i]);
        let once = ids.values().filter(|seen| seen.count == 1).count() as u64;
        let level = level_of(share(once, ids.len()), 0.2, 0.5, f64::INFINITY);
        if let Some(level) = level
            && vocabulary.min_count < 2
            && ids.len() >= FEWEST_OF_TAIL
        {
            let counts = (once * ids.one_in(), ids.len() * ids.one_in());
            let says = format!(
                "{} of {} ids ({}) stand once in training",
                counts.0,
                counts.1,
                percent(once, ids.len())
            );
            findings.add(&IDS_SEEN_ONCE, level, place, counts, says);
        }
    }

    /// A few days of training do not know every weekday: of a context, strange ids are a note.
    fn tell_of_strange(&self, i: usize, of_context: bool, place: &str, findings: &mut Findings) {
        let seen = &self.seen[i];
        if seen.ids.len() == 0 {
            return;
        }
        for split in Split::ALL {
            let (strange, all) = seen.later[split as usize];
            let level = level_of(share(strange, all), 0.1, 0.5, 0.99);
            if let Some(level) = level
                && all >= FEWEST
            {
                let says =
                    format!("{} of {all} ids here are strange to training", percent(strange, all));
                let place = format!("{split}: {place}");
                let level = if of_context { Level::Note } else { level };
                findings.add(&IDS_UNSEEN, level, place, (strange, all), says);
            }
        }
    }

    fn tell_of_meetings(&self, i: usize, place: &str, findings: &mut Findings) {
        let is_candidate =
            |seen: &Occurrences| CANDIDATES.into_iter().any(|group| seen.is_in(group));
        let ids = &self.seen[i].ids;
        let candidates = ids.values().filter(|seen| is_candidate(seen)).count() as u64;
        for group in HISTORIES.into_iter().filter(|group| self.draws(*group, i)) {
            let before = ids.values().filter(|seen| seen.is_in(group)).count() as u64;
            let both = ids.values().filter(|seen| seen.is_in(group) && is_candidate(seen)).count();
            if both == 0 && before >= FEWEST && candidates >= FEWEST {
                let says = format!(
                    "none of {before} ids in {} stands among the {candidates} of the candidates",
                    group.name()
                );
                let counts = (before * ids.one_in(), before * ids.one_in());
                findings.add(&IDS_NEVER_MEET, Level::Severe, place, counts, says);
            }
        }
    }
}
