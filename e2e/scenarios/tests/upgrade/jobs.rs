//! Jobs, damage and builds that keep an upgrade from beginning; once they are over it begins by itself.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use doris_sim::{StreamLoad, Timing};
use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use scenarios::lab::{Lab, Settings, basic};
use serde_json::json;
use tokio::time::sleep;

use crate::help::{apply, at, until_blocked, until_done, versions};
use crate::preflight::{blocks, sql};
use crate::watch::{Restarts, table, until_healthy};

#[tokio::test(start_paused = true)]
async fn a_backup_that_runs() {
    blocks(
        async |lab| lab.stalled_backup().await,
        "backup nightly of database stock (state UPLOADING) is running, and would fail without the data of the backends concerned; this ends \
         when it is done, or after CANCEL BACKUP FROM stock",
        async |lab| lab.jobs_go_on(),
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_restore_that_runs() {
    blocks(
        async |lab| lab.stalled_restore().await,
        "restore nightly of database stock (state DOWNLOADING) is running",
        async |lab| sql(lab, "CANCEL RESTORE FROM stock").await,
    )
    .await;
}

/// Damages a replica of a tablet of `d.t`, and keeps Doris from repairing it.
pub async fn spoil(lab: &Lab, replicas: u32) {
    table(lab, "t", replicas, 1).await;
    sql(lab, "INSERT INTO d.t VALUES (1)").await;
    if replicas > 1 {
        until_healthy(lab).await;
        sql(lab, "ADMIN SET FRONTEND CONFIG (\"disable_tablet_scheduler\" = \"true\")").await;
    }
    let tablet = lab.world.tablets().into_iter().find(|tablet| tablet.table == "t").expect("a tablet");
    assert!(lab.world.spoil_tablet(&tablet.replicas[0].host, tablet.tablet), "{tablet:?}");
    let is_told = || async {
        let told = lab.world.tablets().into_iter().find(|other| other.tablet == tablet.tablet).expect("it is there");
        if told.verdict == "HEALTHY" { Err("it is not reported yet".to_owned()) } else { Ok(()) }
    };
    lab.eventually("the damage is reported", Duration::from_mins(3), is_told).await;
}

#[tokio::test(start_paused = true)]
async fn a_tablet_that_is_not_healthy() {
    blocks(
        async |lab| spoil(lab, 3).await,
        "1 tablet is not healthy: 1 ForceRedundant in d; an upgrade begins when they have been repaired, or when they are accepted as they are",
        async |lab| sql(lab, "ADMIN SET FRONTEND CONFIG (\"disable_tablet_scheduler\" = \"false\")").await,
    )
    .await;
}

/// Puts so many bytes into `d.t`.
async fn fill(lab: &Lab, bytes: u64) {
    let password = lab.secret("demo-identity", "root.applied").await.expect("root's password");
    let master = lab.master_pod("demo").expect("one master");
    let address = lab.nodes.address("default", &master).expect("it runs");
    let load = StreamLoad { password, rows: 10, bytes, ..StreamLoad::new("d", "t", "a-lot") };
    lab.world.stream_load(IpAddr::V4(Ipv4Addr::new(10, 9, 9, 9)), address.into(), &load).await.expect("the load succeeds");
}

#[tokio::test(start_paused = true)]
async fn a_table_that_has_been_altered_for_more_than_an_hour() {
    // An hour is simulated: with few members, which do what they do as rarely as real ones.
    let lab = Lab::new(Settings { timing: Timing::real(), ..Settings::default() }).await;
    let mut spec = basic("2.1.7");
    (spec["fe"]["replicas"], spec["be"]["replicas"]) = (json!(1), json!(1));
    spec["be"]["storage"][0]["size"] = json!("2Ti");
    spec["update"] = json!({"unavailableTables": "Allow", "timeouts": {"drainSeconds": 5, "backendSeconds": 300, "frontendSeconds": 300}});
    let controller = lab.start_controller();
    apply(&lab, spec.clone()).await;
    lab.until_ready("demo").await;
    table(&lab, "t", 1, 1).await;
    // So much that to write it anew takes 5000 seconds.
    fill(&lab, (5000 * 100) << 20).await;
    sql(&lab, "ALTER TABLE d.t MODIFY COLUMN k BIGINT").await;
    drop(controller);
    sleep(Duration::from_secs(3610)).await;
    let _controller = lab.start_controller();
    let restarts = Restarts::of(&lab, "demo").await;
    let generation = apply(&lab, at(&spec, "3.0.3")).await;
    let message = until_blocked(&lab).await;
    let says = "d.t (RUNNING) is being altered for more than an hour; an upgrade begins when that is done, or after CANCEL ALTER TABLE";
    assert!(message.contains(says), "{message}");
    assert_eq!(restarts.seen(), [] as [String; 0]);
    // Some minutes later it is done, and the upgrade begins by itself.
    until_done(&lab, generation).await;
    let versions = versions(&lab);
    assert!(versions.len() == 2 && versions.values().all(|version| version == "3.0.3"), "{versions:?}");
}

const IMAGE: &str = "apache/doris:be-2.1.7";

/// A backend's pod is made anew, from what the registry gives for its image then.
async fn pulled_again(lab: &Lab, content: &str) {
    lab.nodes.move_tag(IMAGE, content);
    lab.api::<Pod>().delete("demo-be-1", &DeleteParams::default()).await.expect("the pod is deleted");
    let is_back = || async {
        let versions = versions(lab);
        let tag = content.rsplit('-').next().unwrap_or_default();
        if versions.get("demo-be-1").is_some_and(|version| version == tag) { Ok(()) } else { Err(format!("{versions:?}")) }
    };
    lab.eventually("the backend is back", Duration::from_mins(5), is_back).await;
    sleep(Duration::from_secs(30)).await;
}

#[tokio::test(start_paused = true)]
async fn members_that_run_different_builds() {
    blocks(
        async |lab| pulled_again(lab, "apache/doris:be-2.1.8").await,
        "an upgrade begins when all members run one build",
        async |lab| pulled_again(lab, IMAGE).await,
    )
    .await;
}
