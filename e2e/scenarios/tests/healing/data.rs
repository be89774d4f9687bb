//! Deleting a cluster and making it anew on its volumes.

use std::time::Duration;

use doris_api::DorisCluster;
use doris_sim::MemberFacts;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams};
use scenarios::lab::look::Row;
use scenarios::lab::{Lab, Settings, basic, cluster};

#[tokio::test(start_paused = true)]
async fn delete_keeps_volumes_and_recreate_recovers_data() {
    let lab = Lab::new(Settings::default()).await;
    let _controller = lab.start_controller();
    lab.apply(&cluster("demo", basic("2.1.7"))).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    let ids = lab.founded_ids("demo");
    let master = lab.master_pod("demo").expect("there is a master");
    for statement in [
        "CREATE DATABASE shop",
        "CREATE TABLE shop.orders (id INT, amount INT) DUPLICATE KEY(id) DISTRIBUTED BY HASH(id) BUCKETS 4 PROPERTIES('replication_num' = '3')",
    ] {
        lab.sql("demo", &master, statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
    // The master makes its own statistics tables some seconds after it began.
    tokio::time::sleep(Duration::from_secs(30)).await;
    let before = everything(&lab).await;
    assert!(before.tablets >= 12, "every backend has its share: {before:#?}");

    lab.api::<DorisCluster>().delete("demo", &DeleteParams::background()).await.expect("the cluster is deleted");
    let gone = || async {
        let running = lab.processes("demo").into_iter().filter(MemberFacts::is_running).count();
        let left =
            [count::<Pod>(&lab).await, count::<StatefulSet>(&lab).await, count::<Service>(&lab).await, count::<ConfigMap>(&lab).await];
        if running == 0 && left == [0; 4] {
            Ok(())
        } else {
            Err(format!("{running} processes; pods, sets, Services, ConfigMaps: {left:?}"))
        }
    };
    lab.eventually("all that is owned goes", Duration::from_mins(5), gone).await;
    assert_eq!(count::<PersistentVolumeClaim>(&lab).await, 6, "the volumes stay");
    assert_eq!(count::<Secret>(&lab).await, 1, "the identity stays");
    assert_eq!(lab.idle(Duration::from_mins(1)).await, Vec::<String>::new(), "what is gone is left alone");

    lab.apply(&cluster("demo", basic("2.1.7"))).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    assert_eq!(lab.founded_ids("demo"), ids, "nothing new was founded");
    let after = everything(&lab).await;
    assert_eq!(after, before);
    assert_eq!(lab.idle(Duration::from_mins(1)).await, Vec::<String>::new(), "an idle minute");
}

/// What makes the cluster that cluster.
#[derive(Debug, PartialEq, Eq)]
struct Everything {
    /// Host and name of each frontend.
    frontends: Vec<(String, String)>,
    /// Host and id of each backend.
    backends: Vec<(String, String)>,
    tables: Vec<Row>,
    tablets: usize,
}

async fn everything(lab: &Lab) -> Everything {
    let master = lab.master_pod("demo").expect("there is a master");
    let rows = |statement: &'static str| {
        let master = master.clone();
        async move { lab.sql("demo", &master, statement).await.expect(statement) }
    };
    let pairs = |rows: Vec<Row>, name: &str| {
        let mut pairs: Vec<_> = rows.iter().map(|row| (row["Host"].clone(), row[name].clone())).collect();
        pairs.sort();
        pairs
    };
    let running = lab.processes("demo").into_iter().filter(MemberFacts::is_running);
    Everything {
        frontends: pairs(rows("SHOW FRONTENDS").await, "Name"),
        backends: pairs(rows("SHOW BACKENDS").await, "BackendId"),
        tables: rows("SHOW TABLES FROM shop").await,
        tablets: running.filter_map(|member| member.backend().map(|backend| backend.tablets)).sum(),
    }
}

/// Objects of the cluster.
async fn count<K>(lab: &Lab) -> usize
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let list = lab.api::<K>().list(&ListParams::default().labels("doris-operator.dev/cluster=demo")).await.expect("objects are listed");
    list.items.iter().inspect(|object| assert!(object.uid().is_some())).count()
}
