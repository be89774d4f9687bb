//! Backups and restores that go on for as long as a scenario wants them to.

use std::time::Duration;

use super::Lab;

/// Where the snapshots go.
const STORE: &str = "s3://bucket";
/// Database and table that are backed up.
const DATABASE: &str = "stock";
/// Label of the snapshot.
const LABEL: &str = "nightly";
/// A job gets as far as it is to within this time.
const SOON: Duration = Duration::from_mins(5);

impl Lab {
    async fn at_master(&self, statement: &str) {
        let master = self.master_pod("demo").expect("one master");
        let answer = self.sql("demo", &master, statement).await;
        assert!(answer.is_ok(), "{statement}: {answer:?}");
    }

    /// A backup of a table with a tablet on every backend, which uploads until [`Lab::jobs_go_on`] lets it.
    pub async fn stalled_backup(&self) {
        self.backed_up_table().await;
        self.at_master(&format!("BACKUP SNAPSHOT {DATABASE}.{LABEL} TO r")).await;
        self.until_job_is("UPLOADING").await;
        self.world.set_object_store_answers(STORE, false);
    }

    /// A restore of such a table, which downloads until [`Lab::jobs_go_on`] lets it.
    pub async fn stalled_restore(&self) {
        self.backed_up_table().await;
        self.at_master(&format!("BACKUP SNAPSHOT {DATABASE}.{LABEL} TO r")).await;
        self.until_job_is("FINISHED").await;
        let master = self.master_pod("demo").expect("one master");
        let saved = self.sql("demo", &master, "SHOW SNAPSHOT ON r").await.expect("the master answers");
        let timestamp = saved[0]["Timestamp"].clone();
        self.at_master(&format!("DROP TABLE {DATABASE}.t FORCE")).await;
        let statement = format!("RESTORE SNAPSHOT {DATABASE}.{LABEL} FROM r PROPERTIES (\"backup_timestamp\" = \"{timestamp}\")");
        self.at_master(&statement).await;
        self.until_job_is("DOWNLOADING").await;
        self.world.set_object_store_answers(STORE, false);
    }

    async fn backed_up_table(&self) {
        let table = format!("CREATE TABLE {DATABASE}.t (k INT) DISTRIBUTED BY HASH(k) BUCKETS 6 PROPERTIES (\"replication_num\" = \"3\")");
        self.at_master(&format!("CREATE DATABASE {DATABASE}")).await;
        self.at_master(&table).await;
        self.at_master(&format!("INSERT INTO {DATABASE}.t VALUES (1), (2), (3)")).await;
        // So slow that it can be stopped between two looks.
        self.world.add_object_store(STORE, 1);
        self.at_master("CREATE REPOSITORY r WITH S3 ON LOCATION \"s3://bucket/demo\" PROPERTIES (\"s3.endpoint\" = \"http://store\")")
            .await;
    }

    /// Waits until the newest backup or restore is in this state.
    pub async fn until_job_is(&self, state: &str) {
        let seen = || async {
            let job = self.world.snapshot_jobs().pop().ok_or("there is none")?;
            if job.state == state { Ok(()) } else { Err(format!("{job:?}")) }
        };
        self.eventually(&format!("the job is {state}"), SOON, seen).await;
    }

    /// Lets a stalled backup or restore come to its end.
    pub fn jobs_go_on(&self) {
        self.world.set_object_store_answers(STORE, true);
    }
}
