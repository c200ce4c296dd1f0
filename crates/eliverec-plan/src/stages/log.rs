//! The event log.

use super::GIB;
use crate::asked::Asked;
use crate::line::Line;
use crate::measured::Measured;

pub(crate) fn lines(asked: &Asked, measured: &Measured) -> Vec<Line> {
    let of = &measured.samples;
    let events = asked.impressions_per_day * of.events_per_impression.value;
    let bytes = asked.impressions_per_day * of.log_bytes.value;
    vec![
        Line::new(
            "log",
            "events a day",
            (events, "events"),
            "impressions_per_day x events_per_impression",
            &[&of.events_per_impression],
        ),
        Line::new(
            "log",
            "disk a day",
            (bytes / GIB, "GiB"),
            "impressions_per_day x log_bytes",
            &[&of.log_bytes],
        ),
        Line::new(
            "log",
            "events a second, at the busiest moment",
            (peak_events(asked, measured), "events/s"),
            "requests_per_second x impressions_per_request x events_per_impression",
            &[&of.events_per_impression],
        ),
    ]
}

/// Events a second at the busiest moment.
pub(super) fn peak_events(asked: &Asked, measured: &Measured) -> f64 {
    let shown = asked.requests_per_second * asked.impressions_per_request;
    shown * measured.samples.events_per_impression.value
}
