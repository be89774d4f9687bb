//! How long things take.

use std::time::Duration;

/// Durations of a frontend's and backend's own work. Configuration keys such as
/// `heartbeat_interval_second` come on top, unless overridden here.
#[derive(Clone, Debug)]
pub struct Timing {
    /// Process start until names, ports and configuration were checked.
    pub jvm: Duration,
    /// Between the files written while founding.
    pub founding_step: Duration,
    /// Opening an environment: start until 9010 listens.
    pub open_bdb: Duration,
    /// Asking a helper again.
    pub helper_retry: Duration,
    /// Between two tries to join a group that refuses.
    pub join_retry: Duration,
    /// From the loss of a master to its successor's choice.
    pub election: Duration,
    /// Opening the edit log, fencing and replaying as a new master.
    pub take_over: Duration,
    /// Starting daemons as a new master until writes are accepted.
    pub daemons: Duration,
    /// Ready until 9020 listens.
    pub open_rpc: Duration,
    /// 9020 until 8030 listens.
    pub open_http: Duration,
    /// 8030 until 9030 listens.
    pub open_mysql: Duration,
    /// SIGTERM until the process is gone.
    pub terminate: Duration,
    /// A silent peer is given up after this.
    pub feeder_timeout: Duration,
    /// Until a master that is met by a newer one ends itself.
    pub obsolete_master: Duration,
    /// Waiting for acknowledgements of one write.
    pub ack_timeout: Duration,
    /// Between two tries of a write.
    pub write_retry: Duration,
    /// Start of a backend until its ports listen.
    pub backend_start: Duration,
    /// Period of a backend's disk and tablet reports.
    pub report: Duration,
    /// Heartbeat period; `None` takes the configured one.
    pub heartbeat: Option<Duration>,
    /// Period of the timestamp entry in the journal.
    pub timestamp: Duration,
    /// From a new master until it makes `__internal_schema`.
    pub internal_schema: Duration,
    /// Period of the decommission check and of a master's other housekeeping.
    pub decommission_check: Duration,
    /// Period of the tablet checker.
    pub tablet_check: Duration,
    /// Between two rounds of the tablet scheduler while it has something to do.
    pub tablet_schedule: Duration,
    /// What a copy of a tablet takes beside moving its bytes.
    pub clone_overhead: Duration,
    /// How often a backend from 2.1 on looks whether it was asked to end.
    pub stop_check: Duration,
    /// SIGTERM until an older backend is gone.
    pub old_backend_stop: Duration,
    /// What a backend from 4.1 on waits after its last query.
    pub post_stop_delay: Duration,
    /// A query that says nothing else takes this long.
    pub query: Duration,
    /// A load that says nothing else takes this long.
    pub load: Duration,
    /// A call between nodes that nobody answers is given up after this.
    pub rpc: Duration,
    /// A backend that does not answer about its write-ahead logs is dropped after this.
    pub wal_question: Duration,
    /// Between two looks at backups, restores and changes of tables.
    pub job_round: Duration,
    /// Group commit: from the acknowledgement until the load is committed.
    pub group_commit: Duration,
}

impl Timing {
    /// As seen on a real frontend on a free machine.
    pub fn real() -> Self {
        let ms = Duration::from_millis;
        Self {
            jvm: ms(1800),
            founding_step: ms(200),
            open_bdb: ms(1000),
            helper_retry: ms(5000),
            join_retry: ms(5000),
            election: ms(1200),
            take_over: ms(800),
            daemons: ms(1500),
            open_rpc: ms(300),
            open_http: ms(5500),
            open_mysql: ms(500),
            terminate: ms(900),
            feeder_timeout: ms(30_000),
            obsolete_master: ms(5000),
            ack_timeout: ms(10_000),
            write_retry: ms(5000),
            backend_start: ms(4000),
            report: ms(60_000),
            heartbeat: None,
            timestamp: ms(10_000),
            internal_schema: ms(10_000),
            decommission_check: ms(10_000),
            tablet_check: ms(20_000),
            tablet_schedule: ms(1000),
            clone_overhead: ms(5000),
            stop_check: ms(3000),
            old_backend_stop: ms(4000),
            post_stop_delay: ms(10_000),
            query: ms(50),
            load: ms(200),
            rpc: ms(10_000),
            wal_question: ms(180_000),
            job_round: ms(3000),
            group_commit: ms(10_000),
        }
    }

    /// For tests and the demo on wall time: founding and joining within two seconds.
    /// Time-outs of the protocol between members stay as they are.
    pub fn fast() -> Self {
        let ms = Duration::from_millis;
        Self {
            jvm: ms(150),
            founding_step: ms(20),
            open_bdb: ms(100),
            helper_retry: ms(500),
            join_retry: ms(500),
            election: ms(300),
            take_over: ms(100),
            daemons: ms(100),
            open_rpc: ms(50),
            open_http: ms(100),
            open_mysql: ms(50),
            terminate: ms(100),
            obsolete_master: ms(1000),
            backend_start: ms(200),
            report: ms(2000),
            heartbeat: Some(ms(1000)),
            decommission_check: ms(2000),
            tablet_check: ms(2000),
            tablet_schedule: ms(200),
            clone_overhead: ms(200),
            stop_check: ms(200),
            old_backend_stop: ms(200),
            post_stop_delay: ms(200),
            ..Self::real()
        }
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self::real()
    }
}
