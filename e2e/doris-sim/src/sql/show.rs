//! SHOW.

use super::ast::Show;
use super::tables::GROUP_PROPERTIES;
use super::{Context, Outcome, Run, like, proc_rows};
use crate::answer::{Column, ColumnType, Rows, SqlError};
use crate::bdb;
use crate::catalog::{Backend, Catalog, Priv};
use crate::clock::{date_time, date_time_or_null};
use crate::fe::Fe;
use crate::process::ProcessId;
use crate::state::State;

type Cells = Vec<Option<String>>;

impl Context<'_> {
    pub(super) fn show(&mut self, show: &Show) -> Run {
        let operator = [Priv::Admin, Priv::Node];
        match show {
            Show::Frontends => {
                self.require(&operator, "ADMIN/OPERATOR")?;
                frontends(self.state, self.fe, self.client.home).map(Outcome::Rows)
            }
            Show::Backends => {
                self.require(&operator, "ADMIN/OPERATOR")?;
                backends(self.state, self.fe).map(Outcome::Rows)
            }
            Show::Brokers => {
                self.require(&operator, "ADMIN/OPERATOR")?;
                brokers(self.state, self.fe).map(Outcome::Rows)
            }
            Show::Proc(path) => {
                let privileges = if ["/frontends", "/backends"].contains(&path.as_str()) { &operator[..] } else { &operator[..1] };
                self.require(privileges, "ADMIN")?;
                proc_rows(self.state, self.fe, self.client.home, path).map(Outcome::Rows)
            }
            Show::FrontendDisks => self.frontend_disks(),
            Show::Config { like } => self.show_config(like.as_ref()),
            Show::Variables { like } => self.show_variables(like.as_ref()),
            Show::Grants { .. } | Show::Roles => self.show_accounts(show),
            Show::Databases { like: pattern } => {
                let names = self.catalog()?.databases.values().map(|database| database.name.clone());
                let mut names: Vec<_> = names.filter(|name| pattern.as_ref().is_none_or(|pattern| like(pattern, name))).collect();
                names.sort_unstable();
                Ok(column("Database", names))
            }
            Show::Tables { database } => {
                let name = self.database(database.as_ref())?;
                let tables = self.catalog()?.database(&name).map(|d| d.tables.values().map(|table| table.name.clone()).collect());
                Ok(column(&format!("Tables_in_{name}"), tables.unwrap_or_default()))
            }
            Show::TableStatus { database } => {
                self.database(database.as_ref())?;
                Ok(Outcome::Rows(Rows::of_strings(&[
                    "Name",
                    "Engine",
                    "Version",
                    "Row_format",
                    "Rows",
                    "Avg_row_length",
                    "Data_length",
                    "Create_time",
                    "Comment",
                ])))
            }
            Show::Processes => self.processes(),
            Show::Repositories => Ok(Outcome::Rows(Rows::of_strings(&[
                "RepoId",
                "RepoName",
                "CreateTime",
                "IsReadOnly",
                "Location",
                "Broker",
                "Type",
                "ErrMsg",
            ]))),
            Show::Backup { database } => {
                self.database(database.as_ref())?;
                Ok(Outcome::Rows(Rows::of_strings(BACKUP)))
            }
            Show::Restore { database, brief } => {
                self.database(database.as_ref())?;
                let names: Vec<_> =
                    RESTORE.iter().copied().filter(|name| !brief || !["RestoreObjs", "Progress", "TaskErrMsg"].contains(name)).collect();
                Ok(Outcome::Rows(Rows::of_strings(&names)))
            }
            Show::Snapshot { repository } => Err(SqlError::detail(format!("Repository {repository} does not exist"))),
            Show::CreateRepository => Err(SqlError::detail("repository not exist.")),
            Show::WorkloadGroups { like } => self.workload_groups(like.as_ref()),
            Show::Tablets { database, table } | Show::ReplicaStatus { database, table } | Show::ReplicaDistribution { database, table } => {
                self.table_details(show, database.as_ref(), table)
            }
            Show::Tablet(id) => self.tablet(*id),
            Show::Data => self.data(),
            Show::Trash => Ok(Outcome::Rows(trash(self.catalog()?))),
            Show::Catalogs => Ok(Outcome::Rows(catalogs())),
            Show::Fixed(name) => Ok(Outcome::Rows(Rows::of_strings(fixed(name)))),
            Show::ComputeGroups => Err(SqlError::coded(6000, "42000", "Command only support in cloud mode.")),
        }
    }

    fn frontend_disks(&self) -> Run {
        self.require(&[Priv::Admin, Priv::Node], "ADMIN/OPERATOR")?;
        let fe = self.frontend()?;
        let names = ["Name", "Host", "DirType", "Dir", "Filesystem", "Capacity", "Used", "Available", "UseRate", "MountOn"];
        let mut rows = Rows::of_strings(&names);
        let (used, total) = (fe.meta.volume.used(), fe.meta.volume.capacity());
        for row in &fe.catalog.frontends {
            let size = |bytes: u64| format!("{}G", bytes >> 30);
            let total = total.unwrap_or(100 << 30);
            let rate = format!("{}%", used * 100 / total.max(1));
            let dir = fe.settings.get("meta_dir").to_owned();
            let cells = [
                row.name.clone(),
                row.host.clone(),
                "meta".to_owned(),
                dir.clone(),
                "/dev/sda".to_owned(),
                size(total),
                size(used),
                size(total.saturating_sub(used)),
                rate,
                dir,
            ];
            rows.push(cells.map(Some).to_vec());
        }
        Ok(Outcome::Rows(rows))
    }

    fn processes(&self) -> Run {
        let fe = self.frontend()?;
        let admin = self.user()?.has_global(Priv::Admin);
        let mut columns: Vec<Column> = PROCESSES.iter().map(|(name, kind)| Column { name: (*name).to_owned(), kind: *kind }).collect();
        if !fe.version.from_line(3, 0) {
            columns.truncate(12);
        } else if fe.version.major >= 4 {
            columns.insert(11, Column { name: "TraceId".to_owned(), kind: ColumnType::Str });
        }
        let mut rows = Rows { columns, rows: Vec::new() };
        let now = self.state.clock.now_ms();
        for (id, session) in fe.sessions.iter().filter(|(_, session)| admin || session.user == self.client.user) {
            let own = *id == self.client.connection && self.client.home == self.fe;
            let cell = |name: &str| match name {
                "CurrentConnected" => if own { "Yes" } else { "No" }.to_owned(),
                "Id" => id.to_string(),
                "User" => session.user.user.clone(),
                "Host" => session.client.clone(),
                "LoginTime" => date_time(session.login_ms),
                "Catalog" => "internal".to_owned(),
                "Db" => session.database.clone(),
                "Command" => session.command.to_owned(),
                "Time" => ((now - session.since_ms) / 1000).to_string(),
                "State" => session.state.to_owned(),
                "QueryId" => session.query_id.clone(),
                "Info" => session.info.clone(),
                "FE" => fe.host.clone(),
                "CloudCluster" => "NULL".to_owned(),
                _ => String::new(),
            };
            let row = rows.columns.iter().map(|column| Some(cell(&column.name))).collect();
            rows.push(row);
        }
        Ok(Outcome::Rows(rows))
    }

    fn workload_groups(&self, pattern: Option<&String>) -> Run {
        let names = GROUP_PROPERTIES.iter().map(|(name, _)| *name);
        let names: Vec<_> = ["Id", "Name"].into_iter().chain(names).chain(["running_query_num", "waiting_query_num"]).collect();
        let mut rows = Rows::of_strings(&names);
        for (name, group) in self.catalog()?.workload_groups.iter().filter(|(name, _)| pattern.is_none_or(|pattern| like(pattern, name))) {
            let values =
                GROUP_PROPERTIES.iter().map(|(key, default)| group.properties.get(*key).map_or(*default, String::as_str).to_owned());
            let cells = [group.id.to_string(), name.clone()].into_iter().chain(values).chain(["0".to_owned(), "0".to_owned()]);
            rows.push(cells.map(Some).collect());
        }
        Ok(Outcome::Rows(rows))
    }

    fn table_details(&self, show: &Show, database: Option<&String>, table: &str) -> Run {
        let database = self.database(database)?;
        let catalog = self.catalog()?;
        let found = catalog.database(&database).and_then(|database| database.table(table));
        let tablets_only = matches!(show, Show::Tablets { .. });
        let Some(found) = found else {
            let text = format!("Unknown table '{table}'");
            return Err(if tablets_only { SqlError::coded(1051, "42S02", text) } else { SqlError::detail(text) });
        };
        let replicas =
            found.partitions.iter().flat_map(|p| &p.tablets).flat_map(|tablet| tablet.replicas.iter().map(move |r| (tablet.id, r)));
        if matches!(show, Show::ReplicaDistribution { .. }) {
            let mut rows =
                Rows::of_strings(&["BackendId", "ReplicaNum", "ReplicaSize", "NumGraph", "NumPercent", "SizeGraph", "SizePercent"]);
            let all = replicas.count().max(1);
            for id in catalog.backends.keys() {
                let held = found.partitions.iter().flat_map(|p| &p.tablets).flat_map(|t| &t.replicas).filter(|r| r.backend == *id).count();
                let share = percent(held as u64, all as u64);
                rows.push(
                    [id.to_string(), held.to_string(), "0.000 ".to_owned(), String::new(), share.clone(), String::new(), share]
                        .map(Some)
                        .to_vec(),
                );
            }
            return Ok(Outcome::Rows(rows));
        }
        let columns =
            if tablets_only { &["TabletId", "ReplicaId", "BackendId", "SchemaHash", "Version", "State"][..] } else { REPLICA_STATUS };
        let mut rows = Rows::of_strings(if tablets_only { tablet_columns(self.frontend()?) } else { columns });
        for (tablet, replica) in replicas {
            let alive = catalog.backends.get(&replica.backend).is_some_and(|backend| backend.alive);
            let cell = |name: &str| match name {
                "TabletId" => tablet.to_string(),
                "ReplicaId" => replica.id.to_string(),
                "BackendId" => replica.backend.to_string(),
                "State" => "NORMAL".to_owned(),
                "Status" => if alive { "OK" } else { "DEAD" }.to_owned(),
                "IsBad" | "IsUserDrop" => "false".to_owned(),
                "Version" | "LastSuccessVersion" | "LstSuccessVersion" | "CommittedVersion" => "1".to_owned(),
                "LastFailedVersion" | "LstFailedVersion" => "-1".to_owned(),
                _ => "0".to_owned(),
            };
            let row = rows.columns.iter().map(|column| Some(cell(&column.name))).collect();
            rows.push(row);
        }
        Ok(Outcome::Rows(rows))
    }

    fn tablet(&self, id: u64) -> Run {
        let names = [
            "DbName",
            "TableName",
            "PartitionName",
            "IndexName",
            "DbId",
            "TableId",
            "PartitionId",
            "IndexId",
            "IsSync",
            "Order",
            "QueryHits",
            "DetailCmd",
        ];
        let mut rows = Rows::of_strings(&names);
        let catalog = self.catalog()?;
        let text = |value: &str| Some(value.to_owned());
        let found = catalog.tablets().find(|(_, _, tablet)| tablet.id == id);
        let Some((table, partition, _)) = found else {
            let detail = format!("SHOW PROC '/dbs/-1/-1/partitions/-1/-1/{id}';");
            rows.push(vec![
                None,
                None,
                None,
                None,
                text("-1"),
                text("-1"),
                text("-1"),
                text("-1"),
                text("false"),
                text("-1"),
                text("0"),
                Some(detail),
            ]);
            return Ok(Outcome::Rows(rows));
        };
        let database = catalog.databases.values().find(|database| database.tables.contains_key(&table.id));
        let (name, db) = database.map_or((String::new(), 0), |database| (database.name.clone(), database.id));
        let detail = format!("SHOW PROC '/dbs/{db}/{}/partitions/{}/{}/{id}';", table.id, partition.id, table.id);
        let ids = [db, table.id, partition.id, table.id].map(|id| Some(id.to_string()));
        let names = [name, table.name.clone(), partition.name.clone(), table.name.clone()].map(Some);
        rows.push(names.into_iter().chain(ids).chain([text("true"), text("0"), text("0"), Some(detail)]).collect());
        Ok(Outcome::Rows(rows))
    }

    fn data(&self) -> Run {
        let mut rows = Rows::of_strings(&["DbId", "DbName", "Size", "RemoteSize", "RecycleSize", "RecycleRemoteSize"]);
        let databases = self.catalog()?.databases.values().map(|database| (database.id.to_string(), database.name.clone()));
        for (id, name) in databases.chain([("Total".to_owned(), "NULL".to_owned())]) {
            let zero = || "0".to_owned();
            rows.push([id, name, zero(), zero(), zero(), zero()].map(Some).to_vec());
        }
        Ok(Outcome::Rows(rows))
    }
}

const BACKUP: &[&str] = &[
    "JobId",
    "SnapshotName",
    "DbName",
    "State",
    "BackupObjs",
    "CreateTime",
    "SnapshotFinishedTime",
    "UploadFinishedTime",
    "FinishedTime",
    "UnfinishedTasks",
    "Progress",
    "TaskErrMsg",
    "Status",
    "Timeout",
];

const RESTORE: &[&str] = &[
    "JobId",
    "Label",
    "Timestamp",
    "DbName",
    "State",
    "AllowLoad",
    "ReplicationNum",
    "ReplicaAllocation",
    "ReserveReplica",
    "ReserveDynamicPartitionEnable",
    "RestoreObjs",
    "CreateTime",
    "MetaPreparedTime",
    "SnapshotFinishedTime",
    "DownloadFinishedTime",
    "FinishedTime",
    "UnfinishedTasks",
    "Progress",
    "TaskErrMsg",
    "Status",
    "Timeout",
];

const REPLICA_STATUS: &[&str] = &[
    "TabletId",
    "ReplicaId",
    "BackendId",
    "Version",
    "LastFailedVersion",
    "LastSuccessVersion",
    "CommittedVersion",
    "SchemaHash",
    "VersionNum",
    "IsBad",
    "IsUserDrop",
    "State",
    "Status",
];

const PROCESSES: &[(&str, ColumnType)] = &[
    ("CurrentConnected", ColumnType::Str),
    ("Id", ColumnType::LongLong),
    ("User", ColumnType::Str),
    ("Host", ColumnType::Str),
    ("LoginTime", ColumnType::Str),
    ("Catalog", ColumnType::Str),
    ("Db", ColumnType::Str),
    ("Command", ColumnType::Str),
    ("Time", ColumnType::Long),
    ("State", ColumnType::Str),
    ("QueryId", ColumnType::Str),
    ("Info", ColumnType::Blob),
    ("FE", ColumnType::Str),
    ("CloudCluster", ColumnType::Str),
];

fn tablet_columns(fe: &Fe) -> &'static [&'static str] {
    const OLD: &[&str] = &[
        "TabletId",
        "ReplicaId",
        "BackendId",
        "SchemaHash",
        "Version",
        "LstSuccessVersion",
        "LstFailedVersion",
        "LstFailedTime",
        "LocalDataSize",
        "RemoteDataSize",
        "RowCount",
        "State",
        "LstConsistencyCheckTime",
        "CheckVersion",
        "VersionCount",
        "QueryHits",
        "PathHash",
        "MetaUrl",
        "CompactionStatus",
        "CooldownReplicaId",
        "CooldownMetaId",
    ];
    const NEW: &[&str] = &[
        "TabletId",
        "ReplicaId",
        "BackendId",
        "SchemaHash",
        "Version",
        "LstSuccessVersion",
        "LstFailedVersion",
        "LstFailedTime",
        "LocalDataSize",
        "RemoteDataSize",
        "RowCount",
        "State",
        "LstConsistencyCheckTime",
        "CheckVersion",
        "VisibleVersionCount",
        "VersionCount",
        "QueryHits",
        "PathHash",
        "Path",
        "MetaUrl",
        "CompactionStatus",
        "CooldownReplicaId",
        "CooldownMetaId",
    ];
    if fe.version.from_line(2, 1) { NEW } else { OLD }
}

fn fixed(name: &str) -> &'static [&'static str] {
    match name {
        "CATALOG RECYCLE BIN" => &["Type", "Name", "DbId", "TableId", "PartitionId", "DropTime", "DataSize", "RemoteDataSize"],
        "STORAGE POLICY" => &["PolicyName", "Id", "Version", "Type", "StorageResource", "CooldownDatetime", "CooldownTtl"],
        "LAST INSERT" => &["TransactionId", "Label", "Database", "Table", "TransactionStatus", "LoadedRows", "FilteredRows"],
        "RESOURCES" => &["Name", "ResourceType", "Item", "Value"],
        "PLUGINS" => &["Name", "Type", "Description", "Version", "JavaVersion", "ClassName", "SoName", "Sources", "Status", "Properties"],
        "WARNINGS" => &["Level", "Code", "Message"],
        _ => &["Variable_name", "Value"],
    }
}

fn column(name: &str, values: Vec<String>) -> Outcome {
    let mut rows = Rows::of_strings(&[name]);
    for value in values {
        rows.push(vec![Some(value)]);
    }
    Outcome::Rows(rows)
}

fn catalogs() -> Rows {
    let mut rows = Rows::of_strings(&["CatalogId", "CatalogName", "Type", "IsCurrent", "CreateTime", "LastUpdateTime", "Comment"]);
    let kinds = [ColumnType::LongLong, ColumnType::Str].into_iter().chain([ColumnType::Blob; 5]);
    rows.columns.iter_mut().zip(kinds).for_each(|(column, kind)| column.kind = kind);
    let text = |value: &str| Some(value.to_owned());
    rows.push(vec![text("0"), text("internal"), text("internal"), text("Yes"), None, None, text("Doris internal catalog")]);
    rows
}

pub(super) fn trash(catalog: &Catalog) -> Rows {
    let mut rows = Rows::of_strings(&["BackendId", "Backend", "TrashUsedCapacity"]);
    for backend in catalog.backends.values() {
        let used = backend.disks.iter().map(|disk| disk.trash).sum();
        rows.push([backend.id.to_string(), format!("{}:{}", backend.host, backend.heartbeat_port), bytes(used)].map(Some).to_vec());
    }
    rows
}

/// `99.000 GB`: three decimals and the largest unit that is exceeded.
pub(super) fn bytes(value: u64) -> String {
    const UNITS: [(&str, u64); 4] = [("TB", 1 << 40), ("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10)];
    #[expect(clippy::cast_precision_loss, reason = "three decimals are shown")]
    let divided = |unit: u64| value as f64 / unit as f64;
    match UNITS.iter().find(|(_, unit)| value > *unit) {
        Some((name, unit)) => format!("{:.3} {name}", divided(*unit)),
        None if value > 0 => format!("{:.3} B", divided(1)),
        None => "0.000 ".to_owned(),
    }
}

pub(super) fn percent(part: u64, whole: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "two decimals are shown")]
    let share = if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 };
    format!("{share:.2} %")
}

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
        "Status" => status(fe, backend, seen.report_ms),
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
        "RunningTasks" => "0".to_owned(),
        _ => bytes(0),
    })
}

fn status(fe: &Fe, backend: &Backend, report_ms: i64) -> String {
    let time = date_time_or_null(report_ms).unwrap_or_else(|| "N/A".to_owned());
    let mut text = format!(
        "{{\"lastSuccessReportTabletsTime\":\"{time}\",\"lastStreamLoadTime\":-1,\"isQueryDisabled\":{},\"isLoadDisabled\":{}",
        backend.query_disabled, backend.load_disabled
    );
    if fe.version.from_line(3, 0) {
        text.push_str(",\"isActive\":true");
        text.push_str(if fe.version.from_line(4, 1) { ",\"isShutdown\":false" } else { "" });
        text.push_str(",\"currentFragmentNum\":0,\"lastFragmentUpdateTime\":0");
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
            let row: Cells = vec![
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
