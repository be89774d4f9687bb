//! The start script, the probes and the stop hook under real shells, with a Doris that does as told.

#[path = "script/backend.rs"]
mod backend;
#[path = "script/copies.rs"]
mod copies;
#[path = "script/frontend.rs"]
mod frontend;
#[path = "script/gate.rs"]
mod gate;
#[path = "script/harness.rs"]
mod harness;
#[path = "script/probes.rs"]
mod probes;
