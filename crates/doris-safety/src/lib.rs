//! The safety rules that every disruptive step on a Doris cluster passes.
//!
//! Pure functions: what is so ([`Observed`]) and what is about to be done ([`Step`]) go in, a
//! leave or the list of refusals comes out. Nothing here reads, waits or looks at a clock, so a
//! controller that acts and a command that only explains come to the same answer.
//!
//! A rule whose observation is missing refuses: what was not looked at is not taken for harmless.

mod baseline;
mod blocked;
mod check;
mod observed;
mod overrides;
mod preflight;
mod rules;
mod step;
mod tablets;
mod text;
mod version_path;

pub use baseline::{NoBaseline, read_baseline, write_baseline};
pub use blocked::{Blocked, Refusal};
pub use check::{Passed, Terms, applicable, away, check, consequences, sole_server, stalls};
pub use observed::{
    AlterJob, Backend, BackupJob, CacheLag, ColocateGroup, Disk, Frontend, Frontends, Health, Jobs, Lease, Master, Metadata, Observed,
    Switches, Token, Unhealthy,
};
pub use overrides::{Override, OverrideUse, Refused, annotation, overrides_of};
pub use preflight::{Finding, TOPICS, preflight};
pub use step::{FrontendRole, NodeRole, Step};
pub use tablets::{Allocation, Partition, PartitionKind, PlacedPartition, Placement, Table, TabletMap, TabletMapBuilder, Tablets};
pub use version_path::{metadata_version, upgrade_path};
