//! `DorisInitializer`: SQL that is run once, or whenever it changes.

#![allow(clippy::panic, reason = "tests tell of a failure by panicking")]

#[path = "initializer/broken_off.rs"]
mod broken_off;
#[path = "initializer/failures.rs"]
mod failures;
#[path = "initializer/runs.rs"]
mod runs;
#[path = "initializer/secrets.rs"]
mod secrets;
#[path = "initializer/stage.rs"]
mod stage;
