//! What callers hear of events and rows that were taken in.

use eliverec_state::Acknowledged;
use serde::Serialize;
use utoipa::ToSchema;

/// A batch is on disk, and the features know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Acknowledgement {
    /// Events that the features know now.
    pub admitted: u64,
    /// Events whose id was taken before: nothing was done.
    pub duplicate: u64,
    /// Events that arrived too long after they happened: logged, and left out of the features.
    pub late: u64,
    /// The newest event of the log.
    pub log_position: u64,
}

impl From<Acknowledged> for Acknowledgement {
    fn from(acknowledged: Acknowledged) -> Self {
        let Acknowledged { sequence, applied, duplicates, late } = acknowledged;
        Self { admitted: applied, duplicate: duplicates, late, log_position: sequence }
    }
}
