//! What happened, into the log and the features.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;

use crate::answer::Acknowledgement;
use crate::extract::Batch;
use crate::problem::{Problem, ProblemBody};
use crate::service::Service;
use crate::telemetry::{Stage, Stages};
use crate::wire::{Id, WireEvent, at_most};

/// Takes one event, an array of events, or newline-delimited events: all of a batch or none. The answer comes when they are
/// on disk; sent again, an event is known by its `event_id`.
#[utoipa::path(
    post, path = "/v1/events", tag = "events", request_body = WireEvent,
    responses((status = 200, body = Acknowledgement), (status = "default", body = ProblemBody, content_type = "application/problem+json")),
)]
pub(crate) async fn events(
    State(service): State<Arc<Service>>,
    Batch(rows): Batch<WireEvent>,
) -> Result<Json<Acknowledgement>, Problem> {
    let arrived = Instant::now();
    at_most(rows.len(), service.settings.batch, "events")?;
    let context = service.engine.context_fields();
    let named: Vec<Id> = rows.iter().filter_map(WireEvent::channel).cloned().collect();
    let events = rows.into_iter().enumerate().map(|(i, row)| {
        let event = service.clock.arrival_ms(row.available_at());
        let event = event.and_then(|arrival_ms| row.into_event(context, arrival_ms));
        event.map_err(|problem| problem.at_row(i))
    });
    let events = events.collect::<Result<Vec<_>, Problem>>()?;
    let admitted = service.ingesting.enter().await?;
    let working = Arc::clone(&service);
    let acknowledged = service
        .compute(move || {
            working.engine.learn_channels(named.iter())?;
            // A batch arrives as a whole, with the last of its events.
            let now_ms = working.clock.now_ms();
            working.engine.ingest(events, now_ms)
        })
        .await??;
    drop(admitted);
    let mut stages = Stages::default();
    stages.took(Stage::Ingest, arrived.elapsed());
    service.telemetry.took(&stages);
    for (fate, count) in [
        ("admitted", acknowledged.admitted),
        ("duplicate", acknowledged.duplicate),
        ("late", acknowledged.late),
    ] {
        service.telemetry.events(fate, count);
    }
    Ok(Json(acknowledged))
}
