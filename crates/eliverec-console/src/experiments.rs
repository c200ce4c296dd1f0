//! Experiments: layers with their buckets and shares, who is in which bucket, what users of the buckets do, and other experiments in
//! their place.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use eliverec_core::schema::Group;
use eliverec_experiments::{Bucket, Layer, slot};
use eliverec_http::{Problem, RunningExperiments};
use eliverec_report::written::percent;
use maud::{Markup, html};
use serde::Deserialize;

use crate::access::Console;
use crate::given::{Asked, Sent};
use crate::layout::{self, BUNDLES, EXPERIMENTS, scrolling};
use crate::reported::{Standing, reported};
use crate::visitor::Visitor;

/// Whose buckets are looked at, and what has just been done.
#[derive(Debug, Deserialize)]
pub(crate) struct Whose {
    #[serde(default)]
    user: String,
    #[serde(default)]
    done: bool,
}

/// The page.
pub(crate) async fn page(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Asked(whose): Asked<Whose>,
) -> Response {
    shown(&console, &visitor, &whose, None).await
}

async fn shown(
    console: &Arc<Console>,
    visitor: &Visitor,
    whose: &Whose,
    refused: Option<&Problem>,
) -> Response {
    let running = console.service.engine.experiments();
    let user = whose.user.trim();
    let subject = if user.is_empty() {
        None
    } else {
        match console.service.id_of(Group::User, user) {
            Ok(id) => Some(id.subject()),
            Err(problem) => return layout::refused(Some(visitor), &problem),
        }
    };
    let standings = match standings(console, &running).await {
        Ok(standings) => standings,
        Err(problem) => return layout::refused(Some(visitor), &problem),
    };
    let view = View { console, running: &running };
    let is_begun = standings.iter().any(|standing| standing.is_begun);
    let body = html! {
        @if whose.done { p.done role="status" { "The file was read and is in service: " (running.layers.len()) " layers." } }
        @if let Some(problem) = refused {
            p.refused role="alert" { (problem.detail) ". The experiments before go on." }
        }
        // Brought up to date by a part of the same page, while one is made.
        section #reports hx-get=[is_begun.then_some(EXPERIMENTS.path)] hx-select="#reports" hx-trigger=[is_begun.then_some("every 2s")] hx-swap="outerHTML" {
            @for (layer, standing) in running.layers.iter().zip(&standings) {
                h2 { "What users do in layer " (layer.name) }
                (reported(&layer.name, standing, console.reports.is_some()))
            }
        }
        @if running.layers.is_empty() {
            p { "No experiment runs: every user gets what the service does. " code { "eliverec serve --experiments FILE" } " begins one." }
        } @else { (view.layers(whose, subject.as_deref())) }
        h2 { "Other experiments" }
        @if visitor.may_change { (form(&running)) } @else {
            p { "A token with the scope " code { "admin" } " may put other experiments or shares in service." }
        }
    };
    let page = layout::page(Some(visitor), &EXPERIMENTS, EXPERIMENTS.title, body);
    match refused {
        Some(problem) => (problem.code.status(), page).into_response(),
        None => page.into_response(),
    }
}

/// What there is of the report of each layer.
async fn standings(
    console: &Arc<Console>,
    running: &RunningExperiments,
) -> Result<Vec<Standing>, Problem> {
    let Some(reports) = &console.reports else {
        return Ok(vec![Standing::default(); running.layers.len()]);
    };
    let reports = Arc::clone(reports);
    let layers: Vec<String> = running.layers.iter().map(|layer| layer.name.clone()).collect();
    let look = move || layers.iter().map(|layer| reports.standing(layer)).collect();
    console.service.compute(look).await
}

struct View<'a> {
    console: &'a Console,
    running: &'a RunningExperiments,
}

impl View<'_> {
    /// All layers, and a user's buckets in them.
    fn layers(&self, whose: &Whose, subject: Option<&str>) -> Markup {
        html! {
            h2 { "Who is in which bucket" }
            p {
                "Every layer decides about every request. "
                @if let Some(file) = &self.running.file { "They are from " code { (file) } "." }
            }
            form.inline #assignment action={ (EXPERIMENTS.path) "#assignment" } {
                label { "User " input name="user" value=(whose.user) required autocomplete="off"; }
                button { "Which buckets?" }
            }
            @if let Some(subject) = subject { (self.assignment(whose.user.trim(), subject)) }
            @for layer in &self.running.layers { (self.layer(layer)) }
        }
    }

    fn assignment(&self, user: &str, subject: &str) -> Markup {
        html! { section #assigned {
            h3 { "User " (user) }
            (scrolling("Buckets of a user", html! { table {
                thead { tr { th { "layer" } th { "slot" } th { "bucket" } th { "because of" } th { "bundle" } } }
                tbody { @for layer in &self.running.layers {
                    @let bucket = layer.bucket_of(subject).map(|place| &layer.buckets[place]);
                    tr {
                        td { (layer.name) }
                        td { (slot(&layer.salt, subject)) }
                        td { (bucket.map_or("none", |of| of.name.as_str())) }
                        td { (if layer.overrides.contains_key(subject) { "an override" } else { "the slot" }) }
                        td { (self.bundle(layer, bucket)) }
                    }
                } }
            } }))
            p.note { "The slot is the first eight hexadecimal digits of the SHA-256 of SALT:" (subject) ", modulo 10,000: anybody can compute it (docs/experiments.md)." }
        } }
    }

    /// The version that answers users of a bucket; nothing of a layer that is not about bundles.
    fn bundle(&self, layer: &Layer, bucket: Option<&Bucket>) -> Markup {
        let is_of_bundles = layer.buckets.iter().any(|of| of.bundle.is_some());
        let named = bucket.and_then(|of| of.bundle.as_ref());
        let version = named.and_then(|path| self.running.bundles.get(&path.display().to_string()));
        let active = || self.console.service.engine.bundles().active().to_owned();
        html! { @match version {
            Some(version) => a href=(BUNDLES.path) { code { (version) } },
            None if is_of_bundles => { a href=(BUNDLES.path) { code { (active()) } } span.under { "the service's own" } },
            None => "–",
        } }
    }

    fn layer(&self, layer: &Layer) -> Markup {
        let answers = layer.buckets.iter().map(|bucket| {
            self.console.service.telemetry.answers_in_bucket(&layer.name, &bucket.name)
        });
        let answers: Vec<u64> = answers.collect();
        let all: u64 = answers.iter().sum();
        html! { section.layer {
            h3 { "Layer " (layer.name) @if layer.aa { " (A/A: all buckets are alike)" } }
            (shares(layer))
            (scrolling(&format!("Buckets of layer {}", layer.name), html! { table {
                thead { tr {
                    th { "bucket" } th { "share of users" } th { "slots" } th { "bundle" } th { "order" } th { "retrieval" } th { "answers" } th { "of them" }
                } }
                tbody { @for ((place, bucket), answers) in layer.buckets.iter().enumerate().zip(&answers) { tr {
                    td { span class={ "swatch c" (place % 8) } {} (bucket.name) }
                    td { (format!("{:.2} %", 100.0 * bucket.share)) }
                    td { (slots(bucket)) }
                    td { (self.bundle(layer, Some(bucket))) }
                    td { @match &bucket.utility { Some(utility) => code { (utility.to_string()) }, None => "–" } }
                    td { @match &bucket.retrieval { Some(of) => code { (retrieval(of)) }, None => "–" } }
                    td { (answers) }
                    td { (if all > 0 { percent(*answers as f64 / all as f64) } else { "–".into() }) }
                } } }
            } }))
            p.note {
                "Salt " code { (layer.salt) } ", " (layer.overrides.len()) " overrides. Answers: since the service began; active users ask more often, so their shares are not those of users. "
                "Whether users are in the buckets by their shares says the report."
            }
        } }
    }
}

/// The shares side by side, what no bucket has behind them.
fn shares(layer: &Layer) -> Markup {
    let mut from = 0.0;
    let parts = layer.buckets.iter().enumerate().map(|(place, bucket)| {
        let begins = from;
        from += bucket.share;
        (place, bucket, begins)
    });
    let parts: Vec<(usize, &Bucket, f64)> = parts.collect();
    html! {
        svg.shares width="100%" height="18" role="img" aria-label=(format!("Shares of layer {}", layer.name)) {
            rect.rest x="0" y="0" width="100%" height="18" {}
            @for (place, bucket, begins) in parts {
                rect class={ "c" (place % 8) } x=(format!("{:.2}%", 100.0 * begins)) y="0" width=(format!("{:.2}%", 100.0 * bucket.share)) height="18" {
                    title { (bucket.name) ": " (format!("{:.2} %", 100.0 * bucket.share)) }
                }
            }
        }
    }
}

/// Ranges of slots, as many as a cell has room for.
fn slots(bucket: &Bucket) -> String {
    const SHOWN: usize = 3;
    let ranges = bucket.slots.ranges();
    let more = ranges.len().saturating_sub(SHOWN);
    let shown = ranges[..ranges.len() - more].join(", ");
    match more {
        0 if shown.is_empty() => "overrides alone".into(),
        0 => shown,
        more => format!("{shown} and {more} more ranges"),
    }
}

/// What differs from the service's retrieval, in a line.
fn retrieval(of: &toml::Table) -> String {
    of.iter().map(|(key, value)| format!("{key} = {value}")).collect::<Vec<_>>().join(", ")
}

fn form(running: &RunningExperiments) -> Markup {
    html! {
        form.inline method="post" action="/console/experiments/put" {
            label { "File on the service's machine " input name="path" value=[running.file.as_ref()] required autocomplete="off"; }
            button { "Read and put in service" }
        }
        p.note {
            "The same file may be read again: " code { "eliverec ab shares FILE --set BUCKET=SHARE" } " changes shares there and moves as few users as possible. What is wrong with a file is said and changes nothing; one without layers ends all experiments."
        }
    }
}

/// Which file to read.
#[derive(Debug, Deserialize)]
pub(crate) struct Put {
    path: String,
}

/// Puts the experiments of a file in service.
pub(crate) async fn put(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Sent(Put { path }): Sent<Put>,
) -> Response {
    match console.service.put_experiments(path.trim().into()).await {
        Ok(_) => Redirect::to("/console/experiments?done=true").into_response(),
        Err(problem) => {
            let whose = Whose { user: String::new(), done: false };
            shown(&console, &visitor, &whose, Some(&problem)).await
        }
    }
}
