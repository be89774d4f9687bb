//! Rolling changes: one member at a time, in the order that keeps the cluster serving.

#![allow(clippy::panic, reason = "tests tell of a failure by panicking")]

#[path = "rolling/backups.rs"]
mod backups;
#[path = "rolling/changes.rs"]
mod changes;
#[path = "rolling/order.rs"]
mod order;
#[path = "rolling/rules.rs"]
mod rules;
#[path = "rolling/stops.rs"]
mod stops;
#[path = "rolling/tables.rs"]
mod tables;
#[path = "rolling/users.rs"]
mod users;
#[path = "rolling/watch.rs"]
mod watch;
