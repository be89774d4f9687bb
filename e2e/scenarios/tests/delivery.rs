//! The charts, Kustomize's folders, roles and examples: rendered by the real tools, held against each other, and installed on the real
//! control plane, where the pods of the Deployment run our own program.

#![allow(clippy::panic, clippy::large_futures, reason = "a test tells of a failure by panicking, and its futures are made once")]

#[path = "delivery/dry_run.rs"]
mod dry_run;
#[path = "delivery/gitops.rs"]
mod gitops;
#[path = "delivery/harness.rs"]
mod harness;
#[path = "delivery/health.rs"]
mod health;
#[path = "delivery/install.rs"]
mod install;
#[path = "delivery/kustomize.rs"]
mod kustomize;
#[path = "delivery/modes.rs"]
mod modes;
#[path = "delivery/refused.rs"]
mod refused;
#[path = "delivery/render.rs"]
mod render;
#[path = "delivery/simulated.rs"]
mod simulated;
#[path = "delivery/world.rs"]
mod world;
