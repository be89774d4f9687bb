//! Volumes that grow, disks that are added, clusters that are suspended or made anew on their volumes.

#![allow(clippy::panic, reason = "tests tell of a failure by panicking")]

#[path = "storage/disks.rs"]
mod disks;
#[path = "storage/growth.rs"]
mod growth;
#[path = "storage/recreate.rs"]
mod recreate;
#[path = "storage/state.rs"]
mod state;
#[path = "storage/suspension.rs"]
mod suspension;
#[allow(dead_code, reason = "the tests of rolls use more of it")]
#[path = "rolling/watch.rs"]
mod watch;
