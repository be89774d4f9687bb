//! Changes of tables as statements.

use super::ast::{Change, Statement};
use super::parser::{Parsed, Parser};
use super::system::journal;
use super::{Context, Outcome, Run};
use crate::answer::SqlError;
use crate::catalog::{AlterJob, AlterKind, AlterState, Op, Priv};

impl Parser<'_> {
    /// `COLUMN` or `ROLLUP`.
    pub(super) fn alter_kind(&mut self) -> Parsed<AlterKind> {
        match () {
            () if self.accept("COLUMN") => Ok(AlterKind::SchemaChange),
            () if self.accept("ROLLUP") => Ok(AlterKind::Rollup),
            () => Err(self.mismatch_many(&["COLUMN", "MATERIALIZED", "ROLLUP"])),
        }
    }

    /// Of a change only what kind of work it makes is kept.
    pub(super) fn alter_table(&mut self) -> Parsed<Statement> {
        let (database, table) = self.qualified()?;
        let start = self.position();
        let change = if self.accept_all(&["ADD", "ROLLUP"]) {
            Change::Job { kind: AlterKind::Rollup, index: Some(self.name()?) }
        } else if self.accept_all(&["MODIFY", "COLUMN"]) {
            Change::Job { kind: AlterKind::SchemaChange, index: None }
        } else if self.accept_all(&["ADD", "COLUMN"]) || self.accept_all(&["DROP", "COLUMN"]) {
            Change::Light
        } else {
            return Err(self.no_viable(start));
        };
        Ok(Statement::AlterTable { database, table, change })
    }

    pub(super) fn cancel_alter(&mut self) -> Parsed<Statement> {
        let kind = self.alter_kind()?;
        self.expect("FROM")?;
        let (database, table) = self.qualified()?;
        Ok(Statement::CancelAlter { database, table, kind })
    }
}

impl Context<'_> {
    pub(super) fn alter(&mut self, database: Option<&String>, table: &str, change: &Change) -> Run {
        let name = self.database(database)?;
        self.allowed(&name, Priv::Alter)?;
        let catalog = self.catalog()?;
        let Some((database, table)) = catalog.database(&name).and_then(|database| Some((database.id, database.table(table)?))) else {
            return Err(SqlError::coded(1109, "42S02", format!("Unknown table '{table}' in {name}")));
        };
        if let Some(running) = catalog.running_alter(table.id) {
            let state = if running.kind == AlterKind::Rollup { "ROLLUP" } else { "SCHEMA_CHANGE" };
            return Err(SqlError::detail(format!("Table[{}]'s state({state}) is not NORMAL. Do not allow doing ALTER ops", table.name)));
        }
        let Change::Job { kind, index } = change else { return Ok(Outcome::Done) };
        let job = AlterJob {
            id: catalog.next_id,
            kind: *kind,
            database,
            table: table.id,
            table_name: table.name.clone(),
            index: index.clone().unwrap_or_else(|| table.name.clone()),
            state: AlterState::Pending,
            created_ms: self.state.clock.now_ms(),
            finished_ms: 0,
            watershed: catalog.next_id,
            message: String::new(),
        };
        Ok(journal([Op::Alter(Box::new(job))]))
    }

    pub(super) fn cancel_alter(&mut self, database: Option<&String>, table: &str, kind: AlterKind) -> Run {
        let name = self.database(database)?;
        self.allowed(&name, Priv::Alter)?;
        let catalog = self.catalog()?;
        let known = catalog.database(&name).and_then(|database| database.table(table));
        let Some(job) = known.and_then(|table| catalog.running_alter(table.id)).filter(|job| job.kind == kind) else {
            let state = if kind == AlterKind::Rollup { "ROLLUP" } else { "SCHEMA_CHANGE" };
            return Err(SqlError::detail(format!("Table[{table}] is not under {state}.")));
        };
        let finished_ms = self.state.clock.now_ms();
        let job = AlterJob { state: AlterState::Cancelled, finished_ms, message: "user cancelled".to_owned(), ..job.clone() };
        Ok(journal([Op::Alter(Box::new(job))]))
    }
}
