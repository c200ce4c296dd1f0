//! `eliverec serve`: a bundle in service over HTTP, with the state of all users and channels and its durable log, or that of another
//! process.

mod attempts;
mod config;
mod housekeeping;
mod reports;
#[cfg_attr(not(feature = "redis"), path = "unshared.rs")]
pub(crate) mod shared;

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use clap::ValueEnum;
use eliverec_console::Reports;
use eliverec_http::clock::Clock;
use eliverec_http::{Code, Engine, EngineConfig, Problem, Service, Tokens, server};
use eliverec_tables::events::layout::EXPERIMENTS_FILE;

use super::{now_ms, print, read_text, tell};
use config::ServeConfig;
use housekeeping::{Days, Housekeeping, Snapshots};
use reports::LogReports;

/// Answer requests for ranked channels over HTTP
#[derive(Debug, clap::Args)]
#[command(after_help = "\
What was acknowledged is on disk in the state's directory and known to every request that begins afterwards; a restart goes on there.
Days that are over become folders of an event log, from which `eliverec samples` computes the features that requests saw.
GET /openapi.json describes the calls, docs/serving.md the rest; /console has pages for people.

Several processes: one takes events in and shares what it knows by a Redis-compatible server (--redis), others follow it and answer
requests (--follow, without --state). Both need a program built with `--features redis`.

Examples:
  eliverec serve --bundle demo/bundle --state work/state
  eliverec serve --bundle demo/bundle --state work/state --listen 0.0.0.0:8088 --tokens tokens.toml --watch
  eliverec serve --bundle demo/bundle --state work/state --experiments experiments.toml
  eliverec serve --bundle demo/bundle --state work/state --redis redis://127.0.0.1:6379
  eliverec serve --bundle demo/bundle --follow redis://127.0.0.1:6379 --listen 127.0.0.1:8089
  curl -s localhost:8088/v1/recommend -H 'content-type: application/json' -d '{\"user_id\": 1, \"context\": {\"hour\": 20}, \"k\": 5}'")]
pub(crate) struct Arguments {
    /// Bundle to serve
    #[arg(long, value_name = "BUNDLE")]
    bundle: PathBuf,
    /// Directory of the state, made if it is not there; the first bundle's tables are what it begins with
    #[arg(long, value_name = "DIR", required_unless_present = "follow")]
    state: Option<PathBuf>,
    /// Where days that are over go, a log as `eliverec samples` reads it; days/ in the state's directory if omitted
    #[arg(long, value_name = "DIR", conflicts_with = "follow")]
    logs: Option<PathBuf>,
    /// Redis-compatible server by which other processes follow this one
    #[arg(
        long,
        value_name = "URL",
        env = "ELIVEREC_REDIS",
        hide_env_values = true,
        conflicts_with = "follow"
    )]
    redis: Option<String>,
    /// Redis-compatible server by which this process follows another one, without a state of its own: it takes nothing in
    #[arg(
        long,
        value_name = "URL",
        env = "ELIVEREC_FOLLOW",
        hide_env_values = true,
        conflicts_with = "state"
    )]
    follow: Option<String>,
    /// What names at that server begin with; one that takes events in has it for itself
    #[arg(long, value_name = "NAME", default_value = "eliverec")]
    prefix: String,
    /// Address and port; port 0 takes one that is free
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8088")]
    listen: SocketAddr,
    /// TOML file of tokens with scopes; without it only this machine may call
    #[arg(long, value_name = "FILE", env = "ELIVEREC_TOKENS")]
    tokens: Option<PathBuf>,
    /// TOML file of limits, retrieval and state (docs/serving.md)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// TOML file of experiments: layers of buckets with bundles, quotas and utilities (docs/experiments.md)
    #[arg(long, value_name = "FILE", conflicts_with = "follow")]
    experiments: Option<PathBuf>,
    /// Whose clock counts: callers' moments act out another time, for simulations and tests
    #[arg(long, value_name = "WHOSE", default_value = "machine")]
    clock: WhoseClock,
    /// Put another bundle in service when one takes the place of --bundle, as `eliverec export --force` does
    #[arg(long)]
    watch: bool,
    /// Least severe lines of the log on standard error; debug has one per answer
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log_level: tracing::Level,
}

/// How long the end waits for work beside requests, once for what calls began and once for the service's own.
const ENDING: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, ValueEnum)]
enum WhoseClock {
    Machine,
    Callers,
}

/// Whether a service of this process hears that it is asked to end.
static HEARS: AtomicBool = AtomicBool::new(false);

/// See [`HEARS`]: it ends by itself then, and nothing else of this process has to.
pub(crate) fn hears_interrupts() -> bool {
    HEARS.load(Ordering::Relaxed)
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    run_beside(arguments, |_| Ok(()))
}

/// The same with something beside it, which `begin` makes when the service listens at an address and which is dropped when it has ended.
pub(crate) fn run_beside<T>(
    arguments: &Arguments,
    begin: impl FnOnce(SocketAddr) -> anyhow::Result<T>,
) -> anyhow::Result<u8> {
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_max_level(arguments.log_level)
        .with_writer(std::io::stderr)
        .init();
    let ended = || {
        let asked = server::asked_to_end();
        HEARS.store(true, Ordering::Relaxed);
        asked
    };
    let listens = |address: SocketAddr| {
        print(&format!("listening on http://{address}"))?;
        begin(address)
    };
    answer(arguments, ended, listens, tell)?;
    Ok(crate::OK)
}

impl Arguments {
    /// A service of this machine's callers, whose clock counts, whatever the environment says.
    pub(crate) fn of_callers(
        listen: SocketAddr,
        bundle: PathBuf,
        state: PathBuf,
        config: Option<PathBuf>,
        experiments: Option<PathBuf>,
    ) -> Self {
        Self {
            bundle,
            state: Some(state),
            logs: None,
            redis: None,
            follow: None,
            prefix: String::new(),
            listen,
            tokens: None,
            config,
            experiments,
            clock: WhoseClock::Callers,
            watch: false,
            log_level: tracing::Level::WARN,
        }
    }
}

/// Answers until what `ended` makes is there. `listens` hears the address, and what it makes is dropped at the end; `told` hears how the
/// state was opened and left.
pub(crate) fn answer<E: Future<Output = ()> + Send + 'static, T>(
    arguments: &Arguments,
    ended: impl FnOnce() -> E,
    listens: impl FnOnce(SocketAddr) -> anyhow::Result<T>,
    told: fn(&str),
) -> anyhow::Result<()> {
    let config = match &arguments.config {
        Some(path) => ServeConfig::parse(&read_text(path)?, path)?,
        None => ServeConfig::default(),
    };
    let tokens = match &arguments.tokens {
        Some(path) => Tokens::parse(&read_text(path)?, &path.display().to_string())?,
        None => Tokens::default(),
    };
    tokens.check_address(arguments.listen)?;
    let listener = TcpListener::bind(arguments.listen)
        .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
        .map_err(eliverec_http::Error::Network)
        .with_context(|| arguments.listen.to_string())?;

    let in_state = || arguments.state.as_deref().map(|state| state.join("days"));
    let logs = arguments.logs.clone().or_else(in_state);
    let engine_config = EngineConfig {
        bundle: arguments.bundle.clone(),
        retrieval: config.retrieval.clone(),
        cache_bytes: config.cache_mib << 20,
        impressions: config.impressions,
        journal: logs.as_ref().map(|logs| logs.join(EXPERIMENTS_FILE)),
    };
    let of_log = logs.as_ref().map(|logs| LogReports::new(logs.clone()));
    let reports = of_log.map(|of| Arc::new(of) as Arc<dyn Reports>);
    let prefix = arguments.prefix.as_str();
    if let Some(logs) = &logs {
        // Before anything is made anywhere.
        eliverec_archive::check(logs)?;
    }
    let clock = match arguments.clock {
        WhoseClock::Machine => Clock::machine(now_ms),
        WhoseClock::Callers => Clock::callers(),
    };
    let (engine, following) = match (&arguments.follow, &arguments.state) {
        (Some(url), _) => {
            let deadline = config.limits.deadline();
            let (engine, following) = shared::follow(url, prefix, engine_config, deadline)?;
            (engine, Some(following))
        }
        (None, Some(state)) => {
            let engine = Engine::open(engine_config, state, config.state.into())?;
            tell_opened(&engine, told);
            tell_ahead(&engine, &clock)?;
            (engine, None)
        }
        (None, None) => anyhow::bail!("neither --state nor --follow is given"),
    };
    let days = match logs {
        Some(logs) => Some(begin_days(&engine, logs, config.state.keep_days)?),
        None => None,
    };
    let service = Arc::new(Service::new(config.limits, tokens, clock, engine));
    if service.engine.state().is_some() {
        begin_experiments(&service, arguments.experiments.as_deref())?;
    }
    let watched = arguments.watch.then(|| arguments.bundle.clone());
    let sharing = match &arguments.redis {
        Some(url) => shared::share(url, prefix, config.state.shared_records, &service)?,
        None => None,
    };
    let snapshots = Snapshots {
        every: Duration::from_secs(config.snapshot_s),
        records: config.snapshot_records,
    };
    let housekeeping = Housekeeping::begin(Arc::clone(&service), days, watched, snapshots)?;

    let threads = config.limits.threads();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.enable_all().max_blocking_threads(threads).build()?;
    let beside = runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let ended = ended();
        let beside = listens(listener.local_addr()?)?;
        let pages = eliverec_console::pages(Arc::clone(&service), reports);
        server::serve(listener, Arc::clone(&service), pages, ended).await?;
        anyhow::Ok(beside)
    })?;
    drop(beside);
    // What waits for a file or a disk that does not answer keeps nobody: what was acknowledged is on disk.
    runtime.shutdown_timeout(ENDING);
    if !housekeeping.end(ENDING) {
        tell("note: what is done beside requests did not end, and is left as after a kill");
    }
    sharing.into_iter().chain(following).for_each(shared::Shared::end);
    if let Some(state) = service.engine.state() {
        match state.stopped() {
            // The next start then has nothing to replay.
            None => {
                state.snapshot()?;
            }
            Some(stopped) => tell(&format!("note: no snapshot is left: {stopped}")),
        }
        told("ended; everything that was acknowledged is on disk");
    }
    Ok(())
}

/// The log that days go to, closed to other services. Days that are gone from it are told, and what it knows of ids is known.
fn begin_days(engine: &Engine, logs: PathBuf, keep: Option<usize>) -> anyhow::Result<Days> {
    /// The longest list of days in a message.
    const NAMED: usize = 10;
    let dimensions = engine.dimensions()?;
    let held = eliverec_archive::begin(&logs, engine.schema(), &dimensions, &engine.ids())?;
    engine.know_ids(&held.ids);
    if let Some(state) = engine.state() {
        let gone = eliverec_archive::gone(state, &logs, keep)?;
        if !gone.is_empty() {
            let named: Vec<String> = gone.iter().take(NAMED).map(ToString::to_string).collect();
            let more = if gone.len() > NAMED { ", ..." } else { "" };
            tell(&format!(
                "warning: {}: the folders of {} days that were moved there are gone: {}{more}; whoever moved or removed them has them, and those whose records are \
                 still in the log are written again",
                logs.display(),
                gone.len(),
                named.join(", ")
            ));
        }
    }
    Ok(Days { logs, keep, held })
}

/// Puts the experiments of a file in service, or none, which ends those that ran before.
fn begin_experiments(service: &Service, file: Option<&Path>) -> anyhow::Result<()> {
    let refused = |problem: Problem| match problem.code {
        Code::ExperimentsRefused => {
            let (field, reason) = ("--experiments", problem.detail);
            eliverec_http::Error::Setting { field, reason }.into()
        }
        _ => anyhow::anyhow!(problem.detail),
    };
    service.experiment(file).map(drop).map_err(refused)
}

/// Tells if records are of the future by the machine's clock; far ahead they are refused. Callers' clocks are the truth.
fn tell_ahead(engine: &Engine, clock: &Clock) -> Result<(), eliverec_http::Error> {
    let (Some(state), Clock::Machine { .. }) = (engine.state(), clock) else { return Ok(()) };
    let ahead_ms = state.ahead_ms(clock.now_ms())?;
    if ahead_ms > 0 {
        tell(&format!(
            "warning: the newest record is of {ahead_ms} ms after now by the machine's clock, which is behind, or was ahead; until then stamps grow by a millisecond a group"
        ));
    }
    Ok(())
}

/// Tells how the state was opened.
fn tell_opened(engine: &Engine, told: fn(&str)) {
    let Some(state) = engine.state() else { return };
    let opened = state.opened();
    opened.passed_over.iter().for_each(|what| tell(&format!("note: snapshot passed over: {what}")));
    let from = opened.snapshot.map_or("the log".into(), |number| format!("snapshot {number}"));
    told(&format!(
        "state: {from} and {} records after it, in {:.2} s; position {}",
        opened.replayed,
        opened.took.as_secs_f64(),
        state.position()
    ));
}
