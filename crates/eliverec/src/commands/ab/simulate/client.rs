//! Whoever calls a service of the simulation: the platform's pages and pipelines.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, bail};
use eliverec_core::Event;
use eliverec_core::event::Scalar;
use eliverec_sim::PolicyRequest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Calls one service, one call after the other.
#[derive(Clone, Debug)]
pub(super) struct Client {
    agent: ureq::Agent,
    url: String,
}

/// An event as the service takes it in.
#[derive(Serialize)]
struct Sent<'a> {
    event_id: u64,
    ts: i64,
    available_at: i64,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    product_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<f64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    context: BTreeMap<&'a str, Value>,
}

/// What an answer says of the channels and its moment.
#[derive(Deserialize)]
pub(super) struct Ranked {
    pub(super) at: i64,
    channels: Vec<Channel>,
}

#[derive(Deserialize)]
struct Channel {
    channel_id: u64,
}

impl Ranked {
    /// Channels, best first.
    pub(super) fn channels(&self) -> impl Iterator<Item = u64> {
        self.channels.iter().map(|of| of.channel_id)
    }
}

/// Events of one call.
const BATCH: usize = 5_000;

impl Client {
    pub(super) fn new(url: &str) -> Self {
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build();
        Self { agent: agent.into(), url: url.into() }
    }

    /// Sends events, whose context has the values of `fields` by name.
    pub(super) fn send(&self, events: &[Event], fields: &[String]) -> anyhow::Result<()> {
        for batch in events.chunks(BATCH) {
            let sent: Vec<Sent<'_>> = batch.iter().map(|event| Sent::of(event, fields)).collect();
            let _: Value = self.post("/v1/events", &sent)?;
        }
        Ok(())
    }

    /// Asks for channels at a moment.
    pub(super) fn recommend(
        &self,
        request: &PolicyRequest,
        at_ms: i64,
        fields: &[String],
    ) -> anyhow::Result<Ranked> {
        let body = json!({
            "user_id": request.user_id, "request_id": request.request_id, "at": at_ms, "k": request.wanted,
            "tasks": false, "context": values(fields, &request.context()),
        });
        self.post("/v1/recommend", &body)
    }

    /// Puts the experiments of a file in service, in the place of others.
    pub(super) fn experiment(&self, file: &Path) -> anyhow::Result<()> {
        let path = file.to_str().context("a path that is no text")?;
        let _: Value = self.post("/v1/admin/experiments", &json!({"path": path}))?;
        Ok(())
    }

    fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> anyhow::Result<T> {
        let request = self.agent.post(format!("{}{path}", self.url));
        let request = request.header("content-type", "application/json");
        let body = serde_json::to_vec(body)?;
        let mut answer = request.send(&body[..]).with_context(|| path.to_owned())?;
        let text = answer.body_mut().read_to_vec()?;
        if answer.status() != 200 {
            bail!("{path}: {} {}", answer.status(), String::from_utf8_lossy(&text));
        }
        serde_json::from_slice(&text).with_context(|| path.to_owned())
    }
}

impl<'a> Sent<'a> {
    fn of(event: &Event, fields: &'a [String]) -> Self {
        Self {
            event_id: event.event_id,
            ts: event.ts_ms,
            available_at: event.available_at_ms,
            kind: event.kind.name(),
            user_id: event.user_id,
            channel_id: event.channel_id,
            product_id: event.product_id,
            request_id: event.request_id,
            position: event.position,
            value: event.value,
            context: values(fields, &event.context),
        }
    }
}

fn values<'a>(fields: &'a [String], values: &[Scalar]) -> BTreeMap<&'a str, Value> {
    let values = values.iter().map(|value| match value {
        Scalar::Id(id) => json!(id),
        Scalar::Number(number) => json!(number),
    });
    fields.iter().map(String::as_str).zip(values).collect()
}
