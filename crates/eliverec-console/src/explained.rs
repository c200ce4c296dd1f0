//! One request explained: who asked, what was answered and by which bundle, what found each channel, and what the model looked at for
//! one of them: both histories as lanes over time, coloured by category, attention as width (the paper's Fig. 8).

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use eliverec_http::answer::{Explanation, GivenBy};
use eliverec_run::explained::{Candidate, Event};
use maud::{Markup, html};
use serde::Deserialize;

use crate::access::Console;
use crate::given::Asked;
use crate::layout::{self, BUNDLES, EXPERIMENTS, REQUESTS, pairs, scrolling};
use crate::visitor::Visitor;
use eliverec_report::lanes::{Looks, Mark, Palette, lane, oldest};
use eliverec_report::written::{age, moment, number, percent};

/// Which request, and which of its channels is looked at: the first if none is named.
#[derive(Debug, Deserialize)]
pub(crate) struct Which {
    id: String,
    channel: Option<String>,
}

/// Channels in the table that were scored and not answered.
const MORE: usize = 20;

/// Domains as explanations call them: the history's title, and what one event of it is.
const DOMAINS: [(&str, &str, &str); 2] = [
    ("live", "Channels watched", "a watch of channel"),
    ("product", "Products clicked", "a click on product"),
];

/// The page.
pub(crate) async fn page(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Asked(which): Asked<Which>,
) -> Response {
    let explanation = match console.service.explain(which.id.trim(), None).await {
        Ok(explanation) => explanation,
        Err(problem) => return layout::refused(Some(&visitor), &problem),
    };
    let title = format!("Request {}", which.id.trim());
    let categories = console.service.engine.category_fields();
    let view = View::new(&explanation, categories.as_ref());
    let body = view.body(which.id.trim(), which.channel.as_deref());
    layout::page(Some(&visitor), &REQUESTS, &title, body).into_response()
}

/// The id of a channel in its fields.
fn channel_of(fields: &BTreeMap<String, String>) -> &str {
    fields.get("channel_id").map_or("", String::as_str)
}

struct View<'a> {
    explanation: &'a Explanation,
    /// The channels that were scored, the likeliest watch first.
    ranked: Vec<&'a Candidate>,
    /// The fields of a channel and of a product that say what they are about.
    categories: Option<&'a [String; 2]>,
}

impl<'a> View<'a> {
    fn new(explanation: &'a Explanation, categories: Option<&'a [String; 2]>) -> Self {
        let mut ranked: Vec<&Candidate> = explanation.candidates.iter().collect();
        ranked.sort_by(|a, b| b.probability.total_cmp(&a.probability));
        // What was answered stands first, though the general path may round otherwise.
        ranked.sort_by_key(|of| !explanation.sources.contains_key(channel_of(&of.fields)));
        Self { explanation, ranked, categories }
    }

    fn sources(&self, channel: &str) -> Option<&'a [GivenBy]> {
        self.explanation.sources.get(channel).map(Vec::as_slice)
    }

    /// The category of a channel (0) or product (1).
    fn category<'f>(&self, group: usize, fields: &'f BTreeMap<String, String>) -> Option<&'f str> {
        fields.get(&self.categories?[group]).map(String::as_str)
    }

    fn body(&self, id: &str, channel: Option<&str>) -> Markup {
        let Explanation { model, user_id, at, log_position, sources, buckets, .. } =
            self.explanation;
        let place = channel.and_then(|channel| {
            self.ranked.iter().position(|of| channel_of(&of.fields) == channel)
        });
        let place = place.unwrap_or(0);
        html! {
            p {
                "Bundle " a href=(BUNDLES.path) { code { (model) } } " answered user "
                a href=(format!("/console/features?user={user_id}")) { (user_id) } " on " (moment(*at)) " with "
                (sources.len()) " of " (self.ranked.len()) " channels that it scored."
                @if !buckets.is_empty() {
                    " The user is in "
                    @for (i, (layer, bucket)) in buckets.iter().enumerate() {
                        (if i > 0 { " and in " } else { "" }) "bucket " a href=(EXPERIMENTS.path) { (bucket) } " of layer " (layer)
                    }
                    "."
                }
            }
            @if let Some(chosen) = self.ranked.get(place) {
                // The channel's own category has the first colour.
                @let own = self.category(0, &chosen.fields);
                @let palette = palette(own, &self.explanation.histories, self.categories);
                section #why { (self.why(chosen, place)) }
                section #looks { (self.looks(chosen, &palette)) }
                h2 { "All channels" }
                (scrolling("Channels", self.table(id, place, &palette)))
                (self.left_out())
                details { summary { "What was known of this channel" }
                    (pairs(chosen.fields.iter().map(|(name, value)| (name.as_str(), value.clone())))) }
            } @else { p { "No channel was live, so there was nothing to score." } }
            details { summary { "What was known of the user and the moment" }
                (pairs(self.explanation.user.iter().map(|(name, value)| (name.as_str(), value.clone())))) }
            p.note {
                "Computed again by the model's own forward from the features that the answer was computed from; the largest difference of a probability is "
                (number(f64::from(self.explanation.largest_difference))) ". The request stands after record " (log_position)
                " of the log. " code { "GET /v1/explain" } " has all of this as JSON."
            }
        }
    }

    /// In sentences.
    fn why(&self, chosen: &Candidate, place: usize) -> Markup {
        let channel = channel_of(&chosen.fields);
        let sources = self.sources(channel);
        html! {
            h2 { "Why channel " (channel) "?" }
            ul {
                li {
                    "It stands at place " (place + 1) " of " (self.ranked.len()) ": its probability of a watch is "
                    strong { (number(f64::from(chosen.probability))) } "."
                }
                li { @match sources {
                    None => "It was scored and is not in the answer, which had room for fewer.",
                    Some([]) => "The caller named it.",
                    Some(given) => { "Found by " (found_by(given)) "." }
                } }
                @for (domain, _, what) in DOMAINS {
                    @if let Some((event, share)) = self.most_looked_at(chosen, domain) {
                        li {
                            "Of the " (domain) " history the model looked most at " (what) " " (id_of(event)) ", "
                            (age(f64::from(event.age_s))) " before (" (percent(f64::from(share))) " of its attention there; an even share is " (percent(1.0 / self.events(domain).len().max(1) as f64)) ")"
                            @if self.is_same_category(chosen, domain, event) { ", of the same category" } "."
                        }
                    }
                }
            }
        }
    }

    /// The event of a history that got the largest share of the attention of a kind, and that share.
    fn most_looked_at(&self, chosen: &Candidate, domain: &str) -> Option<(&'a Event, f32)> {
        let kinds = chosen.attention.get(domain)?.values();
        let shares = kinds.flat_map(|weights| {
            let sum: f32 = weights.iter().map(|weight| weight.max(0.0)).sum();
            weights.iter().enumerate().map(move |(i, weight)| (i, weight / sum))
        });
        let (i, share) = shares.filter(|of| of.1.is_finite()).max_by(|a, b| a.1.total_cmp(&b.1))?;
        Some((self.events(domain).get(i)?, share))
    }

    fn events(&self, domain: &str) -> &'a [Event] {
        self.explanation.histories.get(domain).map_or(&[], Vec::as_slice)
    }

    fn is_same_category(&self, chosen: &Candidate, domain: &str, event: &Event) -> bool {
        let of_event = self.category(usize::from(domain == "product"), &event.fields);
        of_event.is_some() && self.category(0, &chosen.fields) == of_event
    }

    /// Both histories, with what the model looked at for a channel.
    fn looks(&self, chosen: &Candidate, palette: &Palette) -> Markup {
        let marks = marks(&self.explanation.histories, palette, self.categories);
        let oldest_s = oldest(&[&marks[0], &marks[1]]);
        html! {
            h2 { "What the model looked at" }
            @if self.categories.is_some() { (palette.legend("Category, the channel's own first")) }
            @for ((domain, title, _), marks) in DOMAINS.iter().zip(&marks) {
                @let looks: Vec<Looks<'_>> = chosen.attention.get(domain).into_iter().flatten()
                    .map(|(kind, weights)| (kind.as_str(), weights.as_slice())).collect();
                (lane(title, marks, &looks, oldest_s))
            }
            p.note {
                "Each mark is an event, older ones further left; the wider it is, the more of the attention it got for this channel: four pixels are an even share, sixteen four times that or more."
            }
        }
    }

    fn table(&self, id: &str, place: usize, palette: &Palette) -> Markup {
        let answered = self.explanation.sources.len();
        let shown = self.ranked.iter().take(answered + MORE).enumerate();
        html! { table {
            thead { tr { th { "place" } th { "channel" } th { "p(watch)" } th.text { "found by" } th { "answered" } } }
            tbody { @for (i, of) in shown {
                @let channel = channel_of(&of.fields);
                @let sources = self.sources(channel);
                tr.chosen[i == place] {
                    td { (i + 1) }
                    td {
                        span class={ "swatch " (palette.class(self.category(0, &of.fields))) } {}
                        a href=(address(id, channel)) { (channel) }
                    }
                    td { (number(f64::from(of.probability))) }
                    td.text { @if let Some(given) = sources { (found_by(given)) } }
                    td { (if sources.is_some() { "yes" } else { "no" }) }
                }
            } }
        } }
    }

    /// How many channels the table has no place for.
    fn left_out(&self) -> Markup {
        let most = self.explanation.sources.len() + MORE;
        let more = self.ranked.len().saturating_sub(most);
        html! { @if more > 0 { p.note { (more) " more were scored and are not in the answer." } } }
    }
}

/// The address of a channel of a request.
fn address(id: &str, channel: &str) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("id", id).append_pair("channel", channel);
    format!("/console/request?{}", query.finish())
}

fn found_by(given: &[GivenBy]) -> String {
    let one = |of: &GivenBy| match of.propensity {
        Some(p) => format!("{} (drawn with probability {})", of.source, number(p)),
        None => format!("{} (place {})", of.source, of.rank + 1),
    };
    given.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// The id that an event is about.
fn id_of(event: &Event) -> &str {
    let mut ids = ["channel_id", "product_id"].into_iter();
    ids.find_map(|name| event.fields.get(name)).map_or("", String::as_str)
}

fn lines(fields: &BTreeMap<String, String>) -> String {
    fields.iter().map(|(name, value)| format!("{name} = {value}")).collect::<Vec<_>>().join("\n")
}

/// By domain.
type Histories = BTreeMap<&'static str, Vec<Event>>;

/// The field of a domain's events that says what they are about.
fn category_field<'a>(domain: &str, categories: Option<&'a [String; 2]>) -> Option<&'a String> {
    categories.map(|names| &names[usize::from(domain == "product")])
}

/// The colours of what the events of both histories are about.
fn palette(own: Option<&str>, histories: &Histories, categories: Option<&[String; 2]>) -> Palette {
    let all = histories.iter().flat_map(|(domain, events)| {
        let field = category_field(domain, categories);
        events.iter().filter_map(move |event| event.fields.get(field?).map(String::as_str))
    });
    Palette::new(own, all)
}

/// The events of both histories as marks of their lanes.
fn marks(
    histories: &Histories,
    palette: &Palette,
    categories: Option<&[String; 2]>,
) -> [Vec<Mark>; 2] {
    DOMAINS.map(|(domain, ..)| {
        let field = category_field(domain, categories);
        let mark = |event: &Event| Mark {
            id: id_of(event).to_owned(),
            age_s: event.age_s,
            colour: palette
                .class(field.and_then(|field| event.fields.get(field)).map(String::as_str)),
            intent: event.intent,
            words: lines(&event.fields),
        };
        histories.get(domain).into_iter().flatten().map(mark).collect()
    })
}

/// A user's histories now, as lanes without attention.
pub(crate) fn histories(histories: &Histories, categories: Option<&[String; 2]>) -> Markup {
    let palette = palette(None, histories, categories);
    let marks = marks(histories, &palette, categories);
    let oldest_s = oldest(&[&marks[0], &marks[1]]);
    html! {
        @if categories.is_some() && !marks.iter().all(Vec::is_empty) { (palette.legend("Category")) }
        @for ((_, title, _), marks) in DOMAINS.iter().zip(&marks) { (lane(title, marks, &[], oldest_s)) }
    }
}
