//! Every rule: what it blocks, what it says, and what no random layout gets past it.

mod backends;
mod fixtures;
mod frontends;
mod laws;
mod operation;
mod overrides;
mod preflight;
mod properties;
mod replicas;
mod versions;
