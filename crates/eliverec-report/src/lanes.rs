//! A history as a lane over time: a mark for each event, coloured by its category, as wide as the attention that it got (the paper's
//! Fig. 8), with a ring below it where the same channel or product stands earlier in the lane. Places are shares of the width and sizes
//! are pixels, so a lane fits a phone and a wide screen alike.

use std::collections::{BTreeMap, HashSet};

use maud::{Markup, html};

use crate::written::age;

/// How lanes look, and which colours there are: of every page that has one.
pub const STYLE: &str = include_str!("lanes.css");

/// Colours that there are; categories beyond them are grey.
const COLOURS: usize = 8;

/// The categories that have a colour, in the order of the colours.
#[derive(Debug, Default)]
pub struct Palette {
    known: Vec<String>,
    has_others: bool,
}

impl Palette {
    /// Colours for the most frequent of some categories, `own` before all.
    pub fn new<'a>(own: Option<&'a str>, all: impl Iterator<Item = &'a str>) -> Self {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        all.for_each(|category| *counts.entry(category).or_default() += 1);
        if let Some(own) = own {
            counts.insert(own, usize::MAX);
        }
        let mut sorted: Vec<(&str, usize)> = counts.into_iter().collect();
        sorted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let has_others = sorted.len() > COLOURS;
        sorted.truncate(COLOURS);
        Self { known: sorted.into_iter().map(|(name, _)| name.to_owned()).collect(), has_others }
    }

    /// The class of a category's colour.
    pub fn class(&self, category: Option<&str>) -> String {
        let place = category.and_then(|name| self.known.iter().position(|known| known == name));
        place.map_or_else(|| "none".into(), |place| format!("c{place}"))
    }

    /// Which colour is which category.
    pub fn legend(&self, what: &str) -> Markup {
        html! {
            p.legend {
                (what) ": "
                @for (place, name) in self.known.iter().enumerate() {
                    span { span class={ "swatch c" (place) } {} (name) } " "
                }
                @if self.has_others { span { span.swatch.none {} "others" } }
            }
        }
    }
}

/// One event of a history.
#[derive(Debug)]
pub struct Mark {
    /// The channel or product.
    pub id: String,
    /// Seconds before the request.
    pub age_s: f32,
    /// Class of its colour.
    pub colour: String,
    /// Share of the consistent intent.
    pub intent: Option<f32>,
    /// What it was.
    pub words: String,
}

/// What a request looked at in a history: the name, a weight for each of the newest events.
pub type Looks<'a> = (&'a str, &'a [f32]);

const ROW: usize = 46;
const BAR: usize = 24;
/// Pixels of an even share of the attention.
const EVEN: f32 = 4.0;
/// Pixels of four times that, and of more.
const WIDEST: f32 = 16.0;

/// Up to where a tick has room beside that of now, percent.
const BEFORE_NOW: f32 = 88.0;

/// The oldest age on the axis of some lanes, seconds.
pub fn oldest(lanes: &[&[Mark]]) -> f32 {
    let ages = lanes.iter().flat_map(|lane| lane.iter()).map(|mark| mark.age_s);
    ages.fold(3_600.0, f32::max)
}

/// Where an age stands, percent of the width, now at the right: by its cube root, which gives minutes, days and weeks some room each.
fn place(age_s: f32, oldest_s: f32) -> f32 {
    97.0 - 94.0 * (age_s.max(0.0) / oldest_s).cbrt()
}

/// A lane: a row of bars for each kind of attention, or one of plain bars, and a row of points for intents.
pub fn lane(title: &str, marks: &[Mark], looks: &[Looks<'_>], oldest_s: f32) -> Markup {
    if marks.is_empty() {
        return html! { figure.lane { figcaption { (title) } p.note { "no event" } } };
    }
    let x = |age_s: f32| format!("{:.2}%", place(age_s, oldest_s));
    let has_intents = marks.iter().any(|mark| mark.intent.is_some());
    let bars = looks.len().max(1);
    let rows = bars + usize::from(has_intents);
    let height = rows * ROW + 18;
    let top = |row: usize| row * ROW + 16;
    let plain = [("", [].as_slice())];
    let looks = if looks.is_empty() { plain.as_slice() } else { looks };
    let again = repeats(marks);
    let repeated = again.iter().filter(|is_repeat| **is_repeat).count();
    html! { figure.lane {
        figcaption {
            (title) ": " (marks.len()) " events"
            @if repeated > 0 { ", " (repeated) " repeated (ring)" }
        }
        svg width="100%" height=(height) role="img" aria-label=(title) {
            @for (row, (kind, weights)) in looks.iter().enumerate() {
                @let sum: f32 = weights.iter().map(|weight| weight.max(0.0)).sum();
                @let even = (sum / weights.len().max(1) as f32).max(f32::MIN_POSITIVE);
                text.label x="0" y=(top(row) - 4) { (kind.replace('_', " ")) }
                line.base x1="0" x2="100%" y1=(top(row) + BAR) y2=(top(row) + BAR) {}
                // A model may take in the newest events alone.
                @let unseen = if weights.is_empty() { 0 } else { marks.len().saturating_sub(weights.len()) };
                @for (i, mark) in marks.iter().enumerate() {
                    @let weight = i.checked_sub(unseen).and_then(|i| weights.get(i)).copied();
                    @let of_none = if weights.is_empty() { EVEN } else { 1.0 };
                    @let width = weight.map_or(of_none, |weight| (EVEN * weight / even).clamp(1.0, WIDEST));
                    line class={ "bar " (if i < unseen { "none" } else { &mark.colour }) } x1=(x(mark.age_s)) x2=(x(mark.age_s)) y1=(top(row)) y2=(top(row) + BAR)
                        stroke-width=(format!("{width:.1}")) {
                        title { (words(mark, weight)) }
                    }
                }
            }
            @for (mark, _) in marks.iter().zip(&again).filter(|(_, is_repeat)| **is_repeat) {
                circle.again cx=(x(mark.age_s)) cy=(top(0) + BAR + 5) r="2.5" {}
            }
            @if has_intents {
                @let top = top(bars);
                text.label x="0" y=(top - 4) { "intent: consistent above, specific below" }
                line.base x1="0" x2="100%" y1=(top + BAR / 2) y2=(top + BAR / 2) {}
                @for mark in marks { @if let Some(intent) = mark.intent {
                    circle class={ "point " (mark.colour) } cx=(x(mark.age_s)) cy=(format!("{:.1}", top as f32 + BAR as f32 * (1.0 - intent))) r="3.5" {
                        title { (words(mark, None)) }
                    }
                } }
            }
            @for (seconds, name) in TICKS { @if seconds <= oldest_s && place(seconds, oldest_s) < BEFORE_NOW {
                line.tick x1=(x(seconds)) x2=(x(seconds)) y1="0" y2=(height - 14) {}
                text.tick x=(x(seconds)) y=(height - 2) text-anchor="middle" { (name) }
            } }
            text.tick x="100%" y=(height - 2) text-anchor="end" { "now" }
        }
    } }
}

/// Whether the channel or product of a mark stands earlier in the lane.
fn repeats(marks: &[Mark]) -> Vec<bool> {
    let mut seen = HashSet::new();
    marks.iter().map(|mark| !seen.insert(mark.id.as_str())).collect()
}

const TICKS: [(f32, &str); 6] = [
    (600.0, "10 min"),
    (3_600.0, "1 h"),
    (21_600.0, "6 h"),
    (86_400.0, "1 d"),
    (604_800.0, "7 d"),
    (2_592_000.0, "30 d"),
];

fn words(mark: &Mark, weight: Option<f32>) -> String {
    let mut words = format!("{} before\n{}", age(f64::from(mark.age_s)), mark.words);
    if let Some(weight) = weight {
        words = format!("{words}\nattention: {weight:.4}");
    }
    if let Some(intent) = mark.intent {
        words = format!("{words}\nconsistent intent: {intent:.3}");
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(age_s: f32, intent: Option<f32>) -> Mark {
        let (id, colour) = ("5".into(), "c0".into());
        Mark { id, age_s, colour, intent, words: "channel_id = 5".into() }
    }

    #[test]
    fn now_is_right_and_the_oldest_left() {
        assert_eq!(place(0.0, 7_200.0), 97.0);
        assert!((place(7_200.0, 7_200.0) - 3.0).abs() < 1e-4);
        assert!(place(60.0, 7_200.0) > place(600.0, 7_200.0));
        let lanes = [mark(10.0, None), mark(90_000.0, None)];
        assert_eq!(oldest(&[&lanes, &[]]), 90_000.0);
        assert_eq!(oldest(&[&[], &[]]), 3_600.0);
    }

    #[test]
    fn attention_is_width() {
        let marks = [mark(30.0, Some(0.25)), mark(60.0, Some(0.75))];
        let lane = lane("Watches", &marks, &[("attention", &[0.2, 0.8])], 3_600.0).into_string();
        assert!(lane.contains("stroke-width=\"6.4\""), "{lane}");
        assert!(lane.contains("stroke-width=\"1.6\""), "{lane}");
        assert_eq!(lane.matches("class=\"point").count(), 2);
        assert_eq!(lane.matches("class=\"again").count(), 1, "the second of one channel");
        assert!(lane.contains("attention: 0.8000"));
        let plain = super::lane("Watches", &[mark(30.0, None)], &[], 3_600.0).into_string();
        assert!(plain.contains("stroke-width=\"4.0\"") && !plain.contains("class=\"point"));
    }

    #[test]
    fn the_most_frequent_categories_have_colours() {
        let palette = Palette::new(Some("9"), ["7", "3", "7"].into_iter());
        let class = |category| palette.class(Some(category));
        assert_eq!(["9", "7", "3", "5"].map(class), ["c0", "c1", "c2", "none"]);
        assert_eq!(palette.class(None), "none");
        assert!(!palette.legend("Category").into_string().contains("others"));
        let many: Vec<String> = (10..20).map(|n| n.to_string()).collect();
        let palette = Palette::new(None, many.iter().map(String::as_str));
        assert_eq!([palette.class(Some("17")), palette.class(Some("18"))], ["c7", "none"]);
        assert!(palette.legend("Category").into_string().contains("others"));
    }
}
