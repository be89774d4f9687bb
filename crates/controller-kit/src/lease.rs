//! Leases: read, then PUT with the version that was read. Never applied, never deleted.

mod claim;
mod elector;
mod operation;
mod record;
mod shards;

pub use claim::{Claim, ClaimSettings};
pub use elector::{ElectionSettings, LeaderElector};
pub use operation::{Fence, Holding, LeaseError, LeaseView, Operation, OperationLeases};
pub use shards::{SHARDS, ShardLost, ShardWork, Shards, lease_of, shard_of};

#[cfg(test)]
mod server;
#[cfg(test)]
mod tests;
