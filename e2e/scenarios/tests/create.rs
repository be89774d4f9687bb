//! Creating clusters, in the laboratory.

#[path = "create/basic.rs"]
mod basic;
#[path = "create/components.rs"]
mod components;
#[path = "create/identity.rs"]
mod identity;
#[path = "create/removal.rs"]
mod removal;
#[path = "create/spec.rs"]
mod spec;
#[path = "create/watches.rs"]
mod watches;
