//! Scenarios on the real Kubernetes: its admission, apply, controllers, garbage collection and RBAC, with simulated nodes and Doris
//! members. One control plane serves them all; it ends with this process.

#![allow(clippy::panic, reason = "a helper of tests tells of a failure by panicking")]

#[path = "real_create/audit.rs"]
mod audit;
#[path = "real_create/basic.rs"]
mod basic;
#[path = "real_create/children.rs"]
mod children;
#[path = "real_create/crash.rs"]
mod crash;
#[path = "real_create/day_two.rs"]
mod day_two;
#[path = "real_create/differential.rs"]
mod differential;
#[path = "real_create/drift.rs"]
mod drift;
#[path = "real_create/foreign.rs"]
mod foreign;
#[path = "real_create/foundings.rs"]
mod foundings;
#[path = "real_create/harness.rs"]
mod harness;
#[path = "real_create/leader.rs"]
mod leader;
#[path = "real_create/role.rs"]
mod role;
#[path = "real_create/specs.rs"]
mod specs;
#[path = "real_create/storage.rs"]
mod storage;
#[path = "real_create/volumes.rs"]
mod volumes;
