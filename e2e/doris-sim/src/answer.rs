//! What a statement or request comes back with.

use thiserror::Error;

/// MySQL type of a column as Doris sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// BOOLEAN or TINYINT.
    Tiny,
    /// SMALLINT.
    Short,
    /// INT.
    Long,
    /// BIGINT.
    LongLong,
    /// DECIMAL.
    Decimal,
    /// DOUBLE.
    Double,
    /// DATE.
    Date,
    /// DATETIME.
    DateTime,
    /// VARCHAR and CHAR.
    Str,
    /// STRING, the unlimited text.
    Blob,
}

/// A column of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Name.
    pub name: String,
    /// Type.
    pub kind: ColumnType,
}

/// A result with columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// Columns in order.
    pub columns: Vec<Column>,
    /// Rows; `None` is SQL NULL.
    pub rows: Vec<Vec<Option<String>>>,
}

impl Rows {
    /// A result whose columns are all VARCHAR, as of nearly every SHOW.
    pub fn of_strings(names: &[&str]) -> Self {
        Self { columns: names.iter().map(|name| Column { name: (*name).to_owned(), kind: ColumnType::Str }).collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn push(&mut self, row: Vec<Option<String>>) {
        self.rows.push(row);
    }

    /// Value of the named column in a row; `None` for NULL and for an unknown column.
    pub fn value(&self, row: usize, column: &str) -> Option<&str> {
        let index = self.columns.iter().position(|c| c.name == column)?;
        self.rows.get(row)?.get(index)?.as_deref()
    }
}

/// Answer to one statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A result with columns.
    Rows(Rows),
    /// Done; nothing to show.
    Ok {
        /// Rows affected.
        affected: u64,
    },
}

impl Answer {
    /// The plain OK.
    pub const DONE: Self = Self::Ok { affected: 0 };

    /// The rows, if it has any.
    pub fn rows(&self) -> Option<&Rows> {
        match self {
            Self::Rows(rows) => Some(rows),
            Self::Ok { .. } => None,
        }
    }
}

/// Why a statement or a connection failed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SqlError {
    /// The server's error packet.
    #[error("ERROR {code} ({state}): {text}")]
    Server {
        /// MySQL error code.
        code: u16,
        /// SQLSTATE.
        state: &'static str,
        /// Message.
        text: String,
    },
    /// Nobody listens there.
    #[error("Connection refused")]
    Refused,
    /// No host has this address.
    #[error("No route to host")]
    NoRoute,
    /// The process ended before it answered.
    #[error("Lost connection to MySQL server during query")]
    Lost,
}

impl SqlError {
    /// An error with code 1105 and Doris' usual prefix.
    pub fn detail(text: impl AsRef<str>) -> Self {
        Self::coded(1105, "HY000", text)
    }

    /// An error with a code of its own and Doris' usual prefix.
    pub fn coded(code: u16, state: &'static str, text: impl AsRef<str>) -> Self {
        Self::Server { code, state, text: format!("errCode = 2, detailMessage = {}", text.as_ref()) }
    }

    /// An error whose text stands alone.
    pub fn bare(code: u16, state: &'static str, text: impl Into<String>) -> Self {
        Self::Server { code, state, text: text.into() }
    }
}

/// Why a request got no response.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum HttpError {
    /// Nobody listens there.
    #[error("Connection refused")]
    Refused,
    /// No host has this address.
    #[error("No route to host")]
    NoRoute,
    /// The process ended before it answered.
    #[error("connection closed before message completed")]
    Lost,
}
