//! What an error tells: its exit code and its line.

/// Done.
pub(crate) const OK: u8 = 0;
/// Failed.
pub(crate) const FAILED: u8 = 1;
/// Wrong input or usage.
const BAD_INPUT: u8 = 2;
/// Interrupted.
pub(crate) const INTERRUPTED: u8 = 130;

/// The exit code of an error: whose fault it is.
pub(crate) fn code(error: &anyhow::Error) -> u8 {
    let bad_input = error.chain().any(|cause| {
        if let Some(error) = cause.downcast_ref::<eliverec_train::Error>() {
            return error.is_bad_input();
        }
        if let Some(error) = cause.downcast_ref::<eliverec_run::Error>() {
            return error.is_bad_input();
        }
        if let Some(error) = cause.downcast_ref::<eliverec_serve::Error>() {
            return error.is_bad_input();
        }
        if let Some(error) = cause.downcast_ref::<eliverec_samples::Error>() {
            use eliverec_samples::Error;
            return match error {
                Error::Tables(tables) => !matches!(tables, eliverec_tables::Error::Io(_)),
                Error::Io(_) | Error::Engine(_) => false,
                Error::Features(_) | Error::Config { .. } | Error::Feeds { .. } => true,
            };
        }
        if let Some(error) = cause.downcast_ref::<eliverec_report::Error>() {
            use eliverec_report::Error;
            return matches!(
                error,
                Error::NoResults(_) | Error::Damaged { .. } | Error::Metrics(_)
            );
        }
        if cause.is::<eliverec_sim::Error>() {
            return true;
        }
        cause
            .downcast_ref::<eliverec_tables::Error>()
            .is_some_and(|error| !matches!(error, eliverec_tables::Error::Io(_)))
    });
    if bad_input { BAD_INPUT } else { FAILED }
}

/// The error and its causes in one line; a cause that the words before it have told already is not told again.
pub(crate) fn line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let words = cause.to_string();
        let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
        if line.is_empty() {
            line = words;
        } else if !line.contains(&words) {
            line = format!("{line}: {words}");
        }
    }
    line
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
