//! The metrics of anybody's scores.

use arrow::array::{ArrayData, ArrayRef, make_array};
use arrow_pyarrow::PyArrowType;
use eliverec_metrics::Evaluation;
use eliverec_tables::scores::Judged;
use pyo3::prelude::*;

use crate::failed::failed;

/// The metrics of `eliverec evaluate --json`, as that JSON: of the probabilities of a watch `scores` `[n]`, whether it was watched
/// (`labels`), who asked (`users`) and in which request (`feeds`).
#[pyfunction]
pub(crate) fn metrics(
    py: Python<'_>,
    scores: PyArrowType<ArrayData>,
    labels: PyArrowType<ArrayData>,
    users: PyArrowType<ArrayData>,
    feeds: PyArrowType<ArrayData>,
) -> PyResult<String> {
    let column = |PyArrowType(data): PyArrowType<ArrayData>| -> ArrayRef { make_array(data) };
    let judged = Judged {
        scores: column(scores),
        labels: column(labels),
        users: column(users),
        feeds: column(feeds),
    };
    py.detach(|| {
        let mut evaluation = Evaluation::new();
        for feed in judged.feeds().map_err(failed)? {
            evaluation.add_feed(feed.user_id, &feed.p_watch, &feed.watched).map_err(failed)?;
        }
        serde_json::to_string(&evaluation.finish()).map_err(failed)
    })
}
