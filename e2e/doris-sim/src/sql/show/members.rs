//! Rows of frontends, backends and brokers as one frontend knows them.

use std::fmt::Write;

use crate::answer::{Rows, SqlError};
use crate::bdb;
use crate::catalog::{Backend, Catalog};
use crate::clock::date_time_or_null;
use crate::fe::{Fe, Seen};
use crate::process::ProcessId;
use crate::sql::amounts::{bytes, percent};
use crate::state::State;

/// Rows of SHOW FRONTENDS as one frontend knows them; `home` is where the client is connected.
pub(crate) fn frontends(state: &State, id: ProcessId, home: ProcessId) -> Result<Rows, SqlError> {
    let fe = state.fe(id).ok_or(SqlError::Lost)?;
    if fe.debug {
        let text = "NullPointerException, msg: java.lang.NullPointerException: Cannot invoke \"org.apache.doris.ha.HAProtocol.getElectableNodes(boolean)\" because the return value of \"org.apache.doris.catalog.Env.getHaProtocol()\" is null";
        return Err(SqlError::bare(1105, "HY000", text));
    }
    let leader = bdb::leader_view(state, id).and_then(|leader| state.fe(leader));
    let home_name = state.fe(home).map(|fe| fe.name.clone());
    let (new, newest) = (fe.version.from_line(2, 1), fe.version.major >= 4);
    let mut names = vec!["Name", "Host", "EditLogPort", "HttpPort", "QueryPort", "RpcPort"];
    names.extend(new.then_some("ArrowFlightSqlPort"));
    names.extend(["Role", "IsMaster", "ClusterId", "Join", "Alive", "ReplayedJournalId"]);
    names.extend(new.then_some("LastStartTime"));
    names.extend(["LastHeartbeat", "IsHelper", "ErrMsg", "Version", "CurrentConnected"]);
    names.extend(newest.then_some("LiveSince"));
    let mut rows = Rows::of_strings(&names);
    for row in &fe.catalog.frontends {
        let own = row.name == fe.name;
        let seen = fe.frontends_seen.get(&row.name).filter(|_| fe.is_master()).cloned().unwrap_or_default();
        let alive = row.alive || own;
        let joined = |fe: &Fe| {
            fe.bdb.as_ref().is_some_and(|bdb| bdb.log.members().values().any(|m| m.host == row.host && m.port == row.edit_log_port))
        };
        let is_leader = leader.is_some_and(|leader| leader.host == row.host && leader.edit_log_port == row.edit_log_port);
        let ports = if own {
            (fe.query_port, fe.rpc_port, fe.version.arrow_port().unwrap_or(0))
        } else {
            (row.query_port, row.rpc_port, row.arrow_port)
        };
        let cell = |name: &str| -> Option<String> {
            Some(match name {
                "Name" => row.name.clone(),
                "Host" => row.host.clone(),
                "EditLogPort" => row.edit_log_port.to_string(),
                "HttpPort" => fe.http_port.to_string(),
                "QueryPort" => ports.0.to_string(),
                "RpcPort" => ports.1.to_string(),
                "ArrowFlightSqlPort" => ports.2.to_string(),
                "Role" => row.role.name().to_owned(),
                "IsMaster" => is_leader.to_string(),
                "ClusterId" => fe.cluster_id.to_string(),
                "Join" => leader.is_some_and(joined).to_string(),
                "Alive" => alive.to_string(),
                "ReplayedJournalId" => if own { fe.applied } else { row.replayed }.to_string(),
                "LastStartTime" | "LiveSince" => return date_time_or_null(seen.start_ms),
                "LastHeartbeat" => return date_time_or_null(seen.beat_ms),
                "IsHelper" => (row.role == crate::catalog::FeRole::Follower).to_string(),
                "ErrMsg" => seen.error.clone(),
                "Version" => return seen.version.clone(),
                _ => if home_name.as_ref() == Some(&row.name) { "Yes" } else { "No" }.to_owned(),
            })
        };
        rows.push(names.iter().map(|name| cell(name)).collect());
    }
    Ok(rows)
}

/// Rows of SHOW BACKENDS as one frontend knows them.
pub(crate) fn backends(state: &State, id: ProcessId) -> Result<Rows, SqlError> {
    let fe = state.fe(id).ok_or(SqlError::Lost)?;
    let (v21, v30, v40) = (fe.version.from_line(2, 1), fe.version.from_line(3, 0), fe.version.major >= 4);
    let mut names = vec!["BackendId", "Host", "HeartbeatPort", "BePort", "HttpPort", "BrpcPort"];
    names.extend(v21.then_some("ArrowFlightSqlPort"));
    names.extend(["LastStartTime", "LastHeartbeat", "Alive", "SystemDecommissioned", "TabletNum", "DataUsedCapacity"]);
    names.push(if v21 { "TrashUsedCapacity" } else { "TrashUsedCapcacity" });
    names.extend([
        "AvailCapacity",
        "TotalCapacity",
        "UsedPct",
        "MaxDiskUsedPct",
        "RemoteUsedCapacity",
        "Tag",
        "ErrMsg",
        "Version",
        "Status",
        "HeartbeatFailureCounter",
        "NodeRole",
    ]);
    names.extend(v30.then_some(["CpuCores", "Memory"]).into_iter().flatten());
    names.extend(v40.then_some(["LiveSince", "RunningTasks"]).into_iter().flatten());
    let mut rows = Rows::of_strings(&names);
    for backend in fe.catalog.backends.values() {
        rows.push(names.iter().map(|name| backend_cell(fe, backend, name)).collect());
    }
    Ok(rows)
}

fn backend_cell(fe: &Fe, backend: &Backend, name: &str) -> Option<String> {
    let seen = fe.backends_seen.get(&backend.id).cloned().unwrap_or_default();
    let total: u64 = backend.disks.iter().map(|disk| disk.total).sum();
    let available: u64 = backend.disks.iter().map(|disk| disk.available).sum();
    let worst = backend
        .disks
        .iter()
        .map(|disk| (disk.total - disk.available.min(disk.total), disk.total))
        .max_by(|a, b| (a.0 * b.1).cmp(&(b.0 * a.1)));
    Some(match name {
        "BackendId" => backend.id.to_string(),
        "Host" => backend.host.clone(),
        "HeartbeatPort" => backend.heartbeat_port.to_string(),
        "BePort" => backend.be_port.to_string(),
        "HttpPort" => backend.http_port.to_string(),
        "BrpcPort" => backend.brpc_port.to_string(),
        "ArrowFlightSqlPort" => backend.arrow_port.to_string(),
        "LastStartTime" | "LiveSince" => return date_time_or_null(backend.start_ms),
        "LastHeartbeat" => return date_time_or_null(seen.beat_ms.max(backend.beat_ms)),
        "Alive" => backend.alive.to_string(),
        "SystemDecommissioned" => backend.decommissioned.to_string(),
        "TabletNum" => fe.catalog.replicas_on(backend.id).to_string(),
        "DataUsedCapacity" => bytes(backend.disks.iter().map(|disk| disk.data_used).sum()),
        // Before the first report the frontend assumes one byte, so as not to divide by nothing.
        "AvailCapacity" => bytes(if backend.disks.is_empty() { 1 } else { available }),
        "TotalCapacity" => bytes(total),
        "UsedPct" => percent(total.saturating_sub(available), total),
        "MaxDiskUsedPct" => worst.map_or_else(|| percent(0, 1), |(used, total)| percent(used, total)),
        "Tag" => {
            let tags: Vec<_> = backend.tags.iter().map(|(key, value)| format!("\"{key}\" : \"{value}\"")).collect();
            format!("{{{}}}", tags.join(", "))
        }
        "ErrMsg" => seen.error.clone(),
        "Version" => backend.version.clone(),
        "Status" => status(fe, backend, &seen),
        "HeartbeatFailureCounter" => seen.failures.to_string(),
        "NodeRole" => {
            if backend.alive {
                backend.role.clone()
            } else {
                String::new()
            }
        }
        "CpuCores" => backend.cores.to_string(),
        "Memory" => {
            if seen.memory == 0 {
                "0.00 ".to_owned()
            } else {
                format!("{}.00 GB", seen.memory >> 30)
            }
        }
        "RunningTasks" => seen.fragments.to_string(),
        _ => bytes(0),
    })
}

fn status(fe: &Fe, backend: &Backend, seen: &Seen) -> String {
    let time = date_time_or_null(seen.report_ms).unwrap_or_else(|| "N/A".to_owned());
    let mut text = format!(
        "{{\"lastSuccessReportTabletsTime\":\"{time}\",\"lastStreamLoadTime\":{},\"isQueryDisabled\":{},\"isLoadDisabled\":{}",
        seen.last_load_ms.unwrap_or(-1),
        backend.query_disabled,
        backend.load_disabled
    );
    if fe.version.from_line(3, 0) {
        text.push_str(",\"isActive\":true");
        if fe.version.from_line(4, 1) {
            text.push_str(if backend.stopping { ",\"isShutdown\":true" } else { ",\"isShutdown\":false" });
        }
        let (fragments, changed) = (seen.fragments, seen.fragments_ms);
        // Writing to a String cannot fail.
        let _ = write!(text, ",\"currentFragmentNum\":{fragments},\"lastFragmentUpdateTime\":{changed}");
    }
    text.push('}');
    text
}

/// Rows of SHOW BROKER.
pub(crate) fn brokers(state: &State, id: ProcessId) -> Result<Rows, SqlError> {
    let fe = state.fe(id).ok_or(SqlError::Lost)?;
    let mut rows = Rows::of_strings(&["Name", "Host", "Port", "Alive", "LastStartTime", "LastUpdateTime", "ErrMsg"]);
    for (name, list) in &fe.catalog.brokers {
        for broker in list {
            let error =
                fe.brokers_seen.get(&(name.clone(), broker.host.clone(), broker.port)).map_or_else(String::new, |seen| seen.error.clone());
            let row = vec![
                Some(name.clone()),
                Some(broker.host.clone()),
                Some(broker.port.to_string()),
                Some(broker.alive.to_string()),
                date_time_or_null(broker.start_ms),
                date_time_or_null(broker.update_ms),
                Some(error),
            ];
            rows.push(row);
        }
    }
    Ok(rows)
}

/// Rows of SHOW TRASH.
pub(crate) fn trash(catalog: &Catalog) -> Rows {
    let mut rows = Rows::of_strings(&["BackendId", "Backend", "TrashUsedCapacity"]);
    for backend in catalog.backends.values() {
        let used = backend.disks.iter().map(|disk| disk.trash).sum();
        rows.push([backend.id.to_string(), format!("{}:{}", backend.host, backend.heartbeat_port), bytes(used)].map(Some).to_vec());
    }
    rows
}
