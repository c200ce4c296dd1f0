//! `eliverec serve`: a real server, called over HTTP.

mod access;
mod answers;
mod bench;
mod browser;
mod bundles;
mod console;
mod damage;
mod days;
mod directories;
mod experiments;
mod experiments_changed;
mod full_disk;
mod ids;
mod impressions;
mod malformed;
mod overload;
mod parity;
mod plan;
mod readme;
mod restarts;
mod retrieval;
mod server;
#[cfg(feature = "redis")]
mod shared;
#[cfg(not(feature = "redis"))]
mod unshared;
