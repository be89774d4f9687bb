//! Configuration: what Doris changes while it runs restarts nothing, and what a restart changes waits for its turn.

#![allow(clippy::panic, reason = "tests tell of a failure by panicking")]

#[path = "config/drift.rs"]
mod drift;
#[path = "config/live.rs"]
mod live;
#[path = "config/look.rs"]
mod look;
#[path = "config/refused.rs"]
mod refused;
#[path = "config/restart.rs"]
mod restart;
#[path = "rolling/watch.rs"]
#[allow(dead_code, reason = "rolls need more of it")]
mod watch;
