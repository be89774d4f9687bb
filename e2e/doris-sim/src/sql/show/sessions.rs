//! Who is connected.

use crate::answer::{Column, ColumnType, Rows};
use crate::catalog::Priv;
use crate::clock::date_time;
use crate::sql::{Context, Outcome, Run};

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

impl Context<'_> {
    pub(super) fn processes(&self) -> Run {
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
}
