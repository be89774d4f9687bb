//! Scaling out and in: members come and go, and nothing is lost with them.

#![allow(clippy::panic, reason = "tests tell of a failure by panicking")]

#[path = "scaling/backends.rs"]
mod backends;
#[path = "scaling/backups.rs"]
mod backups;
#[path = "scaling/cancel.rs"]
mod cancel;
#[path = "scaling/frontends.rs"]
mod frontends;
#[path = "scaling/others.rs"]
mod others;
#[path = "scaling/stage.rs"]
mod stage;
#[path = "scaling/tags.rs"]
mod tags;
#[path = "scaling/volumes.rs"]
mod volumes;
