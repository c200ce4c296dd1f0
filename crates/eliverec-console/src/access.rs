//! Who may see and change what. A browser shows a token once, by a form, and then a random number that stands for it, in a cookie
//! that no script reads and that no other site's request carries. What changes something is taken from the console's own pages alone.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use eliverec_http::{Code, Holder, Problem, Scope, Service, names_this_machine};

use crate::layout;
use crate::reported::Reports;
use crate::visitor::Visitor;

/// What the pages of one service share.
#[derive(Debug)]
pub(crate) struct Console {
    pub(crate) service: Arc<Service>,
    /// `None` where no log is kept.
    pub(crate) reports: Option<Arc<dyn Reports>>,
    pub(crate) sessions: Sessions,
}

impl Console {
    pub(crate) fn new(service: Arc<Service>, reports: Option<Arc<dyn Reports>>) -> Self {
        Self { service, reports, sessions: Sessions::default() }
    }

    /// Who asks; `None` for somebody who has to sign in.
    fn visitor(&self, headers: &HeaderMap) -> Option<Visitor> {
        if self.service.tokens.is_empty() {
            return Some(Visitor { name: None, may_change: true });
        }
        let holder = self.sessions.holder(&cookie(headers)?, Instant::now())?;
        let may_change = holder.scopes.contains(&Scope::Admin);
        Some(Visitor { name: Some(holder.name), may_change })
    }
}

/// What the curves of the first page are drawn of.
pub(crate) const TRAFFIC_REPORT: &str = "/console/traffic.json";

/// The name of the cookie.
const COOKIE: &str = "eliverec_console";

/// How long a sign-in lasts.
const LASTS: Duration = Duration::from_hours(12);

/// Those who are signed in: bounded, the oldest leaves.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<VecDeque<(String, Holder, Instant)>>);

impl Sessions {
    const MOST: usize = 1_000;

    /// Signs somebody in; the number that stands for the token from now on.
    pub(crate) fn begin(&self, holder: Holder, now: Instant) -> String {
        let number = format!("{:032x}", rand::random::<u128>());
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sessions.len() == Self::MOST {
            sessions.pop_front();
        }
        sessions.push_back((number.clone(), holder, now));
        number
    }

    fn holder(&self, number: &str, now: Instant) -> Option<Holder> {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while sessions.front().is_some_and(|(.., begun)| now.duration_since(*begun) > LASTS) {
            sessions.pop_front();
        }
        let found = sessions.iter().find(|(known, ..)| known == number);
        found.map(|(_, holder, _)| holder.clone())
    }

    /// Signs out whoever has the cookie.
    pub(crate) fn end(&self, headers: &HeaderMap) {
        if let Some(number) = cookie(headers) {
            let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            sessions.retain(|(known, ..)| *known != number);
        }
    }
}

/// What a sign-in sets. Behind a proxy that speaks TLS the cookie never goes without.
pub(crate) fn set_cookie(number: &str, headers: &HeaderMap) -> String {
    let is_secure = headers.get("x-forwarded-proto").is_some_and(|of| of == "https");
    let secure = if is_secure { "; Secure" } else { "" };
    let seconds = LASTS.as_secs();
    format!(
        "{COOKIE}={number}; Path=/console; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"
    )
}

/// What a sign-out sets.
pub(crate) fn clear_cookie() -> String {
    format!("{COOKIE}=; Path=/console; Max-Age=0; HttpOnly; SameSite=Strict")
}

fn cookie(headers: &HeaderMap) -> Option<String> {
    let all = headers.get_all(header::COOKIE).into_iter().filter_map(|of| of.to_str().ok());
    let mut pairs = all.flat_map(|of| of.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value.to_owned())
}

/// Whether the request comes from a page of this very service: browsers say so, and scripts of other sites cannot.
fn is_same_origin(headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin";
    }
    let text = |name| headers.get(name).and_then(|of: &HeaderValue| of.to_str().ok());
    let origin = text(header::ORIGIN).and_then(|origin| origin.split_once("://"));
    origin.is_some_and(|(_, origin)| Some(origin) == text(header::HOST))
}

/// What a page may load and who may show it: scripts and styles of the service itself, none within a page, nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

/// Before and behind every page.
pub(crate) async fn guard(
    State(console): State<Arc<Console>>,
    request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    let refused = |code, detail: &str| layout::refused(None, &Problem::new(code, detail));
    let is_change = request.method() == Method::POST;
    let mut response = if console.service.tokens.is_empty() && !names_this_machine(headers) {
        refused(
            Code::Forbidden,
            "there are no tokens, so pages are shown under the names of this machine alone: localhost, 127.0.0.1, [::1]",
        )
    } else if is_change && !is_same_origin(headers) {
        refused(
            Code::Forbidden,
            "this came from another site's page; use the forms of the console itself",
        )
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Pages are of the moment, and of who is signed in.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Lets in whoever is signed in, and sends others to the form.
pub(crate) async fn signed_in(
    State(console): State<Arc<Console>>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(visitor) = console.visitor(request.headers()) else {
        // A part of a page cannot show the form.
        let is_part =
            request.headers().contains_key("hx-request") || request.uri().path() == TRAFFIC_REPORT;
        if is_part || request.method() != Method::GET {
            let problem = Problem::new(Code::Unauthenticated, "sign in again");
            return (problem.code.status(), problem.detail).into_response();
        }
        let to = request.uri().path_and_query().map_or("/console", PathAndQuery::as_str);
        let query =
            url::form_urlencoded::Serializer::new(String::new()).append_pair("to", to).finish();
        return Redirect::to(&format!("/console/sign-in?{query}")).into_response();
    };
    request.extensions_mut().insert(visitor);
    next.run(request).await
}

/// Lets in who may change what is in service.
pub(crate) async fn may_change(
    State(console): State<Arc<Console>>,
    mut request: Request,
    next: Next,
) -> Response {
    match console.visitor(request.headers()) {
        Some(visitor) if visitor.may_change => {
            request.extensions_mut().insert(visitor);
            next.run(request).await
        }
        Some(visitor) => {
            let name = visitor.name.as_deref().unwrap_or_default();
            let detail = format!(
                "the token of {name:?} does not have the scope \"admin\"; sign in with one that has"
            );
            layout::refused(Some(&visitor), &Problem::new(Code::Forbidden, detail))
        }
        None => layout::refused(None, &Problem::new(Code::Unauthenticated, "sign in first")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (header::HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        all.iter().map(pair).collect()
    }

    #[test]
    fn other_sites_are_told_apart() {
        for (given, is_own) in [
            (&[("sec-fetch-site", "same-origin")] as &[_], true),
            (&[("sec-fetch-site", "cross-site"), ("origin", "http://a"), ("host", "a")], false),
            (&[("sec-fetch-site", "none")], false),
            (&[("origin", "http://127.0.0.1:8088"), ("host", "127.0.0.1:8088")], true),
            (&[("origin", "http://evil.example"), ("host", "127.0.0.1:8088")], false),
            (&[("origin", "null"), ("host", "127.0.0.1:8088")], false),
            (&[("host", "127.0.0.1:8088")], false),
        ] {
            assert_eq!(is_same_origin(&headers(given)), is_own, "{given:?}");
        }
    }

    #[test]
    fn sessions_end() {
        let (sessions, begun) = (Sessions::default(), Instant::now());
        let holder = Holder { name: "ops".into(), scopes: vec![Scope::Read] };
        let number = sessions.begin(holder.clone(), begun);
        assert_eq!(sessions.holder(&number, begun + LASTS), Some(holder.clone()));
        assert_eq!(sessions.holder("0", begun), None);
        let set = set_cookie(&number, &HeaderMap::new());
        let pair = set.split(';').next().unwrap().to_owned();
        let of_caller = HeaderMap::from_iter([(
            header::COOKIE,
            HeaderValue::try_from(format!("a=b; {pair}")).unwrap(),
        )]);
        assert_eq!(cookie(&of_caller).as_ref(), Some(&number));
        sessions.end(&of_caller);
        assert_eq!(sessions.holder(&number, begun), None);
        let number = sessions.begin(holder.clone(), begun);
        assert_eq!(sessions.holder(&number, begun + LASTS + Duration::from_secs(1)), None);
        let first = sessions.begin(holder.clone(), begun);
        for _ in 0..Sessions::MOST {
            sessions.begin(holder.clone(), begun);
        }
        assert_eq!(sessions.holder(&first, begun), None, "the oldest leaves");
    }
}
