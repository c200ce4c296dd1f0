//! A case study as one HTML page: what both models put first for the same users, what these did, and what the models looked at, both
//! histories as lanes over time. Opens offline, reads on a phone and in the dark.

use std::collections::BTreeSet;

use maud::{Markup, html};

use crate::case_study::{Case, CaseStudy, OfModel, PastEvent, ShownChannel};
use crate::html::document;
use crate::lanes::{self, Looks, Mark, Palette, lane, oldest};
use crate::written::{age, moment, number, percent};

const STYLE: &str = "\
main { overflow-wrap: anywhere; }
h3 { font-size: 1rem; margin: .4rem 0; }
.models { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 28rem), 1fr)); gap: .4rem 2rem; }
.models > * { min-width: 0; }
.case { border-top: 2px solid var(--line); margin-top: 2.4rem; } .case h2 { margin-top: 1rem; }
.tag { font-size: .75rem; font-weight: 400; border: 1px solid var(--line); border-radius: 1rem; padding: .1rem .6rem; white-space: nowrap; }
ol.top { list-style: none; padding: 0; margin: .4rem 0 .8rem; font-size: .9rem; opacity: 1; }
ol.top li { display: grid; grid-template-columns: 1.4rem minmax(0, 1fr) auto; gap: 0 .5rem; padding: .3rem .4rem; border-bottom: 1px solid var(--line); }
ol.top .under { grid-column: 2 / -1; opacity: 1; color: var(--faint); }
ol.top .p { font-variant-numeric: tabular-nums; color: var(--faint); }
ol.top .own { font-weight: 600; }
.yes { color: var(--watched); font-weight: 600; } .no { color: var(--faint); }
nav ul { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; padding: 0; list-style: none; }
.lane { margin: .6rem 0; } .lane figcaption { display: block; }
:root { --watched: #1d6b3a; } @media (prefers-color-scheme: dark) { :root { --watched: #7fd6a0; } }
";

/// Domains as explanations call them, and the titles of their lanes.
const DOMAINS: [(&str, &str); 2] = [("live", "Channels watched"), ("product", "Products clicked")];

/// What the distance is, for people.
pub const DISTANCE: &str = "the distance of two rankings is one minus their average overlap, which is the mean over the first place, the first two \
                            and so on of the share of channels that both have among these: 0 if they are alike, 1 if they have nothing in common";

/// Why a user is looked at, for people.
fn chosen(case: &Case) -> &'static str {
    if case.chosen_by == "distance" { "differs most" } else { "by chance" }
}

/// Which users are looked at.
pub fn rule(study: &CaseStudy) -> String {
    let count = |by: &str| study.cases.iter().filter(|case| case.chosen_by == by).count();
    let [first, second] = study.models.each_ref().map(|model| model.name.as_str());
    format!(
        "{} of {} users of the {} split: the {} for whom the first {} of {first} and {second} differ most, and {} of the others by chance (seed {}). A user stands \
         for the last request that can be compared.",
        study.cases.len(),
        study.users,
        study.split,
        count("distance"),
        study.top,
        count("chance"),
        study.seed
    )
}

/// How far the rankings of all users are apart.
pub fn distances(study: &CaseStudy) -> String {
    format!(
        "Mean distance over all {} users {:.3}; {} have the same first {} in the same order ({DISTANCE}).",
        study.users,
        study.mean_distance,
        percent(study.alike),
        study.top
    )
}

/// The whole page.
pub fn page(study: &CaseStudy) -> String {
    let names = study.models.each_ref().map(|model| model.name.as_str());
    let title = format!("Case study: {} and {}", names[0], names[1]);
    let body = html! { main {
        h1 { (title) }
        p { (rule(study)) }
        p { (distances(study)) }
        nav aria-label="Users" { ul { @for (i, case) in study.cases.iter().enumerate() {
            li { a href=(format!("#case-{i}")) { "User " (case.user_id) } " " span.tag { (chosen(case)) ", " (format!("{:.2}", case.distance)) } }
        } } }
        details { summary { "How to read it" } ul {
            li { "Each mark of a lane is something that the user had done, older things further left on an axis by the cube root of their age, coloured by category." }
            li { "The wider a mark, the more of the model's attention it got, on average over the channels that the model put first: four pixels are an even share, sixteen four times that or more. Attention says what was weighed, not why." }
            li { "A ring stands below a repeated mark: the user had watched that channel, or clicked on that product, before." }
            li { "Intents, where the model has them: a point in the upper half is an event that the model takes for an interest of both domains (Eq. 5), one in the lower half for one of its own domain." }
            li { "Users whose rankings differ most are no sample: they say where the models differ, not how often, nor which is better. Those by chance are usual users." }
        } }
        @for (i, case) in study.cases.iter().enumerate() { (section(study, i, case)) }
        h2 { "Models and data" }
        ul {
            @for model in &study.models { li { (model.name) ": " (model.model) ", run " code { (model.run) } ", " code { (model.checkpoint) } } }
            @for (reason, count) in &study.left_out { li { (count) " " (reason) " were left out" } }
        }
    } };
    document(&title, &format!("{}{STYLE}", lanes::STYLE), &body)
}

fn section(study: &CaseStudy, i: usize, case: &Case) -> Markup {
    let watched = case.candidates.iter().filter(|of| of.watched == Some(true)).count();
    let is_labelled = case.candidates.iter().any(|of| of.watched.is_some());
    let palette = palette(study, case);
    html! { section.case id=(format!("case-{i}")) {
        h2 { "User " (case.user_id) " " span.tag { (chosen(case)) ", distance " (format!("{:.2}", case.distance)) } }
        p {
            "Request " code { (case.request_id) } " on " (moment(case.at)) " showed " (case.candidates.len()) " channels"
            @if is_labelled { "; the user watched " (watched) } "."
        }
        (repeats(case))
        @if case.candidates.iter().any(|of| of.of.category.is_some()) { (palette.legend("Category")) }
        div.models { @for model in 0..2 { div { (of_model(study, case, model, &palette)) } } }
        (elsewhere(study, case))
    } }
}

/// What stands most often is what a colour is for: histories, and what is put first.
fn palette(study: &CaseStudy, case: &Case) -> Palette {
    let events = case.histories.values().flatten().map(|event| &event.of);
    let first = case.by_model.iter().flat_map(|of| of.ranking.iter().take(study.top));
    let all = events.chain(first.map(|place| &case.candidates[*place].of));
    Palette::new(None, all.filter_map(|of| of.category_title()))
}

fn repeats(case: &Case) -> Markup {
    let watches = case.histories.get("live").map_or(&[][..], Vec::as_slice);
    let channels: BTreeSet<&str> = watches.iter().map(|event| event.of.id.as_str()).collect();
    let repeated = watches.iter().filter(|event| event.is_repeat).count();
    html! { @if repeated > 0 { p {
        (repeated) " of " (watches.len()) " watches in the history are of a channel that was watched before; they are of " (channels.len()) " channels."
    } } }
}

/// What a model put first, and what it looked at.
fn of_model(study: &CaseStudy, case: &Case, model: usize, palette: &Palette) -> Markup {
    let (of, other) = (&case.by_model[model], &case.by_model[1 - model]);
    let other_name = &study.models[1 - model].name;
    let marks = DOMAINS.map(|(domain, _)| marks(case, of, domain, palette));
    let oldest_s = oldest(&[&marks[0], &marks[1]]);
    html! {
        h3 { "First " (study.top) " of " (study.models[model].name) }
        ol.top { @for (place, candidate) in of.ranking.iter().take(study.top).enumerate() {
            @let shown = &case.candidates[*candidate];
            @let there = other.place_of(*candidate).filter(|place| *place < study.top);
            li {
                span { (place + 1) }
                span.own[there.is_none()] {
                    span class={ "swatch " (palette.class(shown.of.category_title())) } {}
                    (shown.of.title())
                    @if let Some(category) = shown.of.category_title() { ", " (category) }
                }
                span.p { (number(f64::from(of.probabilities[*candidate]))) }
                span.under { (outcome(study, shown)) "; " (before(shown)) "; " (at_the_other(there, other.place_of(*candidate), other_name)) }
            }
        } }
        @for ((domain, title), marks) in DOMAINS.iter().zip(&marks) {
            @let looks: Vec<Looks<'_>> = of.attention.get(domain).into_iter().flatten().map(|(kind, weights)| (kind.as_str(), weights.as_slice())).collect();
            (lane(title, marks, &looks, oldest_s))
        }
    }
}

/// What the user did with a channel.
fn outcome(study: &CaseStudy, shown: &ShownChannel) -> Markup {
    let follows = study.tasks.iter().filter_map(|task| {
        let value = *shown.outcomes.get(&task.name)?;
        let name = task.name.replace('_', " ");
        match (task.is_duration, value > 0.0) {
            (true, _) => Some(format!("{name} {}", age(f64::from(value)))),
            (false, true) => Some(name),
            (false, false) => None,
        }
    });
    let follows: Vec<String> = follows.collect();
    html! { @match shown.watched {
        Some(true) => { span.yes { "watched" } @if !follows.is_empty() { " (" (follows.join(", ")) ")" } }
        Some(false) => span.no { "not watched" },
        None => span.no { "nobody knows whether it was watched" },
    } }
}

fn before(shown: &ShownChannel) -> String {
    match shown.watched_before {
        0 => "not in the history".into(),
        1 => "watched once before".into(),
        times => format!("watched {times} times before"),
    }
}

fn at_the_other(first: Option<usize>, place: Option<usize>, other: &str) -> String {
    match (first, place) {
        (Some(place), _) => format!("{other} has it at place {}", place + 1),
        (None, Some(place)) => format!("{other} only at place {}", place + 1),
        (None, None) => format!("not scored by {other}"),
    }
}

/// What was watched and neither put first.
fn elsewhere(study: &CaseStudy, case: &Case) -> Markup {
    let is_first = |candidate: usize| {
        case.by_model.iter().any(|of| of.place_of(candidate).is_some_and(|at| at < study.top))
    };
    let missed = case.candidates.iter().enumerate();
    let missed: Vec<(usize, &ShownChannel)> =
        missed.filter(|(i, of)| of.watched == Some(true) && !is_first(*i)).collect();
    html! { @if !missed.is_empty() { p {
        "Watched, and among the first " (study.top) " of neither: "
        @for (i, (candidate, shown)) in missed.iter().enumerate() {
            (if i > 0 { ", " } else { "" }) (shown.of.title()) " ("
            @for (model, of) in case.by_model.iter().enumerate() {
                (if model > 0 { ", " } else { "" }) (study.models[model].name) " " (of.place_of(*candidate).map_or(0, |at| at + 1))
            }
            ")"
        }
        "."
    } } }
}

/// The events of a domain as marks, with what a model takes them for.
fn marks(case: &Case, of: &OfModel, domain: &str, palette: &Palette) -> Vec<Mark> {
    let events = case.histories.get(domain).map_or(&[][..], Vec::as_slice);
    let intents = of.intents.get(domain).map_or(&[][..], Vec::as_slice);
    let unseen = events.len().saturating_sub(intents.len());
    let mark = |(i, event): (usize, &PastEvent)| Mark {
        id: event.of.id.clone(),
        age_s: event.age_s,
        colour: palette.class(event.of.category_title()),
        intent: i.checked_sub(unseen).and_then(|i| intents.get(i)).copied(),
        words: words(event),
    };
    events.iter().enumerate().map(mark).collect()
}

fn words(event: &PastEvent) -> String {
    let mut words = event.of.title().to_owned();
    if let Some(category) = event.of.category_title() {
        words = format!("{words}, {category}");
    }
    let fields = event.fields.iter().map(|(name, value)| format!("\n{name} = {value}"));
    words + &fields.collect::<String>()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::case_study::{Entity, StudiedModel, StudiedTask};

    fn entity(id: &str, category: &str) -> Entity {
        let category_name = (category == "7").then(|| "coats <warm>".to_owned());
        Entity { id: id.into(), name: None, category: Some(category.into()), category_name }
    }

    fn study() -> CaseStudy {
        let event = |id: &str, age_s, is_repeat| PastEvent {
            of: entity(id, "7"),
            age_s,
            is_repeat,
            fields: BTreeMap::new(),
        };
        let shown = |id: &str, watched| ShownChannel {
            of: entity(id, "8"),
            watched: Some(watched),
            outcomes: [("stay".into(), 42.0)].into(),
            watched_before: usize::from(id == "1"),
        };
        let live = "live";
        let of = |ranking: Vec<usize>, intents: &[f32]| OfModel {
            ranking,
            probabilities: vec![0.5, 0.25, 0.125],
            intents: [(live, intents.to_vec())].into(),
            attention: [(live, [("attention".into(), vec![0.25, 0.75])].into())].into(),
        };
        let model = |name: &str| StudiedModel {
            name: name.into(),
            model: name.into(),
            run: format!("runs/{name}"),
            checkpoint: "checkpoints/3".into(),
        };
        CaseStudy {
            split: "test".into(),
            top: 2,
            seed: 1,
            models: [model("elive"), model("eta")],
            users: 10,
            mean_distance: 0.25,
            alike: 0.4,
            left_out: [("requests with no more than 2 channels".into(), 3)].into(),
            tasks: vec![StudiedTask { name: "stay".into(), is_duration: true }],
            cases: vec![Case {
                chosen_by: "distance",
                distance: 0.75,
                user_id: "u<1>".into(),
                request_id: "5".into(),
                at: 0,
                histories: [(live, vec![event("1", 90.0, false), event("1", 30.0, true)])].into(),
                candidates: vec![shown("1", false), shown("2", false), shown("3", true)],
                by_model: [of(vec![0, 1, 2], &[0.9, 0.1]), of(vec![1, 0, 2], &[])],
            }],
        }
    }

    #[test]
    fn a_page_shows_both_models_and_what_was_done() {
        let page = page(&study());
        for text in [
            "Case study: elive and eta",
            "the 1 for whom the first 2 of elive and eta differ most",
            "User u&lt;1&gt;",
            "coats &lt;warm&gt;",
            "1 of 2 watches in the history are of a channel that was watched before; they are of 1 channels.",
            "watched once before; eta has it at place 2",
            "Watched, and among the first 2 of neither: 3 (elive 3, eta 3).",
            "3 requests with no more than 2 channels were left out",
        ] {
            assert!(page.contains(text), "{text}: {page}");
        }
        // Two lanes of live events, of which one has intents; nothing of elsewhere.
        assert_eq!(page.matches("class=\"bar ").count(), 4);
        assert_eq!(page.matches("class=\"point ").count(), 2);
        assert_eq!(page.matches("class=\"again\"").count(), 2);
        assert!(!page.contains("src=") && !page.contains("http"), "{page}");
    }
}
