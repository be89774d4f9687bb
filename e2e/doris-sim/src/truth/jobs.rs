//! Backups and restores as they really are.

use super::{authority, clusters};
use crate::catalog::SnapshotJob;
use crate::fe::Fe;
use crate::process::ProcessId;
use crate::state::State;
use crate::world::World;

/// A backup or restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotFacts {
    /// Cluster.
    pub cluster_id: u32,
    /// Database.
    pub database: String,
    /// Label.
    pub label: String,
    /// Whether it restores.
    pub is_restore: bool,
    /// State as Doris writes it.
    pub state: &'static str,
    /// Tasks of its phase that are not done.
    pub tasks_left: usize,
    /// Those of them whose backend's process ended: nobody does them.
    pub tasks_lost: usize,
}

impl SnapshotFacts {
    /// Whether it is at its end.
    pub fn is_over(&self) -> bool {
        ["FINISHED", "CANCELLED"].contains(&self.state)
    }
}

fn facts(state: &State, cluster_id: u32, fe: &Fe, job: &SnapshotJob) -> SnapshotFacts {
    let tasks = fe.snapshots.get(&job.id);
    let left = tasks.map(|tasks| tasks.left.as_slice()).unwrap_or_default();
    SnapshotFacts {
        cluster_id,
        database: job.database_name.clone(),
        label: job.label.clone(),
        is_restore: job.is_restore,
        state: tasks.map_or(job.state, |tasks| tasks.state).name(),
        tasks_left: left.len(),
        tasks_lost: left.iter().filter(|task| !state.is_running(task.process)).count(),
    }
}

/// Backups and restores with work to do on a process, by label.
pub(super) fn on_process(fe: &Fe, process: ProcessId) -> Vec<String> {
    let works = |job: &&SnapshotJob| fe.snapshots.get(&job.id).is_some_and(|tasks| tasks.left.iter().any(|task| task.process == process));
    fe.catalog.snapshots.iter().filter(works).map(|job| job.label.clone()).collect()
}

impl World {
    /// Every backup and restore that frontends still list.
    pub fn snapshot_jobs(&self) -> Vec<SnapshotFacts> {
        let state = self.state();
        let mut all = Vec::new();
        for cluster in clusters(&state) {
            let Some((_, fe)) = authority(&state, cluster) else { continue };
            all.extend(fe.catalog.snapshots.iter().map(|job| facts(&state, cluster, fe, job)));
        }
        all
    }
}
