//! Databases, tables, workload groups.

use super::ast::Statement;
use super::system::journal;
use super::{Context, Outcome, Run, Step};
use crate::answer::SqlError;
use crate::be::{NewTable, build_table};
use std::time::Duration;

use crate::catalog::{Op, Priv};
use crate::load::Batch;

/// Properties of a workload group that 2.1 and 3.0 know.
pub(super) const GROUP_PROPERTIES: &[(&str, &str)] = &[
    ("cpu_share", "1024"),
    ("memory_limit", "30%"),
    ("enable_memory_overcommit", "true"),
    ("max_concurrency", "2147483647"),
    ("max_queue_size", "0"),
    ("queue_timeout", "0"),
    ("cpu_hard_limit", "-1"),
    ("scan_thread_num", "-1"),
    ("max_remote_scan_thread_num", "-1"),
    ("min_remote_scan_thread_num", "-1"),
    ("spill_threshold_low_watermark", "50%"),
    ("spill_threshold_high_watermark", "80%"),
    ("tag", ""),
    ("read_bytes_per_second", "-1"),
    ("remote_read_bytes_per_second", "-1"),
];

impl Context<'_> {
    pub(super) fn allowed(&self, database: &str, privilege: Priv) -> Result<(), SqlError> {
        if self.user()?.has_on(database, privilege) {
            return Ok(());
        }
        Err(SqlError::coded(1044, "42000", format!("Access denied for user '{}' to database '{database}'", self.client.name)))
    }

    pub(super) fn define(&mut self, statement: &Statement) -> Run {
        match statement {
            Statement::CreateDatabase { name, quiet } => {
                self.allowed(name, Priv::Create)?;
                let catalog = self.catalog()?;
                match catalog.database(name) {
                    Some(_) if *quiet => Ok(Outcome::Done),
                    Some(_) => Err(SqlError::coded(1007, "HY000", format!("Can't create database '{name}'; database exists"))),
                    None => Ok(journal([Op::CreateDatabase { id: catalog.next_id, name: name.clone() }])),
                }
            }
            Statement::DropDatabase { name, quiet } => {
                self.allowed(name, Priv::Drop)?;
                match self.catalog()?.database(name) {
                    Some(database) if database.is_virtual() => Err(SqlError::detail("Drop database is forbidden")),
                    Some(database) => Ok(journal([Op::DropDatabase { id: database.id, ms: self.state.clock.now_ms() }])),
                    None if *quiet => Ok(Outcome::Done),
                    None => Err(SqlError::coded(1008, "HY000", format!("Can't drop database '{name}'; database doesn't exist"))),
                }
            }
            Statement::CreateTable { database, name, quiet, buckets, properties } => {
                let database = self.database(database.as_ref())?;
                self.allowed(&database, Priv::Create)?;
                self.create_table(&database, name, *quiet, *buckets, properties)
            }
            Statement::DropTable { database, name, quiet, force } => {
                let database = self.database(database.as_ref())?;
                self.allowed(&database, Priv::Drop)?;
                let found = self.catalog()?.database(&database).and_then(|database| Some((database.id, database.table(name)?.id)));
                match found {
                    Some((database, table)) => {
                        let ms = self.state.clock.now_ms();
                        Ok(journal([Op::DropTable { database, table, ms, force: *force }]))
                    }
                    None if *quiet => Ok(Outcome::Done),
                    None => Err(SqlError::coded(1109, "42S02", format!("Unknown table '{name}' in {database}"))),
                }
            }
            _ => Ok(Outcome::Done),
        }
    }

    fn create_table(&mut self, database: &str, name: &str, quiet: bool, buckets: usize, properties: &[(String, String)]) -> Run {
        let catalog = self.catalog()?;
        let Some(database) = catalog.database(database) else { return Ok(Outcome::Done) };
        if database.table(name).is_some() {
            return if quiet { Ok(Outcome::Done) } else { Err(SqlError::coded(1050, "42S01", format!("Table '{name}' already exists"))) };
        }
        let property = |key: &str| properties.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
        let allocation = property("replication_allocation").and_then(|text| text.trim().strip_prefix("tag.location.")?.split_once(':'));
        let (location, copies) = match allocation {
            Some((location, copies)) => (location.trim(), copies.trim().parse().unwrap_or(3)),
            None => ("default", property("replication_num").and_then(|text| text.parse().ok()).unwrap_or(3)),
        };
        let group = property("colocate_with").map(str::to_owned);
        if let Some(known) = group.as_ref().and_then(|name| catalog.groups.get(name)) {
            if known.buckets.len() != buckets {
                let text = format!("Colocate tables must have same bucket num: {} should be {}", buckets, known.buckets.len());
                return Err(SqlError::detail(text));
            }
            if known.copies != copies || known.location != location {
                return Err(SqlError::detail("Colocate tables must have same replication allocation"));
            }
        }
        let mut next = catalog.next_id;
        let new = NewTable {
            database: database.id,
            buckets,
            copies,
            location: location.to_owned(),
            min_load: property("min_load_replica_num").and_then(|text| text.parse().ok()),
            group: group.clone(),
            ..NewTable::named(name)
        };
        let Some((table, made)) = build_table(catalog, &mut next, &new, self.state.clock.now_ms()) else {
            return Err(SqlError::detail(format!(
                "Failed to find enough backend, please check the replication num,replication tag and storage medium and avail capacity of backends or maybe all be on same host.\nCreate failed replications:\nreplication tag: {{\"location\" : \"{location}\"}}, replication num: {copies}, storage medium: HDD"
            )));
        };
        let id = database.id;
        let mut steps = vec![Step::CreateTablets(Box::new(table.clone()))];
        steps.extend(made.zip(group).map(|(group, name)| Step::Journal(Op::Colocate { name, group })));
        steps.push(Step::Journal(Op::CreateTable { database: id, table: Box::new(table) }));
        Ok(Outcome::Steps(steps))
    }

    /// Catalogs of other systems, and the recycle bin.
    pub(super) fn beyond_tables(&mut self, statement: &Statement) -> Run {
        self.require(&[Priv::Admin], "ADMIN")?;
        let catalog = self.catalog()?;
        match statement {
            Statement::CreateCatalog { name, quiet } => match catalog.catalogs.contains_key(name) {
                true if *quiet => Ok(Outcome::Done),
                true => Err(SqlError::detail(format!("Catalog had already exist with name: {name}"))),
                false => Ok(journal([Op::CreateCatalog { name: name.clone(), id: catalog.next_id }])),
            },
            Statement::DropCatalog { name, quiet } => match catalog.catalogs.contains_key(name) {
                true => Ok(journal([Op::DropCatalog { name: name.clone() }])),
                false if *quiet => Ok(Outcome::Done),
                false => Err(SqlError::detail(format!("No catalog found with name: {name}"))),
            },
            Statement::EmptyBin { table } => {
                let fits = |id: &u64| table.is_none_or(|wanted| wanted == *id);
                let ids: Vec<_> = catalog.bin.iter().map(|binned| binned.table.id).filter(fits).collect();
                match (table, ids.is_empty()) {
                    (Some(id), true) => Err(SqlError::detail(format!("No table id '{id}'"))),
                    _ => Ok(journal([Op::EraseTables(ids)])),
                }
            }
            _ => Ok(Outcome::Done),
        }
    }

    pub(super) fn insert(&mut self, statement: &Statement) -> Run {
        let Statement::Insert { database, table, label, rows, bytes, seconds } = statement else { return Ok(Outcome::Done) };
        let database = self.database(database.as_ref())?;
        self.allowed(&database, Priv::Load)?;
        if self.catalog()?.database(&database).and_then(|database| database.table(table)).is_none() {
            return Err(SqlError::detail(format!("Table [{table}] does not exist in database [{database}].")));
        }
        let label = label.clone().unwrap_or_else(|| format!("label_{}", self.state.uuid().replace('-', "_")));
        let duration = if *seconds > 0 { Duration::from_secs(*seconds) } else { self.state.timing.load };
        Ok(Outcome::Load(Batch { database, table: table.clone(), label, rows: *rows, bytes: *bytes, duration }))
    }

    pub(super) fn workload_group(&mut self, statement: &Statement) -> Run {
        self.require(&[Priv::Admin], "ADMIN")?;
        let catalog = self.catalog()?;
        match statement {
            Statement::WorkloadGroup { name, quiet, alter, properties } => {
                let known = catalog.workload_groups.get(name);
                match (known, *alter) {
                    (None, true) => return Err(SqlError::detail(format!("workload group({name}) does not exist."))),
                    (Some(_), false) if *quiet => return Ok(Outcome::Done),
                    (Some(_), false) => return Err(SqlError::detail(format!("workload group {name} already exist"))),
                    _ => {}
                }
                if let Some((key, _)) = properties.iter().find(|(key, _)| !GROUP_PROPERTIES.iter().any(|(known, _)| known == key)) {
                    return Err(SqlError::detail(format!("Property {key} is not supported.")));
                }
                let id = known.map_or(catalog.next_id, |group| group.id);
                Ok(journal([Op::WorkloadGroup { name: name.clone(), id, properties: properties.clone() }]))
            }
            Statement::DropWorkloadGroup { name, .. } if name == "normal" => {
                Err(SqlError::detail("Dropping default workload group normal is not allowed"))
            }
            Statement::DropWorkloadGroup { name, quiet } => match catalog.workload_groups.contains_key(name) {
                true => Ok(journal([Op::DropWorkloadGroup { name: name.clone() }])),
                false if *quiet => Ok(Outcome::Done),
                false => Err(SqlError::detail(format!("workload group {name} does not exist"))),
            },
            _ => Ok(Outcome::Done),
        }
    }
}
