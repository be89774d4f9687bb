//! Loads: transactions that write to a quorum of every tablet's replicas.

mod insert;
mod publish;
mod quorum;
mod stream;
mod transaction;
mod wal;

use std::time::Duration;

use thiserror::Error;

pub(crate) use insert::insert;
pub(crate) use publish::{late, overdue};
pub(crate) use stream::respond;
pub use stream::{LoadResult, LoadStatus, StreamLoad};
pub(crate) use wal::replay;

use crate::catalog::Coordinator;
use crate::process::ProcessId;

/// Data for one table.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub database: String,
    pub table: String,
    pub label: String,
    pub rows: u64,
    pub bytes: u64,
    pub duration: Duration,
}

/// Who leads a load.
#[derive(Clone, Debug)]
pub(crate) struct Leader {
    /// The process whose end ends the load.
    pub process: ProcessId,
    pub name: Coordinator,
}

/// Why a load did not succeed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum LoadError {
    /// Nobody listens on the port.
    #[error("connection refused")]
    Refused,
    /// The address cannot be reached.
    #[error("no route to host")]
    NoRoute,
    /// The connection broke before the answer; whether the load was made is unknown.
    #[error("connection lost before the answer")]
    Lost,
    /// The name and password are not accepted.
    #[error("{0}")]
    Denied(String),
    /// The frontend knows no backend to send the client to, or no such table.
    #[error("{0}")]
    Refusal(String),
    /// The label is in use.
    #[error("Label [{label}] has already been used, relate to txn [{txn}], status {state}")]
    LabelInUse {
        /// The label.
        label: String,
        /// The transaction that has it.
        txn: u64,
        /// State of that transaction.
        state: String,
    },
    /// It failed, and nothing of it is or will be visible.
    #[error("{0}")]
    Failed(String),
    /// The master did not answer the commit: whether it counts is unknown.
    #[error("{0}")]
    Unknown(String),
}
