//! Oracles: what must never happen, watched in the model of Doris and not in the controller.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use doris_sim::World;
use node_sim::Doris;
use tokio::task::JoinHandle;

/// What was never to happen and did: one sentence each.
pub type Verdicts = Vec<String>;

/// Looks at the model whenever it changes.
pub struct Watcher {
    broken: Arc<Mutex<BTreeSet<String>>>,
    task: JoinHandle<()>,
}

impl Watcher {
    /// Watches a world from its beginning.
    pub fn start(world: World, engine: Arc<Doris>) -> Self {
        let broken = Arc::new(Mutex::new(BTreeSet::new()));
        let seen = broken.clone();
        let task = tokio::spawn(async move {
            loop {
                let found = look(&world, &engine);
                seen.lock().unwrap_or_else(PoisonError::into_inner).extend(found);
                world.changed().await;
            }
        });
        Self { broken, task }
    }

    /// All that was found so far.
    pub fn verdicts(&self) -> Verdicts {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn look(_world: &World, _engine: &Doris) -> Vec<String> {
    Vec::new()
}
