//! The pieces of a page: one style for all of them, tables that scroll, plots with their legends.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::plot::{self, Line};

const STYLE: &str = "\
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 80rem; padding: 1rem; }
h1 { font-size: 1.5rem; line-height: 1.2; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
.scroll { overflow-x: auto; width: fit-content; max-width: 100%; scrollbar-width: thin; scrollbar-color: #888 #8882; border-right: 1px solid #8884; }
.scroll:focus-visible { outline: 2px solid Highlight; }
table { border-collapse: separate; border-spacing: 0; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: .3rem .6rem; text-align: right; vertical-align: top; border-bottom: 1px solid #8884; }
th { vertical-align: bottom; } td { white-space: nowrap; } td:first-child .under { white-space: normal; max-width: 12em; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: Canvas; }
tr.main td { font-weight: 600; }
.under { opacity: .65; font-size: .85em; display: block; font-weight: 400; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 1.2rem; }
figure { margin: 0; } figcaption { font-size: .85rem; display: flex; flex-wrap: wrap; gap: .2rem 1rem; }
.swatch { display: inline-block; width: .8em; height: .8em; border-radius: .15em; margin-right: .35em; }
ul, .note { font-size: .85rem; opacity: .85; } code { font-size: .85em; }
details pre { font-size: .8rem; overflow-x: auto; }
@media (max-width: 40rem) { body { padding: .6rem; } th, td { padding: .3rem .4rem; } table { font-size: .8rem; } td:first-child .under { max-width: 8em; } }
";

/// A whole page, which opens offline, with what it has of style beside that of all.
pub(crate) fn document(title: &str, style: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) (PreEscaped(style)) }
            }
            body { (body) }
        }
    };
    page.into_string()
}

/// A box in which what is wider than the page scrolls, by touch, wheel and keys.
pub(crate) fn scrolling(name: &str, inside: Markup) -> Markup {
    html! { div.scroll role="region" aria-label=(name) tabindex="0" { (inside) } }
}

/// Rows below a head.
pub(crate) fn table<T: AsRef<str>>(
    name: &str,
    head: &[T],
    rows: impl Iterator<Item = Vec<String>>,
) -> Markup {
    scrolling(
        name,
        html! { table {
            thead { tr { @for name in head { th { (breakable(name.as_ref())) } } } }
            tbody { @for row in rows { tr { @for cell in row { td { (folded(&cell)) } } } } }
        } },
    )
}

/// A name of a column, which may be broken behind its dots and underscores.
fn breakable(name: &str) -> Markup {
    html! { @for part in name.split_inclusive(['.', '_']) { (part) wbr; } }
}

/// A figure with its spread below it, which makes a column half as wide.
pub(crate) fn folded(cell: &str) -> Markup {
    html! {
        @if let Some((mean, spread)) = cell.split_once(" ± ") {
            (mean) span.under { "± " (spread) }
        } @else { (cell) }
    }
}

/// A plot and the names of its lines.
pub(crate) fn with_legend(svg: &str, lines: &[Line]) -> Markup {
    html! { figure {
        (PreEscaped(svg))
        figcaption { @for (n, line) in lines.iter().enumerate() {
            span { span.swatch style=(format!("background:{}", plot::colour(n))) {} (line.name) }
        } }
    } }
}
