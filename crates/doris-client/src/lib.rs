//! Administration interface of Apache Doris: SQL over the MySQL protocol and the HTTP endpoints
//! of frontends and backends.

mod accounts;
pub mod elect;
mod error;
pub mod http;
mod jobs;
mod literal;
mod membership;
mod metadata_disks;
mod metrics;
mod probe;
mod processes;
mod rows;
mod session;
pub mod survey;
mod table;
mod tablets;
mod transport;
mod wire;

pub use accounts::{GlobalRight, generate_password, initial_root_password};
pub use error::Error;
pub use jobs::{ColocationGroup, JobCount, RunningAlter, RunningBackup};
pub use literal::MemberAddress;
pub use membership::BackendChange;
pub use metadata_disks::MetadataDisk;
pub use probe::{FrontendTarget, FrontendView, Journals, MasterSearch, find_and_prove_master, probe_frontends};
pub use rows::{
    AccountGrants, Backend, BackendDisk, BackendSetting, BackendStatus, Broker, DatabaseHealth, Frontend, FrontendRole, FrontendSetting,
    NodeRole,
};
pub use session::{SLOW_STATEMENT_LIMIT, STATEMENT_LIMIT, Session};
pub use tablets::{Database, PartitionRow, Queue, ReplicaRow, ReplicaShare, ScheduledTablet, StoredTable, TabletHome};
pub use transport::{Answer, Connection, Endpoint, HttpAnswer, HttpRequest, Login, Password, Transport};
pub use wire::{Deadlines, WireTransport};

/// Chooses the process-wide TLS implementation, once. Two libraries bring TLS along; without a
/// choice each of them would fail at its first use.
pub fn install_tls_provider() {
    static INSTALLED: std::sync::OnceLock<()> = std::sync::OnceLock::new();
    INSTALLED.get_or_init(|| {
        // Somebody else's earlier choice is as good as ours.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}
