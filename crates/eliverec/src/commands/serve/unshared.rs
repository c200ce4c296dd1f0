//! In place of `shared.rs` where the program is built without the feature `redis`: says how to build it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use eliverec_http::{Engine, EngineConfig, Error, Service};

/// Where the server is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) url: &'a str,
    pub(super) prefix: &'a str,
}

/// Nothing that could run.
#[derive(Debug)]
pub(super) struct Shared(Infallible);

impl Shared {
    pub(super) const fn end(self) {
        match self.0 {}
    }
}

fn missing(field: &'static str, place: Place<'_>) -> Error {
    let Place { url: _, prefix } = place;
    let reason = format!(
        "this program was built without Redis, so nothing is shared under the prefix {prefix:?}; build it with `cargo build --release --features redis`"
    );
    Error::Setting { field, reason }
}

pub(super) fn share(place: Place<'_>, _: u64, _: &Arc<Service>) -> anyhow::Result<Option<Shared>> {
    Err(missing("--redis", place).into())
}

pub(super) fn follow(
    place: Place<'_>,
    _: EngineConfig,
    _: Duration,
) -> anyhow::Result<(Engine, Shared)> {
    Err(missing("--follow", place).into())
}

/// There are no errors of a server.
pub(crate) const fn is_bad_input(_: &(dyn std::error::Error + 'static)) -> Option<bool> {
    None
}
