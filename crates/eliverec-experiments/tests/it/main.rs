//! Who is in which bucket: uniform, independent between layers, and the same in every language that the documentation shows.

#![expect(clippy::unwrap_used, reason = "a fixture that fails fails its test")]

mod languages;
mod uniform;
