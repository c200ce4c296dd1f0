//! What a state's log becomes: the folders that samples are made of.

#![expect(clippy::unwrap_used, reason = "a fixture that fails fails its test")]

mod days;
mod parity;
mod world;
