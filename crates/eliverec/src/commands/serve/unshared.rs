//! In place of `shared.rs` where the program is built without the feature `redis`: says how to build it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use eliverec_http::{Engine, EngineConfig, Error, Service};

/// Nothing that could run.
#[derive(Debug)]
pub(super) struct Shared(Infallible);

impl Shared {
    pub(super) const fn end(self) {
        match self.0 {}
    }
}

fn missing(field: &'static str) -> anyhow::Error {
    let reason = "this program was built without Redis; build it with `cargo build --release --features redis`";
    Error::Setting { field, reason: reason.into() }.into()
}

pub(super) fn share(_: &str, _: &str, _: u64, _: &Arc<Service>) -> anyhow::Result<Option<Shared>> {
    Err(missing("--redis"))
}

pub(super) fn follow(
    _: &str,
    _: &str,
    _: EngineConfig,
    _: Duration,
) -> anyhow::Result<(Engine, Shared)> {
    Err(missing("--follow"))
}

/// There are no errors of a server.
pub(crate) const fn is_bad_input(_: &(dyn std::error::Error + 'static)) -> Option<bool> {
    None
}
