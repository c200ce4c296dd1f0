//! What all pages have around them, and the list of them.

use axum::Extension;
use axum::http::Uri;
use axum::response::{Html, IntoResponse, Response};
use eliverec_http::{Code, Problem};
use maud::{DOCTYPE, Markup, html};

use crate::assets;
use crate::visitor::Visitor;

/// A page that others lead to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// Its address.
    pub(crate) path: &'static str,
    /// What it is called.
    pub(crate) title: &'static str,
}

pub(crate) const TRAFFIC: Page = Page { path: "/console", title: "Traffic" };
pub(crate) const REQUESTS: Page = Page { path: "/console/requests", title: "Requests" };
pub(crate) const BUNDLES: Page = Page { path: "/console/bundles", title: "Bundles" };
pub(crate) const EXPERIMENTS: Page = Page { path: "/console/experiments", title: "Experiments" };
pub(crate) const FEATURES: Page = Page { path: "/console/features", title: "Features" };
pub(crate) const RETRIEVAL: Page = Page { path: "/console/retrieval", title: "Retrieval" };

/// All of them, in the order in which they are offered. A page more is a line here and its routes.
const PAGES: [&Page; 6] = [&TRAFFIC, &REQUESTS, &BUNDLES, &EXPERIMENTS, &FEATURES, &RETRIEVAL];

/// Nothing is written into pages by scripts that could be others', and nothing is evaluated.
const HTMX: &str = r#"{"includeIndicatorStyles":false,"allowEval":false,"historyEnabled":false}"#;

/// A whole page; `here` is the one that it belongs to.
pub(crate) fn page(
    visitor: Option<&Visitor>,
    here: &Page,
    title: &str,
    body: Markup,
) -> Html<String> {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="htmx-config" content=(HTMX);
                title { (title) " · eliverec" }
                // Browsers ask for one otherwise.
                link rel="icon" href="data:,";
                @for style in [assets::UPLOT_STYLE, assets::LANES_STYLE, assets::STYLE] {
                    link rel="stylesheet" href=(address(style));
                }
                @for script in [assets::HTMX, assets::UPLOT, assets::SCRIPT] {
                    script src=(address(script)) defer {}
                }
            }
            body {
                @if let Some(visitor) = visitor {
                    header {
                        nav aria-label="Pages" {
                            @for page in PAGES {
                                a href=(page.path) aria-current=[(page == here).then_some("page")] { (page.title) }
                            }
                        }
                        @if let Some(name) = &visitor.name {
                            form method="post" action="/console/sign-out" {
                                button.quiet title="Sign out" { (name) ": sign out" }
                            }
                        }
                    }
                }
                main { h1 { (title) } (body) }
            }
        }
    };
    Html(page.into_string())
}

fn address(asset: &str) -> String {
    format!("/console/assets/{asset}")
}

/// A refusal as a page, with the words that a call would be refused with.
pub(crate) fn refused(visitor: Option<&Visitor>, problem: &Problem) -> Response {
    let body = html! {
        p.refused { (problem.detail) }
        p.note { "Code " code { (problem.code.name()) } "." }
        @if problem.code == Code::Unauthenticated { p { a href="/console/sign-in" { "Sign in" } } }
        @else { p { a href="/console" { "To the first page" } } }
    };
    // No page of the list: none of them was shown.
    let nowhere = Page { path: "", title: "" };
    (problem.code.status(), page(visitor, &nowhere, "Refused", body)).into_response()
}

/// An address below the console that no page has.
pub(crate) async fn nowhere(Extension(visitor): Extension<Visitor>, uri: Uri) -> Response {
    let detail = format!("there is no page {}", uri.path());
    refused(Some(&visitor), &Problem::new(Code::NotFound, detail))
}

/// A box in which what is wider than the page scrolls, by touch, wheel and keys.
pub(crate) fn scrolling(name: &str, inside: Markup) -> Markup {
    html! { div.scroll role="region" aria-label=(name) tabindex="0" { (inside) } }
}

/// Names and values, one under the other.
pub(crate) fn pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> Markup {
    html! { dl { @for (name, value) in pairs { div { dt { (name) } dd { (if value.is_empty() { "–" } else { value.as_str() }) } } } } }
}
