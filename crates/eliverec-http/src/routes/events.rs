//! What happened, into the log and the features.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use eliverec_core::{Event, EventKind};

use crate::acknowledgement::Acknowledgement;
use crate::clock;
use crate::extract::Batch;
use crate::problem::{Problem, ProblemBody};
use crate::service::Service;
use crate::settings::Impressions;
use crate::wire::{Id, Shape, WireEvent, at_most};

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
    let ids = service.engine.ids();
    let context = Shape { fields: service.engine.context_fields(), ids: &ids };
    let named: Vec<Id> = rows.iter().filter_map(WireEvent::channel).cloned().collect();
    let begins = rows.iter().filter(|row| row.begins_a_stream());
    let begins: Vec<Id> = begins.filter_map(WireEvent::channel).cloned().collect();
    let (mut first, mut last) = (None, i64::MIN);
    let mut arrival = |available_at| {
        let arrival_ms = service.clock.arrival_ms(available_at)?;
        if available_at.is_some() && arrival_ms < last {
            return Err(clock::before("available_at", arrival_ms, last));
        }
        first.get_or_insert(arrival_ms);
        last = arrival_ms;
        Ok(arrival_ms)
    };
    let events = rows.into_iter().enumerate().map(|(i, row)| {
        let event = arrival(row.available_at());
        let event = event.and_then(|arrival_ms| row.into_event(context, arrival_ms));
        let event = event.and_then(|event| counts(service.engine.impressions(), event));
        event.map_err(|problem| problem.at_row(i))
    });
    let events = events.collect::<Result<Vec<_>, Problem>>()?;
    let admitted = service.ingesting.enter().await?;
    let working = Arc::clone(&service);
    let acknowledged = service
        .compute_admitted(admitted, move || {
            // Nothing moves the clock that was refused.
            if let Some(first) = first {
                working.clock.arrived(first, last).map_err(|problem| problem.at_row(0))?;
            }
            working.engine.learn_channels(named.iter(), &begins)?;
            // A batch arrives as a whole, with the last of its events.
            let now_ms = working.clock.now_ms();
            working.engine.ingest(events, now_ms)
        })
        .await??;
    service.telemetry.ingested(&acknowledged, arrived.elapsed());
    Ok(Json(acknowledged))
}

/// The event, unless it says what the service's own answers say already.
fn counts(impressions: Impressions, event: Event) -> Result<Event, Problem> {
    if impressions == Impressions::Answers && event.kind == EventKind::Impression {
        let detail = "this service logs its answers as impressions (impressions = \"answers\"), and one request has one truth; leave \
                      impressions out";
        return Err(Problem::invalid("kind", detail));
    }
    Ok(event)
}
