//! What a backend is busy with.

use std::collections::BTreeMap;

use crate::process::ProcessId;
use crate::world::World;

/// A query's part that runs on a backend.
#[derive(Clone, Debug)]
pub(crate) struct Fragment {
    pub query: String,
    pub frontend: String,
    pub since_ms: i64,
}

/// Everything that runs on a backend.
#[derive(Debug, Default)]
pub(crate) struct Work {
    next: u64,
    pub fragments: BTreeMap<u64, Fragment>,
    /// Loads that it coordinates: number and label.
    pub loads: BTreeMap<u64, String>,
    /// It was asked to end.
    pub stopping: bool,
    pub last_load_ms: Option<i64>,
}

/// A piece of work on a backend; it ends when this is dropped.
pub(crate) struct Piece {
    world: World,
    process: ProcessId,
    number: u64,
}

impl Piece {
    /// Begins a query's part; `None` when the process is gone.
    pub fn query(world: &World, process: ProcessId, fragment: Fragment) -> Option<Self> {
        Self::begin(world, process, |work, number| drop(work.fragments.insert(number, fragment)))
    }

    /// Begins a load that this backend coordinates.
    pub fn load(world: &World, process: ProcessId, label: &str) -> Option<Self> {
        let now = world.now_ms();
        Self::begin(world, process, |work, number| {
            work.loads.insert(number, label.to_owned());
            work.last_load_ms = Some(now);
        })
    }

    fn begin(world: &World, process: ProcessId, add: impl FnOnce(&mut Work, u64)) -> Option<Self> {
        let mut state = world.state();
        let work = &mut state.be_mut(process)?.work;
        work.next += 1;
        let number = work.next;
        add(work, number);
        drop(state);
        Some(Self { world: world.clone(), process, number })
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let mut state = self.world.state();
        let Some(be) = state.be_mut(self.process) else { return };
        be.work.fragments.remove(&self.number);
        be.work.loads.remove(&self.number);
        // Whoever stops waits for the last one.
        if be.work.stopping && be.work.fragments.is_empty() {
            state.bump();
        }
    }
}
