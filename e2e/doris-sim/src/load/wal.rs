//! Group commit: loads that lie in a backend's write-ahead log until they are committed.

use serde::{Deserialize, Serialize};

use super::stream::{batch_of, master_of};
use super::{LoadError, StreamLoad, transaction};
use crate::process::ProcessId;
use crate::world::World;

/// What a log keeps of a load.
#[derive(Serialize, Deserialize)]
struct Record {
    database: String,
    table: String,
    rows: u64,
    bytes: u64,
}

/// Writes the log; the load itself follows.
pub(super) fn accept(world: &World, backend: ProcessId, load: &StreamLoad) -> Result<(), LoadError> {
    let record = Record { database: load.database.clone(), table: load.table.clone(), rows: load.rows, bytes: load.bytes };
    let text = serde_json::to_string(&record).map_err(|error| LoadError::Failed(error.to_string()))?;
    {
        let state = world.state();
        let be = state.be(backend).ok_or(LoadError::Lost)?;
        if !be.write_log(&load.label, &text) {
            return Err(LoadError::Failed("[IO_ERROR]no space left for the write-ahead log".to_owned()));
        }
    }
    world.spawn(backend, commit(world.clone(), backend, load.label.clone()));
    Ok(())
}

/// Takes up the logs that an earlier process left.
pub(crate) fn replay(world: &World, backend: ProcessId) {
    let labels: Vec<String> =
        world.state().be(backend).map(|be| be.logs().into_iter().map(|(label, _)| label).collect()).unwrap_or_default();
    for label in labels {
        world.spawn(backend, commit(world.clone(), backend, label));
    }
}

/// Loads a log's content, as often as it takes.
async fn commit(world: World, backend: ProcessId, label: String) {
    loop {
        let pause = world.state().timing.group_commit;
        world.sleep(backend, pause).await;
        let found = world.state().be(backend).and_then(|be| be.logs().into_iter().find(|(name, _)| *name == label));
        let Some(record) = found.and_then(|(_, text)| serde_json::from_str::<Record>(&text).ok()) else { return };
        let load = StreamLoad {
            rows: record.rows,
            bytes: record.bytes,
            ..StreamLoad::new(record.database, record.table, format!("group_commit_{label}"))
        };
        let master = master_of(&world.state(), backend);
        let Ok((master, leader)) = master else { continue };
        let batch = batch_of(&world, &load);
        let ended = match transaction::load(&world, master, &leader, &batch).await {
            Ok(_) => true,
            Err(LoadError::LabelInUse { state, .. }) => state == "VISIBLE" || state == "COMMITTED",
            Err(_) => false,
        };
        if ended {
            if let Some(be) = world.state().be(backend) {
                be.remove_log(&label);
            }
            world.state().bump();
            return;
        }
    }
}
