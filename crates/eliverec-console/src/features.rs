//! What is known of a user or channel now, how old the features are, and how far what is served is from what the model was trained on.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use eliverec_core::schema::Group;
use eliverec_http::drift::{DriftReport, Moved};
use eliverec_http::now::{ChannelNow, UserNow};
use eliverec_http::{Problem, Service};
use maud::{Markup, html};
use serde::Deserialize;

use crate::access::Console;
use crate::explained::histories;
use crate::given::Asked;
use crate::layout::{self, FEATURES, pairs, scrolling};
use crate::requests::name;
use crate::visitor::Visitor;
use eliverec_report::written::{age, moment, number};

/// Whose state is looked at.
#[derive(Debug, Deserialize)]
pub(crate) struct Whose {
    #[serde(default)]
    user: String,
    #[serde(default)]
    channel: String,
}

/// The page.
pub(crate) async fn page(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Asked(whose): Asked<Whose>,
) -> Response {
    let service = &console.service;
    let found = match known(service, &whose).await {
        Ok(found) => found,
        Err(problem) => return layout::refused(Some(&visitor), &problem),
    };
    let newest = service.newest_event_age_s();
    let positions = service.engine.positions();
    let drift = service.drift();
    let in_buckets = service.drift_in_buckets();
    let body = html! {
        p #freshness {
            "The newest event that features know is "
            strong { (newest.map_or_else(|| "not there yet".into(), |seconds| format!("{} old", age(seconds.max(0.0))))) }
            "; records of the log: "
            @for (i, (of, position)) in positions.iter().enumerate() { (if i > 0 { ", " } else { "" }) (position) " " (of) }
            "."
        }
        div.forms {
            form.inline { label { "User " input name="user" value=(whose.user) required autocomplete="off"; } button { "State now" } }
            form.inline { label { "Channel " input name="channel" value=(whose.channel) required autocomplete="off"; } button { "State now" } }
        }
        (found)
        h2 { "Drift" }
        (drifted(&drift))
        @for drift in &in_buckets {
            h3 { "Of the bundle " code { (drift.model) } " in buckets of experiments" }
            (drifted(drift))
        }
    };
    layout::page(Some(&visitor), &FEATURES, FEATURES.title, body).into_response()
}

/// What is known of whom was asked for.
async fn known(service: &Arc<Service>, whose: &Whose) -> Result<Markup, Problem> {
    let now_ms = service.clock.now_ms();
    let working = Arc::clone(service);
    if !whose.user.trim().is_empty() {
        let id = service.id_of(Group::User, whose.user.trim())?.value();
        let found = service.compute(move || working.engine.user_now(id, now_ms)).await??;
        return Ok(user(&found, service.engine.category_fields().as_ref()));
    }
    if !whose.channel.trim().is_empty() {
        let id = service.id_of(Group::Channel, whose.channel.trim())?.value();
        let found = service.compute(move || working.engine.channel_now(id, now_ms)).await??;
        return Ok(channel(&found));
    }
    Ok(html! {})
}

fn user(found: &UserNow, categories: Option<&[String; 2]>) -> Markup {
    let fields = found.fields.iter().map(|(name, value)| (name.as_str(), value.clone()));
    html! { section #known {
        h2 { "User " (found.user_id) }
        @if !found.is_known { p { "No event of this user is in the features." } }
        (histories(&found.histories, categories))
        p { "Anchors followed: " (list(&found.followed)) "." }
        (pairs(fields))
        p.note { "As a request on " (moment(found.at)) " would find it, after record " (found.log_position) " of the log." }
    } }
}

fn channel(found: &ChannelNow) -> Markup {
    let features = found.features.iter().map(|(name, x)| (*name, number(f64::from(*x))));
    let fields = found.fields.iter().map(|(name, value)| (name.as_str(), value.clone()));
    html! { section #known {
        h2 { "Channel " (name(&found.channel_id)) }
        @if !found.is_known { p { "No event of this channel is in the features." } }
        p {
            @match found.live_since {
                Some(since) => { "Live since " (moment(since)) "." },
                None => { "Not live." },
            }
            " On sale: " (list(&found.on_sale)) "."
        }
        h3 { "Counted by channel" } (pairs(features))
        h3 { "As a candidate of a user of whom nothing is known" } (pairs(fields))
        p.note { "As a request on " (moment(found.at)) " would find it, after record " (found.log_position) " of the log." }
    } }
}

fn list(ids: &[u64]) -> String {
    if ids.is_empty() {
        return "none".into();
    }
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn drifted(drift: &DriftReport) -> Markup {
    let far = drift.features.iter().chain(&drift.scores).filter(|of| of.is_far).count();
    html! {
        p.drifted {
            (drift.answers) " answers of the last hour by " code { (drift.model) } ", beside what it was trained on: "
            strong { (far) " of " (drift.features.len() + drift.scores.len()) " quantities are far away" } "."
            @if drift.left_out > 0 { " " (drift.left_out) " more answers were left out, for 100 of a second are taken in." }
        }
        (scrolling("Drift of features", moved("Dense quantities, as they are standardised", &drift.features)))
        (scrolling("Drift of scores", moved("Scores", &drift.scores)))
        p.note {
            "Served: the user, the histories and the channels answered. Trained: of features the training split, of scores the bundle's golden requests, both over the channels "
            "shown then. Far: the mean has moved by more than half a standard deviation, or the spread more than doubled or halved; a rule of thumb, no test."
        }
    }
}

fn moved(title: &str, all: &[Moved]) -> Markup {
    let of = |moments: eliverec_core::normalize::Moments| {
        let mean = number(f64::from(moments.mean));
        // By convention, so that nothing is divided by 0.
        if moments.sd == 1.0 {
            return format!("{mean}, constant");
        }
        format!("{mean} ± {}", number(f64::from(moments.sd)))
    };
    html! { table.drift {
        caption { (title) }
        thead { tr { th { "name" } th { "trained" } th { "served" } th { "shift, sd" } th { "" } th { "spread" } } }
        tbody { @for one in all { tr.far[one.is_far] {
            td { code { (one.name) } @if one.is_far { span.under { "far away" } } }
            td { (of(one.trained)) }
            td { (one.served.map_or_else(|| "–".into(), of)) }
            td { (one.shift.map_or_else(|| "–".into(), |shift| format!("{shift:+.2}"))) }
            td { (arrow(one.shift)) }
            td { (one.spread.map_or_else(|| "–".into(), |spread| format!("× {spread:.2}"))) }
        } } }
    } }
}

/// A shift as a bar from the middle, to 2 standard deviations.
fn arrow(shift: Option<f32>) -> Markup {
    let end = 40.0 + 20.0 * shift.unwrap_or_default().clamp(-2.0, 2.0);
    html! {
        svg.shift width="80" height="12" aria-hidden="true" {
            line.base x1="40" x2="40" y1="0" y2="12" {}
            line.moved x1="40" x2=(format!("{end:.1}")) y1="6" y2="6" {}
        }
    }
}
