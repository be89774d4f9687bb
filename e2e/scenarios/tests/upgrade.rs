//! Upgrades: the order, what keeps one from beginning, the way back, and what is left behind.

#![allow(clippy::panic, reason = "tests tell of a failure by panicking")]

#[path = "upgrade/back.rs"]
mod back;
#[path = "upgrade/beside.rs"]
mod beside;
#[path = "upgrade/help.rs"]
mod help;
#[path = "upgrade/jobs.rs"]
mod jobs;
#[path = "upgrade/order.rs"]
mod order;
#[path = "upgrade/overrides.rs"]
mod overrides;
#[path = "upgrade/preflight.rs"]
mod preflight;
#[path = "upgrade/refused.rs"]
mod refused;
#[path = "upgrade/stops.rs"]
mod stops;
#[path = "upgrade/switches.rs"]
mod switches;
#[path = "rolling/watch.rs"]
#[allow(dead_code, reason = "the tests of rolls use more of it")]
mod watch;
