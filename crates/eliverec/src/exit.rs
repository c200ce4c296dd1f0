//! What an error tells: its exit code and its line.

use eliverec_core::error::is_wrong_input;

use crate::commands::serve::shared::is_bad_input;

/// Done.
pub(crate) const OK: u8 = 0;
/// Failed.
pub(crate) const FAILED: u8 = 1;
/// Wrong input or usage.
const BAD_INPUT: u8 = 2;
/// Interrupted.
pub(crate) const INTERRUPTED: u8 = 130;

/// The exit code of an error: whose fault it is. Every crate says so of its own errors; those of others are failures.
pub(crate) fn code(error: &anyhow::Error) -> u8 {
    let bad_input = error.chain().find_map(|cause| {
        None.or_else(|| Some(cause.downcast_ref::<eliverec_train::Error>()?.is_bad_input()))
            .or_else(|| Some(cause.downcast_ref::<eliverec_run::Error>()?.is_bad_input()))
            .or_else(|| Some(cause.downcast_ref::<eliverec_serve::Error>()?.is_bad_input()))
            .or_else(|| Some(cause.downcast_ref::<eliverec_http::Error>()?.is_bad_input()))
            .or_else(|| Some(cause.downcast_ref::<eliverec_samples::Error>()?.is_bad_input()))
            .or_else(|| Some(cause.downcast_ref::<eliverec_archive::Error>()?.is_bad_input()))
            .or_else(|| Some(cause.downcast_ref::<eliverec_experiments::Error>()?.is_bad_input()))
            .or_else(|| Some(is_of_report(cause.downcast_ref()?)))
            .or_else(|| Some(cause.downcast_ref::<eliverec_tables::Error>()?.is_bad_input()))
            .or_else(|| is_bad_input(cause))
            .or_else(|| cause.is::<eliverec_ab::Error>().then_some(true))
            .or_else(|| cause.is::<eliverec_plan::Error>().then_some(true))
            .or_else(|| cause.is::<eliverec_sim::Error>().then_some(true))
            .or_else(|| Some(is_wrong_input(cause.downcast_ref::<std::io::Error>()?)))
    });
    if bad_input == Some(true) { BAD_INPUT } else { FAILED }
}

/// Whether what was read as results is at fault.
fn is_of_report(error: &eliverec_report::Error) -> bool {
    use eliverec_report::Error;
    match error {
        Error::NoResults(_) | Error::OtherUsers { .. } | Error::Metrics(_) => true,
        Error::Io(error) => is_wrong_input(error),
        // As a run or a bundle that is damaged.
        Error::Damaged { .. } | Error::Plot(_) => false,
    }
}

/// The error and its causes in one line.
pub(crate) fn line(error: &anyhow::Error) -> String {
    eliverec_core::error::line(error.as_ref())
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let io = || std::io::Error::other("the disk\n is full");
        let text = |error: anyhow::Error| line(&error);
        let tables = eliverec_tables::Error::Io(io());
        assert_eq!(text(tables.into()), "the disk is full");
        let outer = Err::<(), _>(io()).context("feeds cannot be written").unwrap_err();
        assert_eq!(text(outer), "feeds cannot be written: the disk is full");
        let source = eliverec_core::Error::SchemaSyntax("no `=`".into());
        let told = source.to_string();
        let schema = eliverec_tables::Error::Schema { path: "schema.toml".into(), source };
        assert_eq!(text(schema.into()), format!("schema.toml: {told}"));
    }
}
