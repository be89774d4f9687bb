//! SELECT: constants, variables, and what needs a backend.

use std::time::Duration;

use super::ast::{Expr, Show, Source};
use super::loads::sleeps;
use super::{Context, Outcome, Run};
use crate::answer::{Column, ColumnType, Rows, SqlError};
use crate::catalog::Priv;
use crate::query::{Data, Read};

/// Tables of `information_schema` that are read on a backend.
const BACKEND_TABLES: &[&str] = &[
    "processlist",
    "active_queries",
    "backend_active_tasks",
    "partitions",
    "workload_groups",
    "workload_group_resource_usage",
    "tables",
    "columns",
];

type Cell = (String, ColumnType, Option<String>);

impl Context<'_> {
    pub(super) fn select(&mut self, items: &[Expr], from: Option<&Source>) -> Run {
        match from {
            None if sleeps(items).is_some() => Ok(read(Data::Nowhere, items)),
            None => {
                let cells: Vec<Cell> = items.iter().map(|item| self.evaluate(item)).collect::<Result<_, _>>()?;
                let columns = cells.iter().map(|(name, kind, _)| Column { name: name.clone(), kind: *kind }).collect();
                Ok(Outcome::Rows(Rows { columns, rows: vec![cells.into_iter().map(|(_, _, value)| value).collect()] }))
            }
            Some(Source::Function(name)) => self.table_function(name, items),
            Some(Source::Table { catalog: Some(catalog), .. }) if catalog != "internal" => {
                if !self.catalog()?.catalogs.contains_key(catalog) {
                    return Err(SqlError::detail(format!("Unknown catalog '{catalog}'")));
                }
                Ok(read(Data::External, items))
            }
            Some(Source::Table { database: Some(database), table, .. })
                if database == "information_schema" && ["backend_active_tasks", "processlist"].contains(&table.as_str()) =>
            {
                self.running(table, items)
            }
            Some(Source::Table { database, table, .. }) => self.read_table(database.as_ref(), table, items),
        }
    }

    /// `frontends()` and `backends()`: they run on a backend and show what the statements show.
    fn table_function(&mut self, name: &str, items: &[Expr]) -> Run {
        if !self.catalog()?.backends.values().any(|backend| backend.alive) {
            return Err(SqlError::detail(
                "No available backends, in cloud maybe this cluster has been dropped, please `use @otherClusterName` switch it",
            ));
        }
        let rows = match name {
            "frontends" => super::show::frontends(self.state, self.fe, self.client.home)?,
            "backends" => super::show::backends(self.state, self.fe)?,
            _ => return Err(SqlError::detail(format!("Can not find table function {name}"))),
        };
        project(rows, items).map(Outcome::Rows)
    }

    /// A query on stored data. What the data says is not modelled, only how many rows there are.
    fn read_table(&self, database: Option<&String>, table: &str, items: &[Expr]) -> Run {
        let catalog = self.catalog()?;
        let name = database.unwrap_or(&self.client.database);
        if name.is_empty() {
            return Err(SqlError::coded(1046, "3D000", "No database selected"));
        }
        let Some(database) = catalog.database(name) else {
            return Err(SqlError::detail(format!("Database [{name}] does not exist.")));
        };
        if let Some(found) = database.table(table) {
            if !self.user()?.has_on(name, Priv::Select) {
                let text = format!("SELECT command denied to user '{}' for table '{name}: {table}'", self.client.name);
                return Err(SqlError::coded(1142, "42000", text));
            }
            return Ok(read(Data::Table { database: database.id, table: found.id }, items));
        }
        let known = (name == "information_schema" && BACKEND_TABLES.contains(&table)) || (name == "mysql" && table == "user");
        if !known {
            return Err(SqlError::detail(format!("Table [{table}] does not exist in database [{name}].")));
        }
        Err(self.no_backend())
    }

    /// Tables of `information_schema` that tell what runs.
    fn running(&mut self, table: &str, items: &[Expr]) -> Run {
        if !self.catalog()?.backends.values().any(|backend| backend.alive) {
            return Err(self.no_backend());
        }
        let rows = match table {
            "processlist" => match self.show(&Show::Processes)? {
                Outcome::Rows(rows) => rows,
                other => return Ok(other),
            },
            _ => super::running::backend_active_tasks(self.state, self.fe)?,
        };
        if let [Expr::Call { name, .. }] = items
            && name == "count"
        {
            let column = Column { name: label(&items[0]), kind: ColumnType::LongLong };
            return Ok(Outcome::Rows(Rows { columns: vec![column], rows: vec![vec![Some(rows.rows.len().to_string())]] }));
        }
        project(rows, items).map(Outcome::Rows)
    }

    fn no_backend(&self) -> SqlError {
        let backends = self
            .catalog()
            .map(|catalog| catalog.backends.values().filter(|b| !b.alive).map(|b| format!("{}: not alive", b.id)).collect::<Vec<_>>());
        let alive = self.catalog().is_ok_and(|catalog| catalog.backends.values().any(|b| b.alive));
        if alive {
            return SqlError::detail("queries on stored data are outside this model of Doris");
        }
        let list = backends.unwrap_or_default().join(", ");
        let list = if list.is_empty() { String::new() } else { format!("[{list}]") };
        SqlError::detail(format!("There is no scanNode Backend available.{list}"))
    }

    fn evaluate(&self, item: &Expr) -> Result<Cell, SqlError> {
        let name = label(item);
        Ok(match item {
            Expr::Literal { text, string: true } => (name, ColumnType::Str, Some(text.clone())),
            Expr::Literal { text, string: false } => (name, number_type(text), Some(text.clone())),
            Expr::Null => (name, ColumnType::Tiny, None),
            Expr::Bool(value) => (name, ColumnType::Tiny, Some(u8::from(*value).to_string())),
            Expr::Variable(variable) => self.variable(variable)?,
            Expr::Call { name: function, arguments } => self.call(name, function, arguments)?,
            Expr::Column(column) => return Err(SqlError::detail(format!("Unknown column '{column}' in 'table list'"))),
            Expr::Star => return Err(SqlError::detail("SELECT * must have a FROM clause")),
        })
    }

    fn variable(&self, path: &str) -> Result<Cell, SqlError> {
        let name = path.rsplit('.').next().unwrap_or(path);
        let known = self.variables()?;
        let Some(variable) = known.iter().find(|variable| variable.name == name) else {
            return Err(SqlError::detail(format!("Unsupported system variable: {name}")));
        };
        let value = self.value(variable);
        let (kind, value) = match variable.kind {
            "boolean" => (ColumnType::Tiny, u8::from(value == "true").to_string()),
            "int" => (ColumnType::Long, value),
            "bigint" => (ColumnType::LongLong, value),
            _ => (ColumnType::Blob, value),
        };
        Ok((format!("@@{name}"), kind, Some(value)))
    }

    fn call(&self, name: String, function: &str, arguments: &[Expr]) -> Result<Cell, SqlError> {
        let text = |kind, value: String| Ok((name.clone(), kind, Some(value)));
        let argument =
            || arguments.first().map(|argument| self.evaluate(argument)).transpose().map(|cell| cell.and_then(|(_, _, value)| value));
        match function {
            "current_user" => text(ColumnType::Str, self.client.user.to_string()),
            "user" | "session_user" => text(ColumnType::Str, format!("'{}'@'{}'", self.client.name, self.client.from)),
            "version" => text(ColumnType::Blob, "5.7.99".to_owned()),
            "database" | "schema" => text(ColumnType::Str, self.client.database.clone()),
            "connection_id" => text(ColumnType::LongLong, self.client.connection.to_string()),
            "now" | "current_timestamp" => text(ColumnType::DateTime, crate::clock::date_time(self.state.clock.now_ms())),
            "length" => Ok((name, ColumnType::Long, argument()?.map(|value| value.len().to_string()))),
            "upper" => Ok((name, ColumnType::Str, argument()?.map(|value| value.to_uppercase()))),
            "lower" => Ok((name, ColumnType::Str, argument()?.map(|value| value.to_lowercase()))),
            "sleep" => Err(self.no_backend()),
            _ => Err(SqlError::detail(format!("Can not found function '{}'", function.to_uppercase()))),
        }
    }
}

/// A query, and what its result looks like.
fn read(source: Data, items: &[Expr]) -> Outcome {
    let is_count = |item: &Expr| matches!(item, Expr::Call { name, .. } if name == "count");
    let kind = |item: &Expr| if is_count(item) { ColumnType::LongLong } else { ColumnType::Str };
    let columns = items.iter().map(|item| Column { name: label(item), kind: kind(item) }).collect();
    let streams = items.iter().any(|item| matches!(item, Expr::Star | Expr::Column(_)));
    let read = Read { source, duration: sleeps(items).map(Duration::from_secs), streams };
    Outcome::Read { read, columns, counts: items.iter().any(is_count) }
}

/// Name of a column as Doris derives it from the expression.
fn label(item: &Expr) -> String {
    match item {
        Expr::Literal { text, string: true } => format!("'{text}'"),
        Expr::Literal { text, .. } | Expr::Column(text) => text.clone(),
        Expr::Null => "NULL".to_owned(),
        Expr::Bool(value) => if *value { "TRUE" } else { "FALSE" }.to_owned(),
        Expr::Variable(name) => format!("@@{name}"),
        Expr::Star => "*".to_owned(),
        Expr::Call { name, arguments } => format!("{name}({})", arguments.iter().map(label).collect::<Vec<_>>().join(", ")),
    }
}

fn number_type(text: &str) -> ColumnType {
    match text.parse::<i64>() {
        Ok(-128..=127) => ColumnType::Tiny,
        Ok(-32_768..=32_767) => ColumnType::Short,
        Ok(-2_147_483_648..=2_147_483_647) => ColumnType::Long,
        Ok(_) => ColumnType::LongLong,
        Err(_) => ColumnType::Decimal,
    }
}

fn project(rows: Rows, items: &[Expr]) -> Result<Rows, SqlError> {
    if items.contains(&Expr::Star) {
        return Ok(rows);
    }
    let find = |item: &Expr| match item {
        Expr::Column(name) => rows.columns.iter().position(|column| column.name.eq_ignore_ascii_case(name)),
        _ => None,
    };
    let missing = |item: &Expr| SqlError::detail(format!("Unknown column '{}' in 'table list'", label(item)));
    let picks: Vec<_> = items.iter().map(|item| find(item).ok_or_else(|| missing(item))).collect::<Result<_, _>>()?;
    let columns = picks.iter().map(|i| rows.columns[*i].clone()).collect();
    let pick = |row: Vec<Option<String>>| picks.iter().map(|i| row.get(*i).cloned().flatten()).collect();
    Ok(Rows { columns, rows: rows.rows.into_iter().map(pick).collect() })
}
