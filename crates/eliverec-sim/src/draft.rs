//! An event that is still to happen: small, because a day has many, and with its cause beside it.

use eliverec_core::EventKind;

use crate::truth::Cause;

/// No channel, product, user or anchor.
pub(crate) const NONE: u32 = u32::MAX;

/// Users, channels and products by their index; 0 for a request that the log does not have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draft {
    pub(crate) ts_ms: i64,
    pub(crate) request: u64,
    pub(crate) value: f64,
    pub(crate) user: u32,
    pub(crate) channel: u32,
    pub(crate) product: u32,
    pub(crate) kind: EventKind,
    pub(crate) cause: Option<Cause>,
}

impl Draft {
    pub(crate) fn new(ts_ms: i64, kind: EventKind) -> Self {
        Self {
            ts_ms,
            request: 0,
            value: f64::NAN,
            user: NONE,
            channel: NONE,
            product: NONE,
            kind,
            cause: None,
        }
    }
}

/// The id of an index; `None` for [`NONE`].
pub(crate) fn id(index: u32) -> Option<u64> {
    (index != NONE).then(|| u64::from(index) + 1)
}
