//! What was probably meant by a name that is not known.

/// A sentence with the known name that was probably meant, and all of them.
pub(crate) fn suggestion<'a>(
    unknown: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> String {
    let all = known.clone().collect::<Vec<_>>().join(", ");
    nearest(unknown, known).map_or_else(
        || format!("known: {all}"),
        |name| format!("did you mean `{name}`? (known: {all})"),
    )
}

/// The known name that looks most like `unknown`, if any does.
pub(crate) fn nearest<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|name| (strsim::jaro_winkler(unknown, name), name))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}
