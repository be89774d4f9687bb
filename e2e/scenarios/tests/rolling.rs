//! Rolling changes: one member at a time, in the order that keeps the cluster serving.

#![allow(clippy::panic, reason = "tests tell of a failure by panicking")]

#[path = "rolling/order.rs"]
mod order;
#[path = "rolling/stops.rs"]
mod stops;
#[path = "rolling/watch.rs"]
mod watch;
