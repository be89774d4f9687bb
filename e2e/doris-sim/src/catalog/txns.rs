//! Load transactions.

use serde::{Deserialize, Serialize};

use super::Catalog;

/// Finished transactions that are kept, so that a label is known again.
const KEPT: usize = 2000;

/// How far a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum TxnState {
    Prepare,
    Committed,
    Visible,
    Aborted,
}

impl TxnState {
    pub fn name(self) -> &'static str {
        match self {
            Self::Prepare => "PREPARE",
            Self::Committed => "COMMITTED",
            Self::Visible => "VISIBLE",
            Self::Aborted => "ABORTED",
        }
    }
}

/// Who leads a load.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Coordinator {
    Backend { id: u64, start_ms: i64 },
    Frontend { name: String },
}

/// A transaction.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Txn {
    pub id: u64,
    pub database: u64,
    pub table: u64,
    pub label: String,
    pub coordinator: Coordinator,
    pub state: TxnState,
    pub begun_ms: i64,
    pub ended_ms: i64,
    pub rows: u64,
    pub bytes: u64,
    pub reason: String,
}

impl Txn {
    pub fn is_running(&self) -> bool {
        matches!(self.state, TxnState::Prepare | TxnState::Committed)
    }
}

/// What becomes visible of a load.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Publication {
    pub txn: u64,
    pub ms: i64,
    /// Bytes of each tablet.
    pub bytes: u64,
    /// Replicas that do not have it: tablet and backend.
    pub missed: Vec<(u64, u64)>,
}

impl Catalog {
    /// The newest transaction of a label in a database.
    pub fn labelled(&self, database: u64, label: &str) -> Option<&Txn> {
        self.transactions.values().rev().find(|txn| txn.database == database && txn.label == label)
    }

    /// Whether a load of this table has not ended yet.
    pub fn is_loading(&self, table: u64) -> bool {
        self.transactions.values().any(|txn| txn.table == table && txn.is_running())
    }

    pub(super) fn apply_transaction(&mut self, txn: &Txn) {
        self.used(txn.id);
        let known = self.transactions.get(&txn.id).map(|known| known.state);
        // Who gives a load up may come too late.
        if txn.state == TxnState::Aborted && known.is_some_and(|known| known != TxnState::Prepare) {
            return;
        }
        self.transactions.insert(txn.id, txn.clone());
        let ended = self.transactions.values().filter(|txn| !txn.is_running()).count();
        if ended > KEPT
            && let Some(oldest) = self.transactions.values().find(|txn| !txn.is_running()).map(|txn| txn.id)
        {
            self.transactions.remove(&oldest);
        }
    }

    pub(super) fn publish(&mut self, publication: &Publication) {
        let committed = |txn: &&mut Txn| txn.state == TxnState::Committed;
        let Some(txn) = self.transactions.get_mut(&publication.txn).filter(committed) else { return };
        (txn.state, txn.ended_ms) = (TxnState::Visible, publication.ms);
        let (database, table, rows) = (txn.database, txn.table, txn.rows);
        let Some(table) = self.databases.get_mut(&database).and_then(|database| database.tables.get_mut(&table)) else { return };
        for (number, partition) in table.partitions.iter_mut().enumerate() {
            partition.visible += 1;
            partition.visible_ms = publication.ms;
            partition.rows += if number == 0 { rows } else { 0 };
            let visible = partition.visible;
            for tablet in &mut partition.tablets {
                for replica in &mut tablet.replicas {
                    if publication.missed.contains(&(tablet.id, replica.backend)) {
                        replica.failed = if replica.failed == 0 { visible } else { replica.failed };
                    } else {
                        replica.version = visible;
                        replica.bytes += publication.bytes;
                    }
                }
            }
        }
        self.shape += 1;
    }
}
