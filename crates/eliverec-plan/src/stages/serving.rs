//! Processes that answer requests.

use super::GIB;
use crate::asked::Asked;
use crate::line::Line;
use crate::measured::Measured;

pub(crate) fn lines(asked: &Asked, measured: &Measured) -> Vec<Line> {
    let request_s = &measured.serving.request_s;
    let cores = asked.requests_per_second * request_s.value / asked.utilisation;
    let width = &measured.train.width;
    // Rows of a byte a number have a scale each.
    let scale = if asked.bytes_per_number == 1.0 { 4.0 } else { 0.0 };
    let bundle = asked.rows() * (8.0 + scale + asked.bytes_per_number * width.value);
    vec![
        Line::new(
            "serving",
            "cores",
            (cores.ceil(), "cores"),
            "requests_per_second x request_s / utilisation, rounded up",
            &[request_s],
        ),
        Line::new(
            "serving",
            "processes",
            (processes(asked, measured), "processes"),
            "cores / cores_per_process, rounded up",
            &[request_s],
        ),
        Line::new(
            "serving",
            "rows of a bundle, on the disk of every process and mapped",
            (bundle / GIB, "GiB"),
            "rows x (8 + bytes_per_number x width), and 4 where a number has a byte",
            &[width],
        ),
    ]
}

/// Processes that answer.
pub(super) fn processes(asked: &Asked, measured: &Measured) -> f64 {
    let request_s = measured.serving.request_s.value;
    let cores = asked.requests_per_second * request_s / asked.utilisation;
    (cores / asked.cores_per_process).ceil()
}
