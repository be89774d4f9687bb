//! The documentation: every command and every YAML in it is tried, every name that it has to tell is there, and no link leads nowhere.
//!
//! Commands run in a shell whose kubectl and Helm talk to a simulated server with the cluster that the pages speak of. What would change
//! something is tried without effect, so no block depends on another one.

#![allow(clippy::panic, reason = "a test tells of a failure by panicking")]

#[path = "docs/cargo.rs"]
mod cargo;
#[path = "docs/commands.rs"]
mod commands;
#[path = "docs/links.rs"]
mod links;
#[path = "docs/names.rs"]
mod names;
#[path = "docs/shell.rs"]
mod shell;
#[path = "docs/yaml.rs"]
mod yaml;
