//! One engine for Doris' administrative statements.

mod accounts;
mod alter;
mod amounts;
mod ast;
mod backup;
mod loads;
mod nodes;
mod parser;
mod proc;
mod queries;
mod replicas;
mod running;
mod scheduling;
mod select;
mod show;
mod statements;
mod system;
mod tables;
mod token;
mod variables;

use std::collections::BTreeMap;
use std::net::IpAddr;

pub(crate) use ast::Statement;
use ast::{Show, Source, System};
pub(crate) use proc::proc_rows;
pub(crate) use system::check_decommission;

use crate::answer::{Column, Rows, SqlError};
use crate::bdb::Entry;
use crate::catalog::{Catalog, Identity, Op, Priv, Table, User};
use crate::fe::Fe;
use crate::load::Batch;
use crate::process::ProcessId;
use crate::query::Read;
use crate::state::State;
use crate::truth::Work;

/// What belongs to a client's connection.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub user: Identity,
    pub name: String,
    pub from: IpAddr,
    pub connection: u32,
    pub database: String,
    pub variables: BTreeMap<String, String>,
    /// Frontend that the client is connected to.
    pub home: ProcessId,
}

/// One step of a statement that changes something.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Journal(Op),
    /// A change of the replication group.
    Group(Entry),
    /// A follower that does not count yet, or no longer has to be left out.
    Unready {
        name: String,
        add: bool,
    },
    /// Has the backends make a new table's tablets.
    CreateTablets(Box<Table>),
}

/// What a statement comes to before anything waits.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Rows(Rows),
    Done,
    Steps(Vec<Step>),
    /// A query, with the columns of its result.
    Read {
        read: Read,
        columns: Vec<Column>,
        counts: bool,
    },
    Load(Batch),
}

pub(crate) type Run = Result<Outcome, SqlError>;

/// Where a statement runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Here,
    /// On the master, unless this process can read.
    HereIfReadable,
    /// On the master.
    Master,
    /// On the master, unless the session said otherwise.
    MasterIfAsked,
}

/// Reads a text; all statements have to be well-formed before the first one runs.
pub(crate) fn parse(sql: &str) -> Result<Vec<Statement>, SqlError> {
    token::statements(sql).iter().map(|tokens| parser::parse(sql, tokens)).collect()
}

impl Statement {
    pub fn route(&self, fe: &Fe) -> Route {
        match self {
            Self::Select { .. } => Route::HereIfReadable,
            Self::Show(show) => match show {
                Show::Backup { .. } | Show::Restore { .. } | Show::Alter { .. } => Route::Master,
                Show::Frontends
                | Show::FrontendDisks
                | Show::RecycleBin
                | Show::Backends
                | Show::Brokers
                | Show::Proc(_)
                | Show::Tablet(_)
                | Show::ReplicaStatus { .. }
                | Show::ReplicaDistribution { .. } => Route::MasterIfAsked,
                _ => Route::Here,
            },
            Self::Set(list) if list.iter().any(|assignment| assignment.global) => Route::Master,
            Self::SetConfig { pairs, .. } => {
                let master_only = pairs.len() == 1 && pairs.iter().any(|(key, _)| fe.settings.key(key).is_some_and(|key| key.master_only));
                if master_only { Route::Master } else { Route::Here }
            }
            Self::Set(_) | Self::Use(_) | Self::Nothing | Self::Kill(_) => Route::Here,
            _ => Route::Master,
        }
    }

    /// Addresses of the members that it registers.
    pub fn registers(&self) -> Vec<String> {
        match self {
            Self::System(System::AddFrontend { address, .. }) => vec![address.clone()],
            Self::System(System::AddBackends { addresses, .. } | System::AddBrokers { addresses, .. }) => addresses.clone(),
            _ => Vec::new(),
        }
    }

    /// What a user gets from it, if it is a user's work: the kind, and what it is about.
    pub fn work(&self) -> Option<(Work, String)> {
        let name = |database: &Option<String>, table: &str| database.as_ref().map_or_else(|| table.to_owned(), |d| format!("{d}.{table}"));
        match self {
            Self::Select { from: Some(Source::Table { database, table, .. }), .. }
                if !database.as_deref().is_some_and(|database| ["information_schema", "mysql"].contains(&database)) =>
            {
                Some((Work::Query, name(database, table)))
            }
            Self::Select { items, from: None } if loads::sleeps(items).is_some() => Some((Work::Query, "sleep".to_owned())),
            Self::Insert { database, table, .. } => Some((Work::Load, name(database, table))),
            _ => None,
        }
    }

    /// Whether it takes its turn at the journal before it looks at anything.
    pub fn writes(&self) -> bool {
        !matches!(
            self,
            Self::Select { .. }
                | Self::Insert { .. }
                | Self::Show(_)
                | Self::Use(_)
                | Self::Nothing
                | Self::Kill(_)
                | Self::SetConfig { .. }
        ) && !matches!(self, Self::Set(list) if !list.iter().any(|assignment| assignment.global))
    }
}

/// Runs a statement on one frontend, without waiting for anything.
pub(crate) struct Context<'a> {
    pub state: &'a mut State,
    pub fe: ProcessId,
    pub client: &'a mut Client,
}

impl Context<'_> {
    pub fn frontend(&self) -> Result<&Fe, SqlError> {
        self.state.fe(self.fe).ok_or(SqlError::Lost)
    }

    pub fn frontend_mut(&mut self) -> Result<&mut Fe, SqlError> {
        self.state.fe_mut(self.fe).ok_or(SqlError::Lost)
    }

    pub fn catalog(&self) -> Result<&Catalog, SqlError> {
        self.frontend().map(|fe| &fe.catalog)
    }

    pub fn user(&self) -> Result<User, SqlError> {
        if self.frontend()?.debug {
            return Ok(if self.client.user.user == "admin" { User::admin() } else { User::root() });
        }
        let user = self.catalog()?.user(&self.client.user).cloned();
        user.ok_or_else(|| SqlError::detail(format!("user {} does not exist", self.client.user)))
    }

    pub fn require(&self, any: &[Priv], token: &str) -> Result<(), SqlError> {
        let user = self.user()?;
        if any.iter().any(|privilege| user.has_global(*privilege)) {
            return Ok(());
        }
        Err(SqlError::coded(
            1227,
            "42000",
            format!("Access denied; you need (at least one of) the ({token}) privilege(s) for this operation"),
        ))
    }

    /// Database of a statement: the named one, else the session's.
    pub fn database(&self, name: Option<&String>) -> Result<String, SqlError> {
        let name = name.unwrap_or(&self.client.database);
        if name.is_empty() {
            return Err(SqlError::coded(1046, "3D000", "No database selected"));
        }
        self.known_database(name)?;
        Ok(name.clone())
    }

    pub fn known_database(&self, name: &str) -> Result<(), SqlError> {
        if self.catalog()?.database(name).is_none() {
            return Err(SqlError::coded(1049, "42000", format!("Unknown database '{name}'")));
        }
        Ok(())
    }

    pub fn run(&mut self, statement: &Statement) -> Run {
        if self.frontend()?.debug && statement.writes() {
            let text = "Unexpected exception: Cannot invoke \"org.apache.doris.persist.EditLog\" because the return value of \"org.apache.doris.catalog.Env.getEditLog()\" is null";
            return Err(SqlError::bare(1105, "HY000", text));
        }
        match statement {
            Statement::Nothing => Ok(Outcome::Done),
            Statement::Kill(id) => Err(SqlError::coded(1094, "HY000", format!("Unknown thread id: {id}"))),
            Statement::Use(name) => self.use_database(name),
            Statement::Select { items, from } => self.select(items, from.as_ref()),
            Statement::Insert { .. } => self.insert(statement),
            Statement::CreateCatalog { .. } | Statement::DropCatalog { .. } | Statement::EmptyBin { .. } => self.beyond_tables(statement),
            Statement::Show(show) => self.show(show),
            Statement::Set(list) => self.set(list),
            Statement::SetConfig { pairs, all } => self.set_config(pairs, *all),
            Statement::System(clause) => self.system(clause),
            Statement::CancelDecommission(addresses) => self.cancel_decommission(addresses),
            Statement::CreateDatabase { .. }
            | Statement::DropDatabase { .. }
            | Statement::CreateTable { .. }
            | Statement::DropTable { .. } => self.define(statement),
            Statement::WorkloadGroup { .. } | Statement::DropWorkloadGroup { .. } => self.workload_group(statement),
            Statement::CreateRepository { .. } | Statement::DropRepository(_) | Statement::AlterRepository(_) => self.repository(statement),
            Statement::Backup(wish) => self.snapshot(wish, false),
            Statement::Restore(wish) => self.snapshot(wish, true),
            Statement::CancelBackup { database, restore } => self.cancel_snapshot(database.as_ref(), *restore),
            Statement::AlterTable { database, table, change } => self.alter(database.as_ref(), table, change),
            Statement::CancelAlter { database, table, kind } => self.cancel_alter(database.as_ref(), table, *kind),
            _ => self.account(statement),
        }
    }

    fn use_database(&mut self, name: &str) -> Run {
        self.known_database(name)?;
        name.clone_into(&mut self.client.database);
        Ok(Outcome::Done)
    }
}

/// Whether a text fits a LIKE pattern; case does not matter.
pub(crate) fn like(pattern: &str, text: &str) -> bool {
    fn fits(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'%', rest)) => (0..=text.len()).any(|from| fits(rest, &text[from..])),
            Some((b'\\', rest)) if !rest.is_empty() => text.first() == rest.first() && fits(&rest[1..], &text[1..]),
            Some((b'_', rest)) => !text.is_empty() && fits(rest, &text[1..]),
            Some((byte, rest)) => text.first() == Some(byte) && fits(rest, &text[1..]),
        }
    }
    fits(pattern.to_ascii_lowercase().as_bytes(), text.to_ascii_lowercase().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::{like, parse};
    use crate::answer::SqlError;

    #[test]
    fn syntax_errors_read_as_recorded() {
        let cases = [
            ("ALTER SYSTEM ADD FOLLOWERS \"x:1\"", "no viable alternative at input 'ADD FOLLOWERS'(line 1, pos 17)"),
            ("ALTER SYSTEM DECOMMISSION FOLLOWER \"x:1\"", "mismatched input 'FOLLOWER' expecting 'BACKEND'(line 1, pos 26)"),
            ("BACKUP DATABASE d TO r", "mismatched input 'DATABASE' expecting 'SNAPSHOT'(line 1, pos 7)"),
            ("CREATE USER a IDENTIFIED BY 'b' 'c'", "mismatched input ''c'' expecting <EOF>(line 1, pos 32)"),
            ("SHOW SLAVE STATUS", "no viable alternative at input 'SHOW SLAVE'(line 1, pos 5)"),
            ("SHOW CREATE USER op1", "no viable alternative at input 'SHOW CREATE USER'(line 1, pos 12)"),
        ];
        for (sql, text) in cases {
            assert_eq!(parse(sql), Err(SqlError::detail(format!("\n{text}\n"))), "{sql}");
        }
    }

    #[test]
    fn comments_and_empty_texts_hold_no_statement() {
        for sql in ["", " ; ", "-- x", "/* x */"] {
            assert_eq!(parse(sql).map(|statements| statements.len()), Ok(0), "{sql}");
        }
    }

    #[test]
    fn like_patterns() {
        assert!(like("disable_%balance%", "disable_colocate_balance_between_groups"));
        assert!(!like("disable_balance", "disable_disk_balance"));
    }
}
