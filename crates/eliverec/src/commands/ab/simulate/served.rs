//! A service of this process: the same as `eliverec serve`, on the loopback, by the callers' clock.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use eliverec_run::durable;
use eliverec_tables::events::Day;
use tokio::sync::oneshot;

use super::client::Client;
use super::folder::Folder;
use crate::commands::serve;

/// Limits of a service that has one caller, who waits for every answer.
const CONFIG: &str = "\
cache_mib = 64
snapshot_s = 86400
[limits]
deadline_ms = 60000
explained = 1
[state]
gather_ms = 0
";

/// How long a day may take on its way into its folder.
const LONGEST: Duration = Duration::from_mins(10);

/// A service that answers; asked to end when it is dropped.
pub(super) struct Served {
    pub(super) client: Client,
    state: PathBuf,
    end: oneshot::Sender<()>,
    thread: JoinHandle<anyhow::Result<()>>,
}

impl Served {
    /// Begins with a bundle over the state in a directory.
    pub(super) fn begin(
        folder: &Folder,
        bundle: PathBuf,
        state: &Path,
        experiments: Option<PathBuf>,
    ) -> anyhow::Result<Self> {
        let config = folder.config("serve");
        if !config.exists() {
            durable::write(&config, CONFIG.as_bytes())?;
        }
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let arguments =
            serve::Arguments::of_callers(free, bundle, state.into(), Some(config), experiments);
        let (end, ended) = oneshot::channel::<()>();
        let (listens, listening) = mpsc::channel::<SocketAddr>();
        let thread = std::thread::Builder::new().name("eliverec-serve".into());
        let thread = thread.spawn(move || {
            let ended = || async move {
                // Whoever is gone wants no more answers.
                let _ = ended.await;
            };
            let listens = move |address: SocketAddr| Ok(listens.send(address)?);
            serve::answer(&arguments, ended, listens, |_| ())
        })?;
        let Ok(address) = listening.recv() else {
            return Err(end_of(thread).err().unwrap_or_else(|| anyhow::anyhow!("it ended")))
                .context("a service of the simulation did not begin");
        };
        let client = Client::new(&format!("http://{address}"));
        Ok(Self { client, state: state.into(), end, thread })
    }

    /// Waits until a day that is over has its folder in the log.
    pub(super) fn wait_for(&self, day: Day) -> anyhow::Result<()> {
        let (begun, folder) =
            (Instant::now(), self.state.join("days/events").join(format!("date={day}")));
        while !folder.is_dir() {
            if begun.elapsed() > LONGEST {
                bail!("{} has not come within {} s", folder.display(), LONGEST.as_secs());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Ends it; everything that was acknowledged is on disk then.
    pub(super) fn end(self) -> anyhow::Result<()> {
        // A service that has ended says why below.
        let _ = self.end.send(());
        end_of(self.thread)
    }
}

fn end_of(thread: JoinHandle<anyhow::Result<()>>) -> anyhow::Result<()> {
    thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a service of the simulation panicked")))
}
