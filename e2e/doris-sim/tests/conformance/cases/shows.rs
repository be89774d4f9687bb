//! Columns of what an operator reads, and what backups are refused with.

use std::time::Duration;

use super::conversations;
use crate::ask::Ask;
use crate::stage::Stage;

conversations![columns, errors_of_backup];

const STATEMENTS: &[&str] = &[
    "SHOW PROC '/'",
    "SHOW PROC '/frontends'",
    "SHOW PROC '/backends'",
    "SHOW PROC '/statistic'",
    "SHOW PROC '/cluster_health/tablet_health'",
    "SHOW PROC '/cluster_balance'",
    "SHOW PROC '/cluster_balance/pending_tablets'",
    "SHOW PROC '/cluster_balance/running_tablets'",
    "SHOW PROC '/cluster_balance/sched_stat'",
    "SHOW PROC '/tasks'",
    "SHOW PROC '/jobs'",
    "SHOW PROC '/dbs'",
    "SHOW PROC '/transactions'",
    "SHOW PROC '/current_queries'",
    "SHOW PROC '/no_such'",
    "SHOW PROCESSLIST",
    "SHOW FULL PROCESSLIST",
    "SHOW REPOSITORIES",
    "SHOW BACKUP",
    "SHOW RESTORE",
    "SHOW SNAPSHOT ON r",
    "SHOW BACKUP FROM no_such_db",
    "SHOW RESOURCES",
    "SHOW WORKLOAD GROUPS",
    "SHOW FRONTENDS DISKS",
    "SHOW DATA",
    "SHOW TABLETS FROM no_such_db.t",
    "SHOW CATALOGS",
    "SHOW PLUGINS",
    "SHOW STORAGE POLICY",
    "SHOW DATABASES",
    "SHOW TABLE STATUS",
    "SHOW TRASH",
    "ADMIN SHOW REPLICA DISTRIBUTION FROM t",
    "SELECT * FROM information_schema.backends",
    "SELECT * FROM frontends()",
    "SELECT * FROM backends()",
    "SELECT HOST, ROLE FROM frontends()",
];

async fn columns(d: &mut Stage) {
    d.start(0).await;
    d.ready(0).await;
    for sql in STATEMENTS {
        d.tell(Ask::new(0, *sql).no_rows()).await;
    }
}

async fn errors_of_backup(d: &mut Stage) {
    d.start(0).await;
    d.ready(0).await;
    for sql in [
        "CREATE REPOSITORY r WITH BROKER nosuch ON LOCATION 'hdfs://h/x' PROPERTIES ('username' = 'u')",
        "BACKUP SNAPSHOT d.s TO r",
        "BACKUP DATABASE no_such_db TO r",
        "DROP REPOSITORY r",
        "CANCEL BACKUP",
        "CANCEL BACKUP FROM no_such_db",
        "RESTORE SNAPSHOT no_such_db.s FROM r ON (t) PROPERTIES ('backup_timestamp' = '2024-01-01-00-00-00')",
        "CREATE DATABASE d1",
        "CANCEL BACKUP FROM d1",
        "CANCEL RESTORE FROM d1",
        "SHOW BACKUP FROM d1",
        "BACKUP SNAPSHOT d1.s TO r",
        "BACKUP SNAPSHOT d1.s TO r ON (t)",
    ] {
        d.tell(Ask::new(0, sql).limit(Duration::from_mins(1))).await;
    }
}
