//! Exit codes, and which of them an error gets.

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
