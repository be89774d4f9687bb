//! Repositories, backups and restores as statements.

use super::ast::{Snapshot, Statement};
use super::parser::{Parsed, Parser};
use super::system::journal;
use super::{Context, Outcome, Run};
use crate::answer::SqlError;
use crate::catalog::{Op, Priv, Repository, SnapshotJob, SnapshotState};

/// A job is given up after a day unless it was told otherwise.
const TIMEOUT_SECONDS: i64 = 86_400;

impl Parser<'_> {
    pub(super) fn create_repository(&mut self, read_only: bool) -> Parsed<Statement> {
        let name = self.name()?;
        self.expect("WITH")?;
        let (kind, broker) = if self.accept("BROKER") { ("BROKER".to_owned(), Some(self.name()?)) } else { (self.name()?, None) };
        self.expect("ON")?;
        self.expect("LOCATION")?;
        let location = self.string()?;
        let _properties = self.optional_properties()?;
        Ok(Statement::CreateRepository { name, broker, kind: kind.to_ascii_uppercase(), location, read_only })
    }

    /// `SNAPSHOT [database.]label TO|FROM repository [ON (t, ..)] [PROPERTIES (..)]`
    pub(super) fn snapshot(&mut self, direction: &str) -> Parsed<Snapshot> {
        self.expect("SNAPSHOT")?;
        let (database, label) = self.qualified()?;
        self.expect(direction)?;
        let repository = self.name()?;
        let mut tables = Vec::new();
        if self.accept("ON") {
            self.expect_symbol("(")?;
            loop {
                tables.push(self.name()?);
                if !self.symbol(",") {
                    break;
                }
            }
            self.expect_symbol(")")?;
        }
        Ok(Snapshot { database, label, repository, tables, properties: self.optional_properties()? })
    }
}

/// How backups refuse.
fn failed(text: impl AsRef<str>) -> SqlError {
    SqlError::coded(5064, "42000", text)
}

impl Context<'_> {
    fn known_repository(&self, name: &str) -> Result<Option<Repository>, SqlError> {
        Ok(self.catalog()?.repositories.iter().find(|repository| repository.name == name).cloned())
    }

    pub(super) fn repository(&mut self, statement: &Statement) -> Run {
        self.require(&[Priv::Admin], "ADMIN")?;
        match statement {
            Statement::CreateRepository { broker: Some(broker), .. } if !self.catalog()?.brokers.contains_key(broker) => {
                Err(failed(format!("broker does not exist: {broker}")))
            }
            Statement::CreateRepository { name, kind, location, read_only, .. } => {
                if self.known_repository(name)?.is_some() {
                    return Err(failed(format!("Repository with name '{name}' already exist")));
                }
                if self.state.stores.of(location).is_none_or(|store| !store.answers) {
                    let text = format!("repository {name} needs an object store, and none answers at {location} in this model of Doris");
                    return Err(SqlError::detail(text));
                }
                let id = self.catalog()?.next_id;
                let (name, kind, location, made_ms) = (name.clone(), kind.clone(), location.clone(), self.state.clock.now_ms());
                Ok(journal([Op::Repository(Repository { id, name, kind, location, read_only: *read_only, made_ms })]))
            }
            Statement::DropRepository(name) => {
                if self.known_repository(name)?.is_none() {
                    return Err(failed("Repository does not exist"));
                }
                if self.catalog()?.snapshots.iter().any(|job| job.repository == *name && !job.state.is_over()) {
                    return Err(failed("Backup or restore job is running on this repository. Can not drop it"));
                }
                Ok(journal([Op::DropRepository { name: name.clone() }]))
            }
            Statement::AlterRepository(name) if self.known_repository(name)?.is_none() => Err(failed("Repository does not exist")),
            _ => Ok(Outcome::Done),
        }
    }

    pub(super) fn snapshot(&mut self, wish: &Snapshot, is_restore: bool) -> Run {
        let Some(repository) = self.known_repository(&wish.repository)? else {
            return Err(failed(format!("Repository {} does not exist", wish.repository)));
        };
        let database_name = self.database(wish.database.as_ref())?;
        self.allowed(&database_name, Priv::Load)?;
        if !is_restore && repository.read_only {
            return Err(failed(format!("Repository {} is read only", repository.name)));
        }
        let catalog = self.catalog()?;
        let Some(database) = catalog.database(&database_name) else { return Ok(Outcome::Done) };
        if catalog.running_snapshot(database.id).is_some() {
            return Err(failed("Can only run one backup or restore job of a database at same time"));
        }
        let saved = self.state.stores.of(&repository.location).map(|store| store.listed(&repository.location)).unwrap_or_default();
        if !is_restore && saved.iter().any(|saved| saved.label == wish.label) {
            return Err(failed(format!("Snapshot with name '{}' already exist in repository", wish.label)));
        }
        let property = |key: &str| wish.properties.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone());
        let unknown = wish.tables.iter().find(|table| !is_restore && database.table(table).is_none());
        if let Some(table) = unknown {
            return Err(SqlError::coded(1109, "42S02", format!("Unknown table '{table}' in {database_name}")));
        }
        let all = || database.tables.values().map(|table| table.name.clone()).collect();
        let timeout = property("timeout").and_then(|text| text.parse().ok()).unwrap_or(TIMEOUT_SECONDS);
        let job = SnapshotJob {
            id: catalog.next_id,
            is_restore,
            database: database.id,
            label: wish.label.clone(),
            repository: repository.name.clone(),
            timestamp: property("backup_timestamp").unwrap_or_default(),
            tables: if wish.tables.is_empty() && !is_restore { all() } else { wish.tables.clone() },
            state: SnapshotState::Pending,
            created_ms: self.state.clock.now_ms(),
            snapshot_ms: 0,
            transfer_ms: 0,
            finished_ms: 0,
            timeout_ms: timeout.saturating_mul(1000),
            status: "[OK]".to_owned(),
            restored: Vec::new(),
            database_name,
        };
        Ok(journal([Op::Snapshot(Box::new(job))]))
    }

    pub(super) fn cancel_snapshot(&mut self, database: Option<&String>, is_restore: bool) -> Run {
        if database.is_none() && self.client.database.is_empty() {
            return Err(SqlError::detail("No database selected"));
        }
        let name = self.database(database)?;
        let catalog = self.catalog()?;
        let running = catalog.database(&name).and_then(|database| catalog.running_snapshot(database.id));
        let Some(job) = running.filter(|job| job.is_restore == is_restore) else {
            return Err(failed(if is_restore { "No restore is currently running" } else { "No backup job is currently running" }));
        };
        let status = match self.frontend()?.snapshots.get(&job.id).map_or(job.state, |tasks| tasks.state) {
            state if is_restore => format!("[COMMON_ERROR, msg: user cancelled, current state: {}]", state.name()),
            _ => "[COMMON_ERROR, msg: user cancelled]".to_owned(),
        };
        let finished_ms = self.state.clock.now_ms();
        let job = SnapshotJob { state: SnapshotState::Cancelled, finished_ms, status, ..job.clone() };
        let id = job.id;
        self.frontend_mut()?.snapshots.remove(&id);
        Ok(journal([Op::Snapshot(Box::new(job))]))
    }
}
