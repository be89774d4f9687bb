//! What must never happen, whatever is lost.

#[path = "safety/access.rs"]
mod access;
#[path = "safety/journal.rs"]
mod journal;
#[path = "safety/role.rs"]
mod role;
#[path = "safety/volumes.rs"]
mod volumes;
