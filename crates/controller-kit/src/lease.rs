//! Leases: read, then PUT with the version that was read. Never applied, never deleted.

mod elector;
mod operation;
mod record;

pub use elector::{ElectionSettings, LeaderElector};
pub use operation::{Fence, Holding, LeaseError, LeaseView, Operation, OperationLeases};

#[cfg(test)]
mod server;
#[cfg(test)]
mod tests;
