//! SHOW.

mod jobs;
mod members;
mod sessions;
mod tablets;

use super::ast::Show;
use super::tables::GROUP_PROPERTIES;
use super::{Context, Outcome, Run, like, proc_rows};
use crate::answer::{ColumnType, Rows, SqlError};
use crate::catalog::Priv;

pub(crate) use members::{backends, brokers, frontends, trash};

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
            Show::Repositories => self.repositories(),
            Show::Backup { database } => self.snapshots(database.as_ref(), false, false),
            Show::Restore { database, brief } => self.snapshots(database.as_ref(), true, *brief),
            Show::Snapshot { repository } => self.saved(repository),
            Show::Alter { kind, database } => self.alters(*kind, database.as_ref()),
            Show::CreateRepository => Err(SqlError::detail("repository not exist.")),
            Show::WorkloadGroups { like } => self.workload_groups(like.as_ref()),
            Show::Tablets { database, table }
            | Show::ReplicaStatus { database, table, .. }
            | Show::ReplicaDistribution { database, table } => self.table_details(show, database.as_ref(), table),
            Show::Tablet(id) => self.tablet(*id),
            Show::Data => self.data(),
            Show::Trash => Ok(Outcome::Rows(trash(self.catalog()?))),
            Show::BackendConfig { like, backend } => self.backend_config(like.as_ref(), *backend),
            Show::RecycleBin => self.recycle_bin(),
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

fn fixed(name: &str) -> &'static [&'static str] {
    match name {
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
