//! Grammar of SHOW and SELECT.

use super::ast::{Expr, Show, Source, Statement};
use super::parser::{Parsed, Parser};
use super::token::Kind;

impl Parser<'_> {
    pub(super) fn show(&mut self, start: usize) -> Parsed<Show> {
        let full = self.accept("FULL");
        let brief = self.accept("BRIEF");
        let word = self.peek().text.to_ascii_uppercase();
        let at = self.position();
        self.next();
        let show = match word.as_str() {
            "FRONTENDS" => return Ok(if self.accept("DISKS") { Show::FrontendDisks } else { Show::Frontends }),
            "BACKENDS" => Show::Backends,
            "BROKER" => Show::Brokers,
            "PROC" => Show::Proc(self.string()?),
            "FRONTEND" => {
                self.expect("CONFIG")?;
                Show::Config { like: self.like()? }
            }
            "GLOBAL" | "SESSION" | "VARIABLES" => {
                let _keyword = word == "VARIABLES" || self.accept("VARIABLES");
                Show::Variables { like: self.like()? }
            }
            "DATABASES" | "SCHEMAS" => Show::Databases { like: self.like()? },
            "TABLES" => Show::Tables { database: self.scope_name()? },
            "TABLE" => {
                self.expect("STATUS")?;
                Show::TableStatus { database: self.scope_name()? }
            }
            "ALL" => {
                self.expect("GRANTS")?;
                Show::Grants { user: None, all: true }
            }
            "GRANTS" => Show::Grants { user: if self.accept("FOR") { Some(self.identity()?) } else { None }, all: false },
            "ROLES" => Show::Roles,
            "PROCESSLIST" => Show::Processes,
            "REPOSITORIES" => Show::Repositories,
            "BACKUP" => Show::Backup { database: self.scope_name()? },
            "RESTORE" => Show::Restore { database: self.scope_name()?, brief },
            "SNAPSHOT" => {
                self.expect("ON")?;
                Show::Snapshot { repository: self.name()? }
            }
            "ALTER" if self.accept("TABLE") => Show::Alter { kind: self.alter_kind()?, database: self.scope_name()? },
            "WORKLOAD" => {
                self.expect("GROUPS")?;
                Show::WorkloadGroups { like: self.like()? }
            }
            "TABLETS" => {
                self.expect("FROM")?;
                let (database, table) = self.qualified()?;
                Show::Tablets { database, table }
            }
            "TABLET" if self.peek().kind == Kind::Number => Show::Tablet(self.next().text.parse().unwrap_or(0)),
            "REPLICA" => self.show_replica()?,
            "CATALOG" if self.accept_all(&["RECYCLE", "BIN"]) => Show::RecycleBin,
            "BACKEND" => {
                self.expect("CONFIG")?;
                let like = self.like()?;
                let backend = if self.accept("FROM") { self.next().text.parse().ok() } else { None };
                Show::BackendConfig { like, backend }
            }
            "STORAGE" if self.accept("POLICY") => Show::Fixed("STORAGE POLICY"),
            "LAST" if self.accept("INSERT") => Show::Fixed("LAST INSERT"),
            "CREATE" if self.accept("REPOSITORY") => Show::CreateRepository,
            "CREATE" => return Err(self.no_viable(start)),
            "COMPUTE" if self.accept("GROUPS") => Show::ComputeGroups,
            "CLUSTERS" => Show::ComputeGroups,
            "DATA" => Show::Data,
            "TRASH" => Show::Trash,
            "CATALOGS" => Show::Catalogs,
            "RESOURCES" => Show::Fixed("RESOURCES"),
            "PLUGINS" => Show::Fixed("PLUGINS"),
            "WARNINGS" => Show::Fixed("WARNINGS"),
            "STATUS" => Show::Fixed("STATUS"),
            _ => {
                self.rewind(at);
                return Err(self.no_viable(start));
            }
        };
        if full && !matches!(show, Show::Processes | Show::Tables { .. }) {
            self.rewind(at);
            return Err(self.no_viable(start));
        }
        Ok(show)
    }

    fn show_replica(&mut self) -> Parsed<Show> {
        let status = self.accept("STATUS");
        if !status {
            self.expect("DISTRIBUTION")?;
        }
        self.expect("FROM")?;
        let (database, table) = self.qualified()?;
        let partitions = self.partition_names()?;
        Ok(if status { Show::ReplicaStatus { database, table, partitions } } else { Show::ReplicaDistribution { database, table } })
    }

    /// `PARTITION (p1, p2)` or `PARTITIONS (..)`, if it is there.
    fn partition_names(&mut self) -> Parsed<Vec<String>> {
        let mut names = Vec::new();
        if !self.accept("PARTITION") && !self.accept("PARTITIONS") {
            return Ok(names);
        }
        self.expect_symbol("(")?;
        loop {
            names.push(self.name()?);
            if !self.symbol(",") {
                break;
            }
        }
        self.expect_symbol(")")?;
        Ok(names)
    }

    pub(super) fn select(&mut self) -> Parsed<Statement> {
        let mut items = vec![self.expression()?];
        while self.symbol(",") {
            items.push(self.expression()?);
        }
        let from = if self.accept("FROM") { self.source()? } else { None };
        Ok(Statement::Select { items, from })
    }

    fn source(&mut self) -> Parsed<Option<Source>> {
        if self.accept("DUAL") {
            return Ok(None);
        }
        let (catalog, database, table) = self.fully_qualified()?;
        if self.symbol("(") {
            while self.peek().kind != Kind::End && !self.symbol(")") {
                self.next();
            }
            return Ok(Some(Source::Function(table.to_ascii_lowercase())));
        }
        Ok(Some(Source::Table { catalog, database, table }))
    }

    fn expression(&mut self) -> Parsed<Expr> {
        let token = self.peek();
        match token.kind {
            Kind::Number | Kind::Str => {
                let string = token.kind == Kind::Str;
                Ok(Expr::Literal { text: self.next().text.clone(), string })
            }
            Kind::Symbol if token.text.starts_with("@@") => Ok(Expr::Variable(self.next().text[2..].to_ascii_lowercase())),
            Kind::Symbol if token.is_symbol("*") => {
                self.next();
                Ok(Expr::Star)
            }
            Kind::Symbol if token.is_symbol("-") && self.ahead(1).kind == Kind::Number => {
                self.next();
                Ok(Expr::Literal { text: format!("-{}", self.next().text), string: false })
            }
            _ if self.accept("NULL") => Ok(Expr::Null),
            _ if self.accept("TRUE") => Ok(Expr::Bool(true)),
            _ if self.accept("FALSE") => Ok(Expr::Bool(false)),
            _ if self.ahead(1).is_symbol("(") && token.kind == Kind::Word => self.call(),
            _ => {
                let (_, name) = self.qualified()?;
                Ok(Expr::Column(name))
            }
        }
    }

    fn call(&mut self) -> Parsed<Expr> {
        let name = self.next().text.to_ascii_lowercase();
        self.expect_symbol("(")?;
        let mut arguments = Vec::new();
        while !self.symbol(")") {
            arguments.push(self.expression()?);
            if !self.symbol(",") && !self.peek().is_symbol(")") {
                return Err(self.mismatch_many(&[")", ","]));
            }
        }
        Ok(Expr::Call { name, arguments })
    }
}
