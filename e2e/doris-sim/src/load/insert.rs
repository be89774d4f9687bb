//! INSERT: led by the frontend, run on a backend.

use super::stream::leaders;
use super::{Batch, Leader, LoadError, transaction};
use crate::answer::SqlError;
use crate::be::{Fragment, Piece, process_of};
use crate::catalog::Coordinator;
use crate::process::ProcessId;
use crate::world::World;

/// Runs an INSERT on the master; the number of rows.
pub(crate) async fn insert(world: &World, master: ProcessId, batch: &Batch) -> Result<u64, SqlError> {
    let (process, leader, fragment) = {
        let mut state = world.state();
        let number = state.rng.usize(..);
        let fe = state.fe(master).ok_or(SqlError::Lost)?;
        let fit = leaders(fe);
        let chosen = fit.get(number % fit.len().max(1)).ok_or_else(|| SqlError::detail("No backend load available"))?;
        let process = process_of(&state, master, chosen.id)
            .ok_or_else(|| SqlError::bare(1105, "HY000", format!("RpcException, msg: send fragments failed, host: {}", chosen.host)))?;
        let leader = Leader { process: master, name: Coordinator::Frontend { name: fe.name.clone() } };
        let fragment = Fragment { query: batch.label.clone(), frontend: fe.host.clone(), since_ms: state.clock.now_ms() };
        (process, leader, fragment)
    };
    let host = world.state().be(process).map(|be| be.fqdn.clone()).unwrap_or_default();
    let lost = || SqlError::bare(1105, "HY000", format!("RpcException, msg: rpc failed: Network closed, host: {host}"));
    let _piece = Piece::query(world, process, fragment).ok_or_else(lost)?;
    let loaded = tokio::select! {
        biased;
        () = world.ended(process) => {
            transaction::abort(world, master, &batch.database, &batch.label, &format!("{host} is gone")).await;
            return Err(lost());
        }
        loaded = transaction::load(world, master, &leader, batch) => loaded,
    };
    loaded.map(|_| batch.rows).map_err(|error| match error {
        LoadError::Failed(text) | LoadError::Refusal(text) => SqlError::bare(1105, "HY000", text),
        other => SqlError::detail(other.to_string()),
    })
}
