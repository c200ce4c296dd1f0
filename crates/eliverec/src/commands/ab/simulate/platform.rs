//! Between the world and a service: events go there as they arrive, requests when users ask, answers come back as rankings.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Write as _;

use anyhow::Context;
use eliverec_core::Event;
use eliverec_core::id::IdHash;
use eliverec_core::schema::{Group, Schema};
use eliverec_sim::{LiveChannel, Log, Outbox, Policy, PolicyRequest};

use super::client::Client;

/// So many events wait for others at most where nobody asks.
const WAITING: usize = 10_000;

/// What a platform knows of its service.
#[derive(Clone, Debug)]
pub(super) struct Platform {
    outbox: Outbox,
    /// Names of the context's fields.
    fields: Vec<String>,
    /// The newest moment that the service was told or told itself, milliseconds since 1970 UTC.
    told_ms: i64,
    /// The newest event's own time.
    newest_ms: i64,
    /// When a request was answered, if that was not the moment at which it was asked.
    moved: HashMap<u64, i64, IdHash>,
    /// And the longest time, milliseconds, between the first and the last event of a call; `None` where events were sent before.
    service: Option<(Client, i64)>,
    /// Requests that were ranked.
    pub(super) requests: u64,
}

impl Platform {
    pub(super) fn new(schema: &Schema) -> Self {
        let fields = schema.fields(Group::Context).iter().map(|field| field.name.clone());
        Self {
            outbox: Outbox::default(),
            fields: fields.collect(),
            told_ms: i64::MIN,
            newest_ms: i64::MIN,
            moved: HashMap::default(),
            service: None,
            requests: 0,
        }
    }

    /// Calls this service from now on. A call arrives as a whole, with the last of its events, which happened so many milliseconds after the first at
    /// most.
    pub(super) fn call(&mut self, service: Client, span_ms: i64) {
        self.service = Some((service, span_ms));
    }

    /// Calls nobody from now on.
    pub(super) fn hang_up(&mut self) {
        self.service = None;
    }

    /// Sends what has arrived at a moment. Moments never go back, and an impression is of the moment at which its request was answered.
    pub(super) fn send(&mut self, at_ms: i64) -> anyhow::Result<()> {
        let mut events = self.outbox.arrived(at_ms);
        for event in &mut events {
            self.told_ms = self.told_ms.max(event.available_at_ms);
            event.available_at_ms = self.told_ms;
            if let (Some(_), Some(at_ms)) =
                (event.position, event.request_id.and_then(|request| self.moved.get(&request)))
            {
                event.ts_ms = *at_ms;
            }
        }
        let Some((service, span_ms)) = &self.service else { return Ok(()) };
        let mut left = &events[..];
        while let Some(first) = left.first() {
            let until_ms = first.available_at_ms + span_ms;
            let (now, later) =
                left.split_at(left.partition_point(|event| event.available_at_ms <= until_ms));
            service.send(now, &self.fields)?;
            left = later;
        }
        Ok(())
    }

    /// The last events of a platform that closes: what is on the air ends at this moment.
    pub(super) fn close(&mut self, events: &[Event]) -> anyhow::Result<()> {
        self.send(i64::MAX)?;
        for event in events {
            let Ok(()) = self.outbox.event(event);
        }
        self.send(i64::MAX)
    }

    fn emit(&mut self, event: &Event) -> anyhow::Result<()> {
        let Ok(()) = self.outbox.event(event);
        self.newest_ms = self.newest_ms.max(event.ts_ms);
        if self.outbox.len() >= WAITING { self.send(self.newest_ms) } else { Ok(()) }
    }

    /// Asks the service for channels; the ranking and the moment of the answer.
    fn ask(&mut self, request: &PolicyRequest) -> anyhow::Result<(Vec<u64>, i64)> {
        self.send(request.at_ms)?;
        let (service, _) = self.service.as_ref().context("a user asks, and there is no service")?;
        let at_ms = request.at_ms.max(self.told_ms);
        let answer = service.recommend(request, at_ms, &self.fields)?;
        Ok((answer.channels().collect(), answer.at))
    }

    /// The moment of an answer may be before that of the request, when what came between is still on its way into the log.
    fn answered(&mut self, request: &PolicyRequest, at_ms: i64) {
        self.told_ms = self.told_ms.max(request.at_ms).max(at_ms);
        if at_ms != request.at_ms {
            self.moved.insert(request.request_id, at_ms);
        }
        self.requests += 1;
    }
}

/// The events of a world, on their way to the service.
pub(super) struct Emits<'a> {
    pub(super) platform: &'a RefCell<Platform>,
    /// Why a ranking is not there, which ends the world.
    pub(super) failed: &'a RefCell<Option<anyhow::Error>>,
}

impl Log for Emits<'_> {
    type Error = anyhow::Error;

    fn event(&mut self, event: &Event) -> anyhow::Result<()> {
        match self.failed.take() {
            Some(failed) => Err(failed),
            None => self.platform.borrow_mut().emit(event),
        }
    }
}

/// Rankings of a service, written down: a line per request with the moment of the answer.
pub(super) struct Asks<'a> {
    pub(super) platform: &'a RefCell<Platform>,
    pub(super) failed: &'a RefCell<Option<anyhow::Error>>,
    pub(super) written: String,
}

impl Policy for Asks<'_> {
    fn rank(&mut self, request: &PolicyRequest, _: &[LiveChannel], ranking: &mut Vec<u64>) {
        if self.failed.borrow().is_some() {
            return;
        }
        let mut platform = self.platform.borrow_mut();
        match platform.ask(request) {
            Ok((channels, at_ms)) => {
                platform.answered(request, at_ms);
                // Writing to a string cannot fail.
                let _ = write!(self.written, "{} {at_ms}", request.request_id);
                for channel in &channels {
                    let _ = write!(self.written, " {channel}");
                }
                self.written.push('\n');
                ranking.extend(channels);
            }
            Err(error) => *self.failed.borrow_mut() = Some(error),
        }
    }
}

/// Rankings as they were written down.
pub(super) struct Recalls<'a> {
    pub(super) platform: &'a RefCell<Platform>,
    pub(super) failed: &'a RefCell<Option<anyhow::Error>>,
    pub(super) lines: std::str::Lines<'a>,
}

impl Recalls<'_> {
    fn recall(&mut self, request: &PolicyRequest) -> anyhow::Result<Vec<u64>> {
        let line = self.lines.next().context("rankings end before the day does")?;
        let mut numbers = line.split(' ');
        let mut next = || numbers.next().context("a line ends").and_then(|n| Ok(n.parse::<u64>()?));
        let (request_id, at_ms) = (next()?, next()?);
        anyhow::ensure!(
            request_id == request.request_id,
            "rankings are of request {request_id}, and user {} asks by request {}",
            request.user_id,
            request.request_id
        );
        let mut platform = self.platform.borrow_mut();
        platform.send(request.at_ms)?;
        platform.answered(request, i64::try_from(at_ms)?);
        numbers.map(|number| Ok(number.parse()?)).collect()
    }
}

impl Policy for Recalls<'_> {
    fn rank(&mut self, request: &PolicyRequest, _: &[LiveChannel], ranking: &mut Vec<u64>) {
        match self.recall(request) {
            Ok(channels) => ranking.extend(channels),
            Err(error) => *self.failed.borrow_mut() = Some(error),
        }
    }
}
