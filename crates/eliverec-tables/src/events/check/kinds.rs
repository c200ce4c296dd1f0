//! Which kinds of events there are, and what their values are.

use eliverec_core::{Event, EventKind, Schema};

use super::family::Family;
use crate::check::finding::{Check, Findings, Level, percent};
use crate::check::sample::Magnitudes;

/// A kind of event that does not occur.
pub(super) const KIND_ABSENT: Check = Check {
    name: "kind_absent",
    finds: "a kind of event that never occurs, and what follows: without leaves nothing is ever watched, without product clicks a history is empty, without stream_start nobody knows which channels are live (a warning where the schema asks for it)",
    advice: "write the events of that kind, or take what is made of them out of schema.toml",
};

/// Stays in milliseconds.
pub(super) const LEAVE_UNIT: Check = Check {
    name: "leave_unit",
    finds: "leaves whose median value is above ten hours: milliseconds instead of seconds",
    advice: "write the value of a leave in seconds: divide by 1000",
};

/// Product clicks of one domain.
pub(super) const CLICKS_OF_ONE_DOMAIN: Check = Check {
    name: "clicks_of_one_domain",
    finds: "product clicks that all have a channel (histories of products stay empty), or of which none has one (the label product_click is never true)",
    advice: "leave channel_id null for a click among products, and give it for a click inside a channel",
};

/// Seconds, above which a median stay is none.
const LONGEST_STAY_S: f32 = 10.0 * 3600.0;
/// Fewer clicks may be of one domain by chance.
const FEWEST: u64 = 20;

/// Counts by kind.
#[derive(Debug)]
pub(super) struct Kinds {
    has_products: bool,
    /// Names of the fields that features of a candidate fill.
    features: Vec<String>,
    counts: [u64; EventKind::ALL.len()],
    product_clicks_in_channels: u64,
    stays: Magnitudes,
}

impl Kinds {
    pub(super) fn new(schema: &Schema) -> Self {
        Self {
            has_products: !schema.product.is_empty(),
            features: schema.target.iter().chain(&schema.dynamic).map(|f| f.name.clone()).collect(),
            counts: Default::default(),
            product_clicks_in_channels: 0,
            stays: Magnitudes::default(),
        }
    }

    /// A warning if a field begins with one of these names, which are those of `samples` features.
    fn of_features(&self, names: &[&str]) -> Level {
        let asked = |field: &String| names.iter().any(|name| field.starts_with(name));
        if self.features.iter().any(asked) { Level::Warning } else { Level::Note }
    }

    /// How much the absence of a kind matters, and what follows from it; `None` if nothing does.
    fn consequence(&self, kind: EventKind) -> Option<(Level, &'static str)> {
        Some(match kind {
            EventKind::Impression => (Level::Severe, "there is no request to make a feed of"),
            EventKind::Leave => {
                (Level::Severe, "nothing is ever watched, and histories of channels are empty")
            }
            EventKind::ProductClick if self.has_products => {
                (Level::Warning, "histories of products are empty, and so is product_click")
            }
            EventKind::ProductClick => (Level::Note, "the label product_click is never true"),
            EventKind::Watch => (Level::Note, "entries count when the user leaves"),
            EventKind::BagClick => (Level::Note, "the label bag_click is never true"),
            EventKind::StreamStart => {
                (self.of_features(&["minutes_live"]), "nobody knows which channels are live")
            }
            EventKind::StreamEnd => (self.of_features(&["minutes_live"]), "channels stay live"),
            EventKind::ProductOn => {
                (self.of_features(&["current_", "on_sale_"]), "goods bags are empty")
            }
            EventKind::ProductOff => (self.of_features(&["on_sale_"]), "goods bags only grow"),
            EventKind::Order => {
                (self.of_features(&["orders_", "revenue_"]), "orders and revenue of channels are 0")
            }
            EventKind::Follow | EventKind::Like | EventKind::Comment => return None,
        })
    }
}

impl Family for Kinds {
    fn event(&mut self, event: &Event) {
        self.counts[event.kind as usize] += 1;
        match (event.kind, event.value) {
            (EventKind::Leave, Some(value)) => self.stays.add((value as f32).min(f32::MAX)),
            (EventKind::ProductClick, _) => {
                self.product_clicks_in_channels += u64::from(event.channel_id.is_some());
            }
            _ => {}
        }
    }

    fn tell(&self, findings: &mut Findings) {
        let events = self.counts.iter().sum();
        for kind in EventKind::ALL {
            if self.counts[kind as usize] == 0
                && let Some((level, consequence)) = self.consequence(kind)
            {
                let says = format!("no {} among {events} events: {consequence}", kind.name());
                findings.add(&KIND_ABSENT, level, "events: kind", (0, events), says);
            }
        }
        let median = self.stays.median_of_others();
        if median > LONGEST_STAY_S {
            let (long, all) = (self.stays.above(LONGEST_STAY_S), self.stays.count());
            let says = format!("the median stay is about {:.0} hours", median / 3600.0);
            findings.add(&LEAVE_UNIT, Level::Warning, "events: value", (long, all), says);
        }
        let clicks = self.counts[EventKind::ProductClick as usize];
        let inside = self.product_clicks_in_channels;
        let place = "events: channel_id";
        if clicks >= FEWEST && inside == clicks && self.has_products {
            let says = format!(
                "{} of {clicks} product clicks have a channel: histories of products are empty",
                percent(inside, clicks)
            );
            findings.add(&CLICKS_OF_ONE_DOMAIN, Level::Warning, place, (inside, clicks), says);
        } else if clicks >= FEWEST && inside == 0 {
            let says = format!("none of {clicks} product clicks has a channel");
            findings.add(&CLICKS_OF_ONE_DOMAIN, Level::Note, place, (clicks, clicks), says);
        }
    }
}
