//! The end of `eliverec demo --serve`: a service that answers half of the users by each model, and the users themselves.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use anyhow::Context;
use eliverec_run::durable;
use eliverec_sim::WorldConfig;

use super::step::{Runner, show, step, words};
use super::users::Users;
use crate::commands::{print, serve, tell};

/// Who is answered by which model: the service's own bundle is that of the first model, so a bundle that is swapped by a page answers
/// the users of its bucket.
fn experiments([first, second]: [&str; 2]) -> String {
    format!(
        r#"# Half of the simulated users are answered by each model.
[[layers]]
name = "ranker"
salt = "demo"
[[layers.buckets]]
name = "{second}"
slots = ["0-4999"]
bundle = "bundle-{second}"
[[layers.buckets]]
name = "{first}"
slots = ["5000-9999"]
"#
    )
}

/// How the service is opened, and who is at work there.
#[derive(Debug)]
pub(super) struct Serving {
    /// Where it listens.
    pub(super) listen: SocketAddr,
    /// Requests of its users a second.
    pub(super) pace: f64,
    /// Their world, which the demo's log is of.
    pub(super) config: WorldConfig,
}

/// Exports the bundle of the second model beside that of the first, and serves both until it is ended.
pub(super) fn serve(
    out: &Path,
    models: [&str; 2],
    Serving { listen, pace, config }: Serving,
    runner: Runner,
) -> anyhow::Result<u8> {
    let (run, bundle) = (out.join(models[1]), out.join(format!("bundle-{}", models[1])));
    let (feeds, logs) = (out.join("feeds"), out.join("logs"));
    let paths = [("--run", &*run), ("--feeds", &feeds), ("--logs", &logs), ("--out", &bundle)];
    step(runner, "export", &paths, &["--force"])?;
    let file = out.join("experiments.toml");
    durable::write(&file, experiments(models).as_bytes())?;

    // Before anything of an earlier start, which may be running, is removed.
    drop(TcpListener::bind(listen).with_context(|| listen.to_string())?);
    let state = out.join("live");
    match fs_err::remove_dir_all(&state) {
        Ok(()) => tell(&format!("{} of an earlier start is made anew", state.display())),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    let first = out.join("bundle");
    let paths = [("--bundle", &*first), ("--state", &state), ("--experiments", &file)];
    let address = listen.to_string();
    let rest = ["--clock", "callers", "--log-level", "warn", "--listen", &address];
    show(&words("serve", &paths, &rest))?;
    let arguments = serve::Arguments::of_callers(listen, first, state, None, Some(file));
    let count = config.users;
    serve::run_beside(&arguments, |address| {
        tell("what the users did in the last days goes in");
        let url = format!("http://{address}");
        let pages = format!("{url}/console");
        Users::begin(url, config, pace, move || {
            // Whoever closed standard output does not wait for it.
            let _ = print(&format!(
                "\n{pages}\nhas the service in a browser: {count} simulated users are at work, half of them answered by each model.\nCtrl-C ends both."
            ));
        })
    })
}
