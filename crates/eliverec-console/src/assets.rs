//! Scripts and styles, within the program: pages need no other network and no build. `assets/` has them with the licences of those
//! that others wrote.

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

/// htmx: parts of pages are brought up to date.
pub(crate) const HTMX: &str = "htmx-2.0.11.min.js";
/// uPlot: curves.
pub(crate) const UPLOT: &str = "uPlot-1.6.32.min.js";
/// How its curves look.
pub(crate) const UPLOT_STYLE: &str = "uPlot-1.6.32.min.css";
/// What the pages do in the browser: curves.
pub(crate) const SCRIPT: &str = "console.js";
/// How histories look, and the colours.
pub(crate) const LANES_STYLE: &str = "lanes.css";
/// How the pages look.
pub(crate) const STYLE: &str = "console.css";

/// Name, kind, content.
const ASSETS: [(&str, &str, &str); 6] = [
    (HTMX, "text/javascript", include_str!("../assets/htmx-2.0.11.min.js")),
    (UPLOT, "text/javascript", include_str!("../assets/uPlot-1.6.32.min.js")),
    (UPLOT_STYLE, "text/css", include_str!("../assets/uPlot-1.6.32.min.css")),
    (SCRIPT, "text/javascript", include_str!("../assets/console.js")),
    (LANES_STYLE, "text/css", eliverec_report::lanes::STYLE),
    (STYLE, "text/css", include_str!("../assets/console.css")),
];

/// One of them, for everybody: they say nothing of the service.
pub(crate) async fn asset(Path(name): Path<String>) -> Response {
    let found = ASSETS.iter().find(|(known, ..)| *known == name);
    let Some((name, kind, content)) = found else {
        return (StatusCode::NOT_FOUND, "there is no such file").into_response();
    };
    // What has its version in its name does not change.
    let keeps = if name.contains(".min.") { "max-age=31536000, immutable" } else { "no-cache" };
    let kind = format!("{kind}; charset=utf-8");
    ([(header::CONTENT_TYPE, kind.as_str()), (header::CACHE_CONTROL, keeps)], *content)
        .into_response()
}
