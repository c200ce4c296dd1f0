//! Signing in by a token, and out.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use eliverec_http::{Code, Problem, Scope};
use maud::html;
use serde::Deserialize;

use crate::access::{Console, clear_cookie, set_cookie};
use crate::given::{Asked, Sent};
use crate::layout::{self, TRAFFIC};

/// Where to go then.
#[derive(Debug, Deserialize)]
pub(crate) struct Then {
    #[serde(default)]
    to: String,
}

impl Then {
    /// A page of the console, whatever was given.
    fn address(&self) -> &str {
        let is_page =
            self.to.starts_with("/console") && self.to.bytes().all(|of| of.is_ascii_graphic());
        if is_page { &self.to } else { TRAFFIC.path }
    }
}

/// What the form sends.
#[derive(Debug, Deserialize)]
pub(crate) struct Given {
    token: String,
    #[serde(flatten)]
    then: Then,
}

/// The form.
pub(crate) async fn page(Asked(then): Asked<Then>) -> Html<String> {
    form(&then, None)
}

fn form(then: &Then, refused: Option<&Problem>) -> Html<String> {
    let body = html! {
        @if let Some(problem) = refused { p.refused { (problem.detail) } }
        form.stacked method="post" action="/console/sign-in" {
            input type="hidden" name="to" value=(then.address());
            label { "Token with the scope " code { "read" } "; to change bundles also " code { "admin" }
                input type="password" name="token" required autocomplete="current-password" autofocus;
            }
            button { "Sign in" }
        }
        p.note { "It is one of the service's file of tokens. The browser keeps a number that stands for it, for twelve hours, and not the token." }
    };
    layout::page(None, &TRAFFIC, "Sign in", body)
}

/// Takes the form.
pub(crate) async fn enter(
    State(console): State<Arc<Console>>,
    headers: HeaderMap,
    Sent(Given { token, then }): Sent<Given>,
) -> Response {
    if console.service.tokens.is_empty() {
        return Redirect::to(then.address()).into_response();
    }
    let holder = match console.service.tokens.holder(token.trim().as_bytes()) {
        None => Err(Problem::new(Code::Unauthenticated, "nobody has this token")),
        Some(holder) if !holder.scopes.contains(&Scope::Read) => {
            let detail = format!(
                "the token of {:?} does not have the scope \"read\", which pages need",
                holder.name
            );
            Err(Problem::new(Code::Forbidden, detail))
        }
        Some(holder) => Ok(holder),
    };
    match holder {
        Ok(holder) => {
            let number = console.sessions.begin(holder, Instant::now());
            let cookie = [(header::SET_COOKIE, set_cookie(&number, &headers))];
            (cookie, Redirect::to(then.address())).into_response()
        }
        Err(problem) => (problem.code.status(), form(&then, Some(&problem))).into_response(),
    }
}

/// Signs out.
pub(crate) async fn leave(State(console): State<Arc<Console>>, headers: HeaderMap) -> Response {
    console.sessions.end(&headers);
    ([(header::SET_COOKIE, clear_cookie())], Redirect::to("/console/sign-in")).into_response()
}
