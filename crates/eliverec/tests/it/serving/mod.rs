//! `eliverec serve`: a real server, called over HTTP.

mod access;
mod answers;
mod bundles;
mod malformed;
mod parity;
mod restarts;
mod retrieval;
mod server;
