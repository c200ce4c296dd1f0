//! The calls, a file per group.

pub(crate) mod admin;
pub(crate) mod events;
pub(crate) mod experiments;
pub(crate) mod explain;
pub(crate) mod health;
pub(crate) mod rank;
pub(crate) mod reports;
pub(crate) mod tables;
