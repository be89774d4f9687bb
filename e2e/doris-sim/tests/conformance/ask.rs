//! A question, and which of the answer's values count.

use std::time::Duration;

use serde_json::json;

/// Columns whose values differ from run to run; their presence and order still count.
const VOLATILE: &[&str] = &[
    "Name",
    "ClusterId",
    "ReplayedJournalId",
    "LastStartTime",
    "LastHeartbeat",
    "Version",
    "BackendId",
    "Id",
    "StartTime",
    "CreateTime",
    "UpdateTime",
    "ConnectionId",
    "CurrentConnected",
    "LoginTime",
    "QueryId",
    "TraceId",
    "JobId",
    "SnapshotName",
];

/// One statement to be asked and written down.
#[derive(Clone, Debug)]
pub struct Ask {
    pub on: u8,
    pub sql: String,
    pub user: &'static str,
    pub password: &'static str,
    pub rows: bool,
    only: Option<Vec<&'static str>>,
    hide: Vec<&'static str>,
    sorted: bool,
    pub limit: Duration,
}

impl Ask {
    pub fn new(on: u8, sql: impl Into<String>) -> Self {
        Self {
            on,
            sql: sql.into(),
            user: "root",
            password: "",
            rows: true,
            only: None,
            hide: Vec::new(),
            sorted: false,
            limit: Duration::from_secs(30),
        }
    }

    pub fn login(mut self, user: &'static str, password: &'static str) -> Self {
        (self.user, self.password) = (user, password);
        self
    }

    /// Keeps the columns alone.
    pub fn no_rows(mut self) -> Self {
        self.rows = false;
        self
    }

    /// Keeps the values of these columns.
    pub fn only(mut self, columns: &[&'static str]) -> Self {
        self.only = Some(columns.to_vec());
        self
    }

    /// Hides one more column's values.
    pub fn hide(mut self, column: &'static str) -> Self {
        self.hide.push(column);
        self
    }

    pub fn sorted(mut self) -> Self {
        self.sorted = true;
        self
    }

    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }
}

/// The values that count, as a question wants them.
pub fn kept(ask: &Ask, names: &[&str], rows: &[Vec<Option<String>>]) -> Vec<Vec<Option<String>>> {
    let hidden = |name: &str| VOLATILE.contains(&name) || ask.hide.contains(&name);
    let wanted = |name: &str| ask.only.as_ref().is_none_or(|only| only.contains(&name));
    let keep = |row: &Vec<Option<String>>| {
        let cells = names.iter().zip(row).filter(|(name, _)| wanted(name));
        cells.map(|(name, cell)| cell.clone().map(|text| if hidden(name) { "<volatile>".to_owned() } else { text })).collect()
    };
    let mut kept: Vec<Vec<Option<String>>> = rows.iter().map(keep).collect();
    if ask.sorted {
        kept.sort_by_key(|row| json!(row).to_string());
    }
    kept
}
