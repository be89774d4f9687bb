//! Changes of tables that rewrite their data: what the master does about them, a step at a time.

use std::time::Duration;

use tokio::time::Instant;

use crate::catalog::{AlterJob, AlterState, Op};
use crate::process::ProcessId;
use crate::state::State;

/// Bytes that a backend rewrites in a second.
const SPEED: u64 = 100 << 20;
/// Rewriting takes this long at least.
const SHORTEST: Duration = Duration::from_secs(1);

/// One round over all jobs; entries for the journal.
pub(crate) fn round(state: &mut State, id: ProcessId) -> Vec<Op> {
    let now = state.clock.now_ms();
    let Some(fe) = state.fe_mut(id) else { return Vec::new() };
    let mut ops = Vec::new();
    for job in fe.catalog.alters.iter().filter(|job| !job.state.is_over()) {
        let mut write = |next: AlterState, message: &str| {
            let finished_ms = if next.is_over() { now } else { 0 };
            ops.push(Op::Alter(Box::new(AlterJob { state: next, finished_ms, message: message.to_owned(), ..job.clone() })));
        };
        let Some(table) = fe.catalog.table(job.database, job.table) else {
            write(AlterState::Cancelled, "table does not exist");
            continue;
        };
        match job.state {
            AlterState::Pending => write(AlterState::WaitingTxn, ""),
            AlterState::WaitingTxn => {
                let earlier = |txn: &crate::catalog::Txn| txn.table == job.table && txn.id < job.watershed && txn.is_running();
                if !fe.catalog.transactions.values().any(earlier) {
                    write(AlterState::Running, "");
                }
            }
            AlterState::Running => {
                // How far the backends are is memory of the master: a new one has them begin anew.
                let largest = table.tablets().flat_map(|(_, tablet)| &tablet.replicas).map(|replica| replica.bytes).sum::<u64>();
                let needed = Duration::from_millis(largest.saturating_mul(1000) / SPEED).max(SHORTEST);
                if *fe.alters.entry(job.id).or_insert_with(|| Instant::now() + needed) <= Instant::now() {
                    write(AlterState::Finished, "");
                }
            }
            AlterState::Finished | AlterState::Cancelled => {}
        }
    }
    ops
}
