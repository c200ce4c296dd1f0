//! The folds of users, which writers keep and share by Redis-compatible servers: a shard of the users has one writer and one server.

use super::GIB;
use super::log::peak_events;
use super::serving::processes;
use crate::asked::Asked;
use crate::line::Line;
use crate::measured::Measured;

pub(crate) fn lines(asked: &Asked, measured: &Measured) -> Vec<Line> {
    let of = &measured.serving;
    let folds = asked.users * of.user_bytes.value;
    let by_memory = (folds / (asked.redis_memory_gib * GIB)).ceil();
    let events = peak_events(asked, measured);
    let by_events = (events / (of.events_per_s.value * asked.utilisation)).ceil();
    let shards = by_memory.max(by_events);
    vec![
        Line::new(
            "state",
            "memory of the folds of users",
            (folds / GIB, "GiB"),
            "users x user_bytes",
            &[&of.user_bytes],
        ),
        Line::new(
            "state",
            "shards by memory",
            (by_memory, "servers"),
            "users x user_bytes / redis_memory, rounded up; a server is taken to hold a user in as many bytes as a process",
            &[&of.user_bytes],
        ),
        Line::new(
            "state",
            "shards by events",
            (by_events, "writers"),
            "events a second / (events_per_s x utilisation), rounded up",
            &[&measured.samples.events_per_impression, &of.events_per_s],
        ),
        Line::new(
            "state",
            "Redis shards, each with a writer and a server",
            (shards, "shards"),
            "the more of both",
            &[&of.user_bytes, &of.events_per_s],
        ),
        Line::new(
            "state",
            "processes that answer, of a shard",
            ((processes(asked, measured) / shards).ceil(), "processes"),
            "processes / shards, rounded up: each follows one",
            &[&of.request_s, &of.user_bytes, &of.events_per_s],
        ),
    ]
}
