//! Dropping backends that were emptied.

use std::time::Duration;

use tokio::time::Instant;

use crate::catalog::{Backend, Op};
use crate::process::ProcessId;
use crate::state::{Reach, State};

/// Whether a backend may go as far as its write-ahead logs are concerned.
#[derive(Clone, Copy, PartialEq)]
enum Logs {
    None,
    Some,
    Unknown,
}

/// Drops the decommissioned backends that hold nothing but dropped tables and no write-ahead logs.
pub(crate) fn decommission(state: &mut State, id: ProcessId) -> Vec<Op> {
    let patience = state.timing.wal_question;
    let Some(fe) = state.fe(id).filter(|fe| fe.settings.flag("drop_backend_after_decommission")) else { return Vec::new() };
    let leaving: Vec<Backend> = fe.catalog.backends.values().filter(|backend| backend.decommissioned).cloned().collect();
    let threshold = usize::try_from(fe.settings.number("decommission_tablet_check_threshold")).unwrap_or(usize::MAX);
    let asks = fe.version.from_line(2, 1);
    let mut ops = Vec::new();
    for backend in leaving {
        let Some(fe) = state.fe(id) else { return ops };
        let binned = fe.catalog.binned_replicas_on(backend.id);
        let empty = fe.catalog.live_replicas_on(backend.id) == 0 && (binned == 0 || binned < threshold);
        if !empty {
            continue;
        }
        let logs = if asks { logs(state, id, &backend) } else { Logs::None };
        let Some(fe) = state.fe_mut(id) else { return ops };
        let since = *fe.scheduler.unanswered.entry(backend.id).or_insert_with(Instant::now);
        // One that never lived is never given up.
        let given_up = backend.brpc_port > 0 && since.elapsed() >= patience;
        match logs {
            Logs::None => ops.push(Op::DropBackend { id: backend.id }),
            Logs::Unknown if given_up => ops.push(Op::DropBackend { id: backend.id }),
            Logs::Some => drop(fe.scheduler.unanswered.remove(&backend.id)),
            Logs::Unknown => {}
        }
    }
    ops
}

fn logs(state: &State, id: ProcessId, backend: &Backend) -> Logs {
    let Ok(port) = u16::try_from(backend.brpc_port) else { return Logs::Unknown };
    match state.reach_host(id, &backend.host, port) {
        Reach::Open(peer) => match state.be(peer) {
            Some(be) if !be.logs().is_empty() => Logs::Some,
            Some(_) => Logs::None,
            None => Logs::Unknown,
        },
        _ => Logs::Unknown,
    }
}

/// How long dropped tables are kept.
pub(crate) fn expired(state: &State, id: ProcessId) -> Vec<Op> {
    let Some(fe) = state.fe(id).filter(|fe| !fe.catalog.bin.is_empty()) else { return Vec::new() };
    let keep = Duration::from_secs(fe.settings.number("catalog_trash_expire_second"));
    let keep = i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
    let now = state.clock.now_ms();
    let old: Vec<_> = fe.catalog.bin.iter().filter(|binned| now - binned.dropped_ms > keep).map(|binned| binned.table.id).collect();
    if old.is_empty() { Vec::new() } else { vec![Op::EraseTables(old)] }
}
