//! One state for several processes, by a Redis-compatible server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use eliverec_http::{Engine, EngineConfig, Service};
use eliverec_shared::{BEAT, Follower, Sharing};

/// The thread that shares or follows; it ends when it is told to.
#[derive(Debug)]
pub(super) struct Shared {
    is_ended: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Shared {
    fn begin(run: impl FnOnce(&AtomicBool) + Send + 'static) -> std::io::Result<Self> {
        let is_ended = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&is_ended);
        let thread = std::thread::Builder::new().name("eliverec-shared".into());
        let thread = thread.spawn(move || run(&seen))?;
        Ok(Self { is_ended, thread })
    }

    /// Ends when what is being done is done.
    pub(super) fn end(self) {
        self.is_ended.store(true, Ordering::Relaxed);
        // It may have ended by a panic, which its message has told.
        let _ = self.thread.join();
    }
}

/// Tells those who follow, by the server at `url`, what the service takes in; a snapshot is brought there every so many records.
pub(super) fn share(
    url: &str,
    prefix: &str,
    snapshot_records: u64,
    service: &Arc<Service>,
) -> anyhow::Result<Option<Shared>> {
    let Some(state) = service.engine.state() else { return Ok(None) };
    let sharing = Sharing::begin(url, prefix, snapshot_records, state)?;
    // What is acknowledged from now on is shared before, if the server is there.
    sharing.look(state, || service.clock.now_ms(), || service.engine.names());
    let service = Arc::clone(service);
    let shared = Shared::begin(move |is_ended| {
        while let Some(state) = service.engine.state()
            && !is_ended.load(Ordering::Relaxed)
        {
            sharing.look(state, || service.clock.now_ms(), || service.engine.names());
            std::thread::sleep(BEAT);
        }
        sharing.end();
    })?;
    Ok(Some(shared))
}

/// An engine that follows the state of another process by the server at `url`.
pub(super) fn follow(
    url: &str,
    prefix: &str,
    config: EngineConfig,
    deadline: Duration,
) -> anyhow::Result<(Engine, Shared)> {
    let mut begun = None;
    let engine = Engine::follow(config, deadline, |schema, features| {
        let follower = Follower::begin(url, prefix, schema, features)?;
        let replica = follower.replica();
        begun = Some(follower);
        anyhow::Ok(replica)
    })?;
    let shared = Shared::begin(move |is_ended| {
        if let Some(follower) = begun {
            follower.run(is_ended);
        }
    })?;
    Ok((engine, shared))
}

/// Whose fault an error of the server is, if it is one.
pub(crate) fn is_bad_input(cause: &(dyn std::error::Error + 'static)) -> Option<bool> {
    Some(cause.downcast_ref::<eliverec_shared::Error>()?.is_bad_input())
}
