//! What runs on the backends, and how they are configured.

use super::{Context, Outcome, Run, like};
use crate::answer::{Rows, SqlError};
use crate::be::process_of;
use crate::catalog::Priv;
use crate::clock::date_time;
use crate::process::ProcessId;
use crate::state::State;

/// Rows of `information_schema.backend_active_tasks`: what the living backends say themselves.
pub(super) fn backend_active_tasks(state: &State, id: ProcessId) -> Result<Rows, SqlError> {
    let fe = state.fe(id).ok_or(SqlError::Lost)?;
    if !fe.version.from_line(2, 1) {
        return Err(SqlError::detail("Table [backend_active_tasks] does not exist in database [information_schema]."));
    }
    let names = [
        "BE_ID",
        "FE_HOST",
        "WORKLOAD_GROUP_ID",
        "QUERY_ID",
        "TASK_TIME_MS",
        "TASK_CPU_TIME_MS",
        "SCAN_ROWS",
        "SCAN_BYTES",
        "BE_PEAK_MEMORY_BYTES",
        "CURRENT_USED_MEMORY_BYTES",
        "SHUFFLE_SEND_BYTES",
        "SHUFFLE_SEND_ROWS",
        "QUERY_TYPE",
    ];
    let names: Vec<_> = names.into_iter().filter(|name| fe.version.major >= 4 || *name != "WORKLOAD_GROUP_ID").collect();
    let mut rows = Rows::of_strings(&names);
    let now = state.clock.now_ms();
    for backend in fe.catalog.backends.values().filter(|backend| backend.alive) {
        let Some(be) = process_of(state, id, backend.id).and_then(|peer| state.be(peer)) else { continue };
        for fragment in be.work.fragments.values() {
            let cell = |name: &str| match name {
                "BE_ID" => backend.id.to_string(),
                "FE_HOST" => fragment.frontend.clone(),
                "QUERY_ID" => fragment.query.clone(),
                "TASK_TIME_MS" => (now - fragment.since_ms).to_string(),
                "WORKLOAD_GROUP_ID" => "1".to_owned(),
                "QUERY_TYPE" => "SELECT".to_owned(),
                _ => "0".to_owned(),
            };
            rows.push(names.iter().map(|name| Some(cell(name))).collect());
        }
    }
    Ok(rows)
}

impl Context<'_> {
    /// `SHOW BACKEND CONFIG`: each living backend is asked.
    pub(super) fn backend_config(&self, pattern: Option<&String>, only: Option<u64>) -> Run {
        self.require(&[Priv::Admin], "ADMIN")?;
        let mut rows = Rows::of_strings(&["BackendId", "Host", "Key", "Value", "Type", "IsMutable"]);
        for backend in self.catalog()?.backends.values().filter(|backend| backend.alive && only.is_none_or(|id| id == backend.id)) {
            let Some(be) = process_of(self.state, self.fe, backend.id).and_then(|peer| self.state.be(peer)) else { continue };
            for shown in be.conf.shown().filter(|shown| pattern.is_none_or(|pattern| like(pattern, shown.name))) {
                let row = [
                    backend.id.to_string(),
                    backend.host.clone(),
                    shown.name.to_owned(),
                    shown.value.to_owned(),
                    shown.kind.to_owned(),
                    shown.mutable.to_string(),
                ];
                rows.push(row.map(Some).to_vec());
            }
        }
        Ok(Outcome::Rows(rows))
    }

    /// Dropped tables that can still be recovered.
    pub(super) fn recycle_bin(&self) -> Run {
        self.require(&[Priv::Admin], "ADMIN")?;
        let mut rows = Rows::of_strings(&["Type", "Name", "DbId", "TableId", "PartitionId", "DropTime", "DataSize", "RemoteDataSize"]);
        for binned in &self.catalog()?.bin {
            let size: u64 = binned.table.tablets().flat_map(|(_, tablet)| &tablet.replicas).map(|replica| replica.bytes).sum();
            let row = [
                "Table".to_owned(),
                binned.table.name.clone(),
                binned.database.to_string(),
                binned.table.id.to_string(),
                String::new(),
                date_time(binned.dropped_ms),
                super::amounts::bytes(size),
                super::amounts::bytes(0),
            ];
            rows.push(row.map(Some).to_vec());
        }
        Ok(Outcome::Rows(rows))
    }
}
