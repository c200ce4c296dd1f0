//! The state as a service uses it: order, restarts, kills, damage, a full disk.

#![expect(clippy::unwrap_used, reason = "a fixture that fails fails its test")]
#![expect(clippy::print_stdout, reason = "a child process tells its parent by it")]

mod calls;
mod corruption;
mod full_disk;
mod kills;
mod log;
mod oracle;
mod replica;
