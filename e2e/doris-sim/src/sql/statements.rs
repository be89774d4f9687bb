//! Grammar of the statements that are not SHOW or SELECT.

use super::ast::{Assignment, Password, Statement, System};
use super::parser::{Parsed, Parser};
use super::token::Kind;
use crate::catalog::FeRole;

impl Parser<'_> {
    pub(super) fn statement(&mut self) -> Parsed<Statement> {
        let start = self.position();
        let word = if self.peek().kind == Kind::Word { self.next().text.to_ascii_uppercase() } else { String::new() };
        match word.as_str() {
            "SELECT" => self.select(),
            "SHOW" => self.show(start).map(Statement::Show),
            "USE" => self.name().map(Statement::Use),
            "SET" => self.set(),
            "ALTER" => self.alter(start),
            "CREATE" => self.create(start),
            "DROP" => self.drop_statement(start),
            "GRANT" => self.grant(false),
            "REVOKE" => self.grant(true),
            "ADMIN" => self.admin(start),
            "CANCEL" => self.cancel(start),
            "BACKUP" => self.snapshot("TO").map(Statement::Backup),
            "RESTORE" => self.snapshot("FROM").map(Statement::Restore),
            "INSERT" => self.insert(start),
            "KILL" => {
                let _kind = self.accept("QUERY") || self.accept("CONNECTION");
                let id = self.next().text.parse().unwrap_or(0);
                Ok(Statement::Kill(id))
            }
            "BEGIN" | "COMMIT" | "ROLLBACK" | "SYNC" | "START" | "UNSET" => Ok(Statement::Nothing),
            _ => {
                self.rewind(start);
                Err(self.mismatch_many(&[
                    "(", "ADMIN", "ALTER", "BACKUP", "CANCEL", "CREATE", "DROP", "GRANT", "KILL", "RESTORE", "REVOKE", "SELECT", "SET",
                    "SHOW", "USE",
                ]))
            }
        }
    }

    fn set(&mut self) -> Parsed<Statement> {
        if self.accept("NAMES")
            || self.accept_all(&["CHARACTER", "SET"])
            || self.accept("TRANSACTION")
            || self.accept_all(&["SESSION", "TRANSACTION"])
        {
            return Ok(Statement::Nothing);
        }
        if self.peek().is_word("PASSWORD") {
            self.next();
            let user = if self.accept("FOR") { Some(self.identity()?) } else { None };
            self.expect_symbol("=")?;
            let password = if self.accept("PASSWORD") {
                self.expect_symbol("(")?;
                let text = self.string()?;
                self.expect_symbol(")")?;
                Password::Clear(text)
            } else {
                Password::Hash(self.string()?)
            };
            return Ok(Statement::SetPassword { user, password });
        }
        let mut list = Vec::new();
        loop {
            list.push(self.assignment()?);
            if !self.symbol(",") {
                return Ok(Statement::Set(list));
            }
        }
    }

    fn assignment(&mut self) -> Parsed<Assignment> {
        let mut global = self.accept("GLOBAL");
        let _scope = self.accept("SESSION") || self.accept("LOCAL");
        let mut name = self.next().text.to_ascii_lowercase();
        if let Some(rest) = name.strip_prefix("@@") {
            global |= rest.starts_with("global.");
            name = rest.rsplit('.').next().unwrap_or(rest).to_owned();
        }
        self.expect_symbol("=")?;
        let token = self.next();
        let value = (!token.is_word("NULL")).then(|| token.text.clone());
        let mut depth = 0;
        // A function's arguments belong to the value, which only its name stands for.
        while self.peek().kind != Kind::End && (depth > 0 || !self.peek().is_symbol(",")) {
            let token = self.next();
            depth += i32::from(token.is_symbol("(")) - i32::from(token.is_symbol(")"));
        }
        Ok(Assignment { global, name, value })
    }

    fn alter(&mut self, start: usize) -> Parsed<Statement> {
        if self.accept("SYSTEM") {
            return self.system().map(Statement::System);
        }
        if self.accept("USER") {
            let quiet = self.if_exists();
            let user = self.identity()?;
            let password = if self.accept_all(&["IDENTIFIED", "BY"]) { Some(self.password()?) } else { None };
            return Ok(Statement::AlterUser { user, quiet, password, lock: self.lock_wish()? });
        }
        if self.accept_all(&["WORKLOAD", "GROUP"]) {
            return Ok(Statement::WorkloadGroup {
                name: self.name_or_string()?,
                quiet: false,
                alter: true,
                properties: self.optional_properties()?,
            });
        }
        if self.accept("REPOSITORY") {
            return self.name().map(Statement::AlterRepository);
        }
        if self.accept("TABLE") {
            return self.alter_table();
        }
        Err(self.no_viable(start))
    }

    fn system(&mut self) -> Parsed<System> {
        let start = self.position();
        let word = self.next().text.to_ascii_uppercase();
        match word.as_str() {
            "ADD" => self.system_add(start),
            "DROP" | "DROPP" => self.system_drop(start, word == "DROPP"),
            "DECOMMISSION" => {
                self.expect("BACKEND")?;
                Ok(System::Decommission { addresses: self.strings()? })
            }
            "MODIFY" => self.system_modify(start),
            "SET" if self.accept_all(&["LOAD", "ERRORS", "HUB"]) => Ok(System::LoadErrorsHub),
            _ => {
                self.rewind(start);
                Err(self.mismatch_many(&["ADD", "DECOMMISSION", "DROP", "DROPP", "MODIFY", "RENAME", "SET"]))
            }
        }
    }

    fn system_add(&mut self, start: usize) -> Parsed<System> {
        if self.accept("BACKEND") {
            return Ok(System::AddBackends { addresses: self.strings()?, properties: self.optional_properties()? });
        }
        if self.accept("BROKER") {
            return Ok(System::AddBrokers { name: self.name_or_string()?, addresses: self.strings()? });
        }
        match self.frontend_role() {
            Some(role) => Ok(System::AddFrontend { role, address: self.string()? }),
            None => Err(self.no_viable(start)),
        }
    }

    fn frontend_role(&mut self) -> Option<FeRole> {
        if self.accept("FOLLOWER") {
            Some(FeRole::Follower)
        } else if self.accept("OBSERVER") {
            Some(FeRole::Observer)
        } else {
            None
        }
    }

    fn system_drop(&mut self, start: usize, force: bool) -> Parsed<System> {
        if self.accept("BACKEND") {
            return Ok(System::DropBackends { addresses: self.strings()?, force });
        }
        if self.accept_all(&["ALL", "BROKER"]) {
            return Ok(System::DropAllBrokers { name: self.name_or_string()? });
        }
        if self.accept("BROKER") {
            return Ok(System::DropBrokers { name: self.name_or_string()?, addresses: self.strings()? });
        }
        match self.frontend_role() {
            Some(role) => Ok(System::DropFrontend { role, address: self.string()? }),
            None => Err(self.no_viable(start)),
        }
    }

    fn system_modify(&mut self, start: usize) -> Parsed<System> {
        if self.accept("BACKEND") {
            let addresses = self.strings()?;
            if self.accept("HOSTNAME") {
                return Ok(System::MoveBackend { address: addresses.into_iter().next().unwrap_or_default(), host: self.string()? });
            }
            self.expect("SET")?;
            return Ok(System::ModifyBackends { addresses, properties: self.pairs()? });
        }
        if self.accept("FRONTEND") || self.accept("FOLLOWER") || self.accept("OBSERVER") {
            let address = self.string()?;
            self.expect("HOSTNAME")?;
            return Ok(System::MoveFrontend { address, host: self.string()? });
        }
        Err(self.no_viable(start))
    }

    fn create(&mut self, start: usize) -> Parsed<Statement> {
        if self.accept("USER") {
            let quiet = self.if_not_exists();
            let user = self.identity()?;
            let password = if self.accept_all(&["IDENTIFIED", "BY"]) { self.password()? } else { Password::Clear(String::new()) };
            return Ok(Statement::CreateUser { user, quiet, password, lock: self.lock_wish()? });
        }
        if self.accept("DATABASE") || self.accept("SCHEMA") {
            return Ok(Statement::CreateDatabase { quiet: self.if_not_exists(), name: self.name()? });
        }
        if self.accept("ROLE") {
            return Ok(Statement::CreateRole { quiet: self.if_not_exists(), name: self.name_or_string()? });
        }
        if self.accept_all(&["WORKLOAD", "GROUP"]) {
            return Ok(Statement::WorkloadGroup {
                quiet: self.if_not_exists(),
                name: self.name_or_string()?,
                alter: false,
                properties: self.optional_properties()?,
            });
        }
        let read_only = self.accept_all(&["READ", "ONLY"]);
        if self.accept("REPOSITORY") {
            return self.create_repository(read_only);
        }
        if self.accept("TABLE") {
            return self.create_table();
        }
        if self.accept("CATALOG") {
            let statement = Statement::CreateCatalog { quiet: self.if_not_exists(), name: self.name()? };
            let _properties = self.optional_properties()?;
            return Ok(statement);
        }
        Err(self.no_viable(start))
    }

    /// Of a table only its name, its number of buckets and its properties are kept.
    fn create_table(&mut self) -> Parsed<Statement> {
        let quiet = self.if_not_exists();
        let (database, name) = self.qualified()?;
        let mut buckets = 10;
        let mut properties = Vec::new();
        while self.peek().kind != Kind::End {
            if self.accept("BUCKETS") {
                buckets = self.peek().text.parse().unwrap_or(10);
            } else if self.accept("PROPERTIES") {
                properties = self.pairs()?;
            } else {
                self.next();
            }
        }
        Ok(Statement::CreateTable { database, name, quiet, buckets, properties })
    }

    fn drop_statement(&mut self, start: usize) -> Parsed<Statement> {
        if self.accept("USER") {
            return Ok(Statement::DropUser { quiet: self.if_exists(), user: self.identity()? });
        }
        if self.accept("DATABASE") || self.accept("SCHEMA") {
            return Ok(Statement::DropDatabase { quiet: self.if_exists(), name: self.name()? });
        }
        if self.accept("TABLE") {
            let quiet = self.if_exists();
            let (database, name) = self.qualified()?;
            return Ok(Statement::DropTable { database, name, quiet, force: self.accept("FORCE") });
        }
        if self.accept_all(&["CATALOG", "RECYCLE", "BIN"]) {
            return self.empty_bin();
        }
        if self.accept("CATALOG") {
            return Ok(Statement::DropCatalog { quiet: self.if_exists(), name: self.name()? });
        }
        if self.accept("ROLE") {
            return Ok(Statement::DropRole { quiet: self.if_exists(), name: self.name_or_string()? });
        }
        if self.accept_all(&["WORKLOAD", "GROUP"]) {
            return Ok(Statement::DropWorkloadGroup { quiet: self.if_exists(), name: self.name_or_string()? });
        }
        if self.accept("REPOSITORY") {
            return self.name().map(Statement::DropRepository);
        }
        Err(self.no_viable(start))
    }

    fn grant(&mut self, revoke: bool) -> Parsed<Statement> {
        let mut privileges = vec![self.name_or_string()?];
        while self.symbol(",") {
            privileges.push(self.name_or_string()?);
        }
        self.expect("ON")?;
        let mut scope = Vec::new();
        loop {
            scope.push(if self.symbol("*") { "*".to_owned() } else { self.name_or_string()? });
            if !self.symbol(".") {
                break;
            }
        }
        self.expect(if revoke { "FROM" } else { "TO" })?;
        Ok(Statement::Grant { privileges, scope, user: self.identity()?, revoke })
    }

    fn admin(&mut self, start: usize) -> Parsed<Statement> {
        if self.accept("SET") {
            let every = self.accept_all(&["ALL", "FRONTENDS"]);
            if !every {
                self.expect("FRONTEND")?;
            }
            self.expect("CONFIG")?;
            let pairs = self.pairs()?;
            return Ok(Statement::SetConfig { pairs, all: every || self.accept("ALL") });
        }
        if self.accept("SHOW") {
            return self.show(start).map(Statement::Show);
        }
        if self.accept("CLEAN") || self.accept("REBALANCE") || self.accept("REPAIR") || self.accept("CANCEL") || self.accept("COMPACT") {
            return Ok(Statement::Nothing);
        }
        Err(self.no_viable(start))
    }

    fn cancel(&mut self, start: usize) -> Parsed<Statement> {
        if self.accept("DECOMMISSION") {
            self.expect("BACKEND")?;
            return self.strings().map(Statement::CancelDecommission);
        }
        if self.accept("BACKUP") {
            return Ok(Statement::CancelBackup { database: self.scope_name()?, restore: false });
        }
        if self.accept("RESTORE") {
            return Ok(Statement::CancelBackup { database: self.scope_name()?, restore: true });
        }
        if self.accept_all(&["ALTER", "TABLE"]) {
            return self.cancel_alter();
        }
        Err(self.no_viable(start))
    }
}
