//! Simulated users at a service, in the world's time: what they did in the last days goes in at once, and then they ask for channels at
//! a steady pace, watch what they are shown or not, and what they do comes back as events.

use std::cell::{Cell, RefCell};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use eliverec_core::event::Scalar;
use eliverec_core::schema::Group;
use eliverec_core::{Event, EventKind, Schema};
use eliverec_sim::config::DAY_MS;
use eliverec_sim::{LiveChannel, Log, LoggingPolicy, Policy, PolicyRequest, World, WorldConfig};
use serde_json::{Map, Value, json};

use crate::commands::tell;

/// Days before the first request whose events go in: the histories of users, and what channels are and were doing.
const PAST_DAYS: i64 = 7;
/// Days for which the world goes on at most; they take many hours.
const DAYS_AHEAD: u32 = 3_650;
/// Events of a call.
const BATCH: usize = 1_000;
/// What a call may span: it arrives with its last event, and events that arrive ten minutes late are in no feature.
const SPAN_MS: i64 = 300_000;
/// How long a service that does not answer may take to end.
const ENDING: Duration = Duration::from_secs(30);

/// Users at work on a thread of their own; they stop when this is dropped.
#[derive(Debug)]
pub(super) struct Users {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Users {
    /// The users of a world call the service at `url`, `pace` requests a second. `at_work` is called when what they did before is in.
    pub(super) fn begin(
        url: String,
        config: WorldConfig,
        pace: f64,
        at_work: impl FnOnce() + Send + 'static,
    ) -> anyhow::Result<Self> {
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new().name("eliverec-users".into());
        let thread = thread.spawn(move || {
            let lived = Caller::new(url, pace, stopped).and_then(|caller| {
                let end = live(&caller, &config, at_work);
                match end {
                    // A service that ends does not answer; whoever ended it stops its users next.
                    Err(End::Failed(reason)) => match caller.stopped.recv_timeout(ENDING) {
                        Err(RecvTimeoutError::Timeout) => Err(reason),
                        Ok(()) | Err(RecvTimeoutError::Disconnected) => Ok(()),
                    },
                    Ok(()) | Err(End::Asked) => Ok(()),
                }
            });
            if let Err(reason) = lived {
                tell(&format!("warning: the simulated users have left: {reason:#}"));
            }
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Users {
    fn drop(&mut self) {
        drop(self.stop.take());
        // A panic has been told.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Why users stop.
enum End {
    /// They were asked to.
    Asked,
    /// The service does not take what they say.
    Failed(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for End {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

fn live(caller: &Caller, config: &WorldConfig, at_work: impl FnOnce()) -> Result<(), End> {
    // What the log of the demo has of late and double arrivals is there to be learnt from; here it would only stop the clock.
    let config = WorldConfig {
        late_share: 0.0,
        very_late_share: 0.0,
        duplicate_share: 0.0,
        displaced_share: 0.0,
        ..config.clone()
    };
    let mut world = World::new(&config)?;
    let now_ms = config.start_ms + i64::from(config.days) * DAY_MS;
    let mut past = Past { caller, from_ms: now_ms - PAST_DAYS * DAY_MS };
    let mut policy = LoggingPolicy::new(config.seed);
    world.run_days(world.days_left(), &mut policy, &mut past, &mut |_| ())?;
    caller.send()?;
    at_work();
    world.go_on(DAYS_AHEAD);
    caller.due.set(Instant::now());
    let days = world.days_left();
    world.run_days(days, &mut Asking { caller }, &mut Answered { caller }, &mut |_| ())?;
    Ok(())
}

/// Whoever calls the service for all users.
struct Caller {
    agent: ureq::Agent,
    url: String,
    schema: Schema,
    /// Time between two requests.
    every: Duration,
    /// When the next request is due.
    due: Cell<Instant>,
    /// Events that are to be sent, and the moment of the first.
    waiting: RefCell<Vec<Value>>,
    first_ms: Cell<i64>,
    /// The newest moment that the service was told.
    last_ms: Cell<i64>,
    /// Why the world has to stop, from where nothing can be returned.
    end: RefCell<Option<End>>,
    stopped: Receiver<()>,
}

impl Caller {
    fn new(url: String, pace: f64, stopped: Receiver<()>) -> anyhow::Result<Self> {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(30)))
            .build();
        Ok(Self {
            agent: agent.into(),
            url,
            schema: Schema::parse(eliverec_sim::SCHEMA)?,
            every: Duration::from_secs_f64(1.0 / pace),
            due: Cell::new(Instant::now()),
            waiting: RefCell::default(),
            first_ms: Cell::new(i64::MIN),
            last_ms: Cell::new(i64::MIN),
            end: RefCell::default(),
            stopped,
        })
    }

    /// Waits, unless users are to stop.
    fn pause(&self, time: Duration) -> Result<(), End> {
        match self.stopped.recv_timeout(time) {
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => Err(End::Asked),
        }
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value, End> {
        let body = serde_json::to_vec(body)?;
        loop {
            let call = self.agent.post(format!("{}{path}", self.url));
            let call = call.header("content-type", "application/json");
            let mut answer = call.send(&body).context(path.to_owned())?;
            let text = answer.body_mut().read_to_string().context(path.to_owned())?;
            match answer.status().as_u16() {
                200 => return Ok(serde_json::from_str(&text)?),
                // It has too much to do for now.
                429 | 503 => self.pause(Duration::from_secs(1))?,
                status => return Err(anyhow!("{path} was answered with {status}: {text}").into()),
            }
        }
    }

    /// What happened, to be sent with what happens soon after.
    fn happened(&self, event: &Event) -> Result<(), End> {
        if self.waiting.borrow().is_empty() {
            self.first_ms.set(event.ts_ms);
        } else if event.ts_ms - self.first_ms.get() > SPAN_MS
            || self.waiting.borrow().len() == BATCH
        {
            self.send()?;
            self.first_ms.set(event.ts_ms);
        }
        let at_ms = self.goes_on(event.ts_ms);
        let wire = wire(&self.schema, event, at_ms);
        self.waiting.borrow_mut().push(wire);
        Ok(())
    }

    /// The moment as the service takes it: not before what it was told.
    fn goes_on(&self, ms: i64) -> i64 {
        self.last_ms.set(self.last_ms.get().max(ms));
        self.last_ms.get()
    }

    fn send(&self) -> Result<(), End> {
        let events = self.waiting.take();
        if !events.is_empty() {
            self.post("/v1/events", &Value::Array(events))?;
        }
        Ok(())
    }

    /// The channels that the service shows.
    fn ask(&self, request: &PolicyRequest) -> Result<Vec<u64>, End> {
        let due = self.due.get();
        self.pause(due.saturating_duration_since(Instant::now()))?;
        // Who was kept waiting does not hurry afterwards.
        self.due.set(due.max(Instant::now()) + self.every);
        self.send()?;
        let ask = json!({
            "user_id": request.user_id, "request_id": request.request_id, "at": self.goes_on(request.at_ms),
            "k": request.wanted, "context": context(&self.schema, &request.context()), "tasks": true,
        });
        let answer = self.post("/v1/recommend", &ask)?;
        if let Some(at_ms) = answer["at"].as_i64() {
            self.goes_on(at_ms);
        }
        let channels = answer["channels"].as_array().into_iter().flatten();
        Ok(channels.filter_map(|channel| channel["channel_id"].as_u64()).collect())
    }

    /// Remembers why the world has to stop.
    fn or_end<T: Default>(&self, done: Result<T, End>) -> T {
        done.unwrap_or_else(|end| {
            self.end.borrow_mut().get_or_insert(end);
            T::default()
        })
    }

    fn goes_well(&self) -> Result<(), End> {
        self.end.take().map_or(Ok(()), Err)
    }
}

/// An event as the service takes it.
fn wire(schema: &Schema, event: &Event, available_at_ms: i64) -> Value {
    let mut wire = json!({
        "event_id": event.event_id, "ts": event.ts_ms, "available_at": available_at_ms, "kind": event.kind.name(),
        "user_id": event.user_id, "channel_id": event.channel_id, "product_id": event.product_id,
        "request_id": event.request_id, "position": event.position, "value": event.value,
    });
    if event.kind == EventKind::Impression {
        wire["context"] = context(schema, &event.context);
    }
    wire
}

fn context(schema: &Schema, values: &[Scalar]) -> Value {
    let values = values.iter().map(|value| match value {
        Scalar::Id(id) => json!(id),
        Scalar::Number(number) => json!(number),
    });
    let names = schema.fields(Group::Context).iter().map(|field| field.name.clone());
    Value::Object(names.zip(values).collect::<Map<_, _>>())
}

/// What users did before the service began.
struct Past<'a> {
    caller: &'a Caller,
    from_ms: i64,
}

impl Log for Past<'_> {
    type Error = End;

    fn event(&mut self, event: &Event) -> Result<(), End> {
        if event.ts_ms < self.from_ms { Ok(()) } else { self.caller.happened(event) }
    }
}

/// Shows what the service recommends, and tells it all that happens.
struct Asking<'a> {
    caller: &'a Caller,
}

impl Policy for Asking<'_> {
    fn rank(&mut self, request: &PolicyRequest, _: &[LiveChannel], ranking: &mut Vec<u64>) {
        ranking.extend(self.caller.or_end(self.caller.ask(request)));
    }

    fn observe(&mut self, event: &Event) {
        self.caller.or_end(self.caller.happened(event));
    }
}

/// The log that the service writes stands for the world's own, which ends the world when users are to stop.
struct Answered<'a> {
    caller: &'a Caller,
}

impl Log for Answered<'_> {
    type Error = End;

    fn event(&mut self, _: &Event) -> Result<(), End> {
        self.caller.goes_well()
    }
}
