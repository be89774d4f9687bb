//! What really happened, for those who judge a run: nothing of it is asked of a server.

mod asked;
mod jobs;
mod ledger;
mod tablets;
mod watch;

pub use asked::{AccountFacts, Registration, password_hash};
pub use jobs::SnapshotFacts;
pub(crate) use ledger::Ledger;
pub use ledger::{Failure, Second, Traffic, Work};
pub use tablets::{ReplicaFacts, TabletFacts};
pub use watch::{BackendDrop, BackendStop, Crossing, FrontendStop, LiveSetting, ProcessVersion, SettingChange};
pub(crate) use watch::{after, before, note_setting, stopping};

use std::net::IpAddr;

use crate::fe::Fe;
use crate::process::ProcessId;
use crate::state::{Body, Proc, State};

/// The frontend that knows most of a cluster: its master, else whoever replayed most, running or not.
fn authority(state: &State, cluster: u32) -> Option<(ProcessId, &Fe)> {
    let all = state.procs.iter().filter_map(|(id, proc)| match &proc.body {
        Body::Fe(fe) if fe.cluster_id == cluster && cluster != 0 && fe.applied > 0 => Some((*id, proc, &**fe)),
        _ => None,
    });
    all.max_by_key(|(id, proc, fe)| (proc.is_running() && fe.is_master(), proc.is_running(), fe.applied, *id)).map(|(id, _, fe)| (id, fe))
}

/// Cluster of the newest process at an address; 0 if it has none.
fn cluster_at(state: &State, ip: IpAddr) -> u32 {
    let newest = state.procs.values().rev().find(|proc| proc.ip == ip);
    newest.map_or(0, cluster_of)
}

fn cluster_of(proc: &Proc) -> u32 {
    match &proc.body {
        Body::Fe(fe) => fe.cluster_id,
        Body::Be(be) => be.stored_cluster_id().unwrap_or(0),
        Body::Broker => 0,
    }
}

/// All clusters of a world.
fn clusters(state: &State) -> Vec<u32> {
    let mut ids: Vec<_> = state.procs.values().map(cluster_of).filter(|id| *id != 0).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}
