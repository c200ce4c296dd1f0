//! `eliverec serve`: a real server, called over HTTP.

mod access;
mod answers;
mod bundles;
mod malformed;
mod parity;
mod restarts;
mod server;
#[cfg(feature = "redis")]
mod shared;
#[cfg(not(feature = "redis"))]
mod unshared;
