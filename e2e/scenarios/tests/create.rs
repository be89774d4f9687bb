//! Creating clusters, in the laboratory.

#[path = "create/basic.rs"]
mod basic;
#[path = "create/components.rs"]
mod components;
#[path = "create/spec.rs"]
mod spec;
#[path = "create/watches.rs"]
mod watches;
