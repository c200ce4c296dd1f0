//! Histories that are not what a sequence model takes them for: out of order, in other units, repeated, cut or empty.

use eliverec_core::batch::Lengths;
use eliverec_core::feed::Events;
use eliverec_core::schema::Group;
use eliverec_core::{Feed, Schema};

use super::family::{Family, identity};
use super::finding::{Check, Findings, Level, level_of, percent, share};
use crate::layout::Split;

/// Events that are not oldest first.
pub(super) const NOT_OLDEST_FIRST: Check = Check {
    name: "not_oldest_first",
    finds: "histories in which an event is older than the one before it: the newest must stand last, for it is the newest that are kept",
    advice: "order the list by time, oldest first",
};

/// Ages in another unit.
pub(super) const AGE_UNIT: Check = Check {
    name: "age_unit",
    finds: "ages beyond a year (a warning: more than a tenth of the events): milliseconds instead of seconds, or the wrong year",
    advice: "write age_s in seconds from the event to the request, and leave out what no longer matters",
};

/// Ages that are all alike.
pub(super) const AGES_EQUAL: Check = Check {
    name: "ages_equal",
    finds: "histories of three events and more whose ages are all the same, in more than half of them",
    advice: "write the age of each event, and not that of the newest or of the day",
};

/// Events that stand twice.
pub(super) const EVENTS_REPEAT: Check = Check {
    name: "events_repeat",
    finds: "events that follow an event with the same age and fields (a warning: more than a twentieth)",
    advice: "join the source once and drop second deliveries by their event's id",
};

/// Histories without events.
pub(super) const HISTORY_EMPTY: Check = Check {
    name: "history_empty",
    finds: "a split in which more than half of the histories of a domain are empty",
    advice: "take in more days before the first request, check that ids of users are of one type, or declare no fields for a domain that you do not have",
};

/// Histories that are cut.
pub(super) const HISTORY_CUT: Check = Check {
    name: "history_cut",
    finds: "a split in which more than a tenth of the histories are longer than the 50 events that the model keeps by default",
    advice: "nothing, or keep more with input.product_length and input.channel_length; shorter lists make smaller files",
};

/// Fewer histories say nothing about shares.
const FEWEST: u64 = 20;
/// Seconds of a year.
const YEAR_S: f32 = 366.0 * 86_400.0;

/// A domain: its column, what is kept of it, and where it stands in a feed.
type Domain = (&'static str, usize, fn(&Feed) -> &Events);

/// Both histories of every split.
#[derive(Debug)]
pub(super) struct Histories {
    disordered: Disordered,
    domains: Vec<(Domain, [Seen; Split::ALL.len()])>,
}

/// The order of both histories of every split.
#[derive(Debug)]
pub(super) struct Disordered(Vec<(&'static str, [Order; Split::ALL.len()])>);

#[derive(Debug, Default)]
struct Order {
    /// With two events or more.
    histories: u64,
    /// Those in which an event is older than the one before it.
    disordered: u64,
}

impl Disordered {
    pub(super) fn new(schema: &Schema) -> Self {
        let declared = domains(schema).map(|(_, (name, ..))| (name, Default::default()));
        Self(declared.collect())
    }

    /// The columns of the histories that the schema declares.
    pub(super) fn columns(&self) -> Vec<&'static str> {
        self.0.iter().map(|(name, _)| *name).collect()
    }

    /// Takes in a history by the ages of its events.
    pub(super) fn add(&mut self, column: &str, split: Split, age_s: &[f32]) {
        let Some((_, splits)) = self.0.iter_mut().find(|(name, _)| *name == column) else { return };
        let order = &mut splits[split as usize];
        order.histories += u64::from(age_s.len() >= 2);
        order.disordered += u64::from(age_s.windows(2).any(|pair| pair[1] > pair[0]));
    }

    /// Tells what was found.
    pub(super) fn tell(&self, findings: &mut Findings) {
        for (name, splits) in &self.0 {
            for split in Split::ALL {
                let Order { histories, disordered } = &splits[split as usize];
                let (histories, disordered) = (*histories, *disordered);
                let of = share(disordered, histories);
                if let Some(level) = level_of(of, f64::INFINITY, 0.0, 0.5) {
                    let says = format!(
                        "{disordered} of {histories} histories with two events or more are not oldest first ({})",
                        percent(disordered, histories)
                    );
                    let (place, counts) = (format!("{split}: {name}"), (disordered, histories));
                    findings.add(&NOT_OLDEST_FIRST, level, place, counts, says);
                }
            }
        }
    }
}

/// The histories that the schema declares.
fn domains(schema: &Schema) -> impl Iterator<Item = (Group, Domain)> {
    let kept = Lengths::default();
    let domains: [(Group, Domain); 2] = [
        (Group::Product, ("products", kept.products, |feed| &feed.products)),
        (Group::Channel, ("channels", kept.channels, |feed| &feed.channels)),
    ];
    domains.into_iter().filter(|(group, _)| !schema.fields(*group).is_empty())
}

#[derive(Debug, Default)]
struct Seen {
    feeds: u64,
    empty: u64,
    cut: u64,
    /// With three events or more.
    aged: u64,
    equal: u64,
    events: u64,
    old: u64,
    repeated: u64,
}

impl Histories {
    pub(super) fn new(schema: &Schema) -> Self {
        let declared = domains(schema).map(|(_, domain)| (domain, Default::default()));
        Self { disordered: Disordered::new(schema), domains: declared.collect() }
    }
}

impl Seen {
    fn add(&mut self, events: &Events, kept: usize) {
        let ages = &events.age_s;
        self.feeds += 1;
        self.empty += u64::from(ages.is_empty());
        self.cut += u64::from(ages.len() > kept);
        self.events += ages.len() as u64;
        self.old += ages.iter().filter(|age| **age > YEAR_S).count() as u64;
        self.aged += u64::from(ages.len() >= 3);
        let mut pairs = ages.windows(2);
        self.equal += u64::from(ages.len() >= 3 && pairs.all(|pair| pair[0] == pair[1]));
        let columns = || events.entity.iter().chain(&events.event);
        let repeats = |i: usize| {
            ages[i] == ages[i - 1]
                && columns().all(|column| identity(column, i) == identity(column, i - 1))
        };
        self.repeated += (1..ages.len()).filter(|i| repeats(*i)).count() as u64;
    }
}

impl Family for Histories {
    fn feed(&mut self, split: Split, feed: &Feed) {
        for ((name, kept, events), splits) in &mut self.domains {
            splits[split as usize].add(events(feed), *kept);
            self.disordered.add(name, split, &events(feed).age_s);
        }
    }

    fn tell(&self, findings: &mut Findings) {
        self.disordered.tell(findings);
        for ((name, kept, _), splits) in &self.domains {
            for split in Split::ALL {
                let seen = &splits[split as usize];
                let place = format!("{split}: {name}");
                let mut add = |check, level: Option<Level>, count, of, says: &str| {
                    if let Some(level) = level {
                        let says = format!("{count} of {of} {says} ({})", percent(count, of));
                        findings.add(check, level, &place, (count, of), says);
                    }
                };
                let none = f64::INFINITY;
                let level = level_of(share(seen.old, seen.events), 0.0, 0.1, none);
                add(&AGE_UNIT, level, seen.old, seen.events, "events are older than a year");
                if seen.aged >= FEWEST {
                    let level = level_of(share(seen.equal, seen.aged), none, 0.5, none);
                    let says = "histories with three events or more have one age throughout";
                    add(&AGES_EQUAL, level, seen.equal, seen.aged, says);
                }
                let level = level_of(share(seen.repeated, seen.events), 0.0, 0.05, none);
                let says = "events repeat the one before them in age and fields";
                add(&EVENTS_REPEAT, level, seen.repeated, seen.events, says);
                if seen.feeds >= FEWEST {
                    let level = level_of(share(seen.empty, seen.feeds), none, 0.5, none);
                    add(&HISTORY_EMPTY, level, seen.empty, seen.feeds, "histories are empty");
                    let level = level_of(share(seen.cut, seen.feeds), 0.1, none, none);
                    let says = format!("histories have more than {kept} events");
                    add(&HISTORY_CUT, level, seen.cut, seen.feeds, &says);
                }
            }
        }
    }
}
