//! What has to be the same before and after.

use std::collections::BTreeMap;
use std::time::Duration;

use doris_api::DorisCluster;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::ResourceExt as _;
use kube::api::ListParams;
use scenarios::lab::{Lab, Settings, cluster, is_ready};
use serde_json::Value;

/// The versions that these scenarios run with.
pub const VERSIONS: [&str; 3] = ["2.0.15", "2.1.7", "3.0.3"];
/// Until something has to be so.
pub const LONG: Duration = Duration::from_mins(30);

/// Applies a spec and waits until it is in force.
pub async fn becomes(lab: &Lab, spec: &Value) -> DorisCluster {
    let applied = lab.apply(&cluster("demo", spec.clone())).await.expect("the spec is accepted");
    let generation = applied.metadata.generation;
    lab.until("Ready", "demo", LONG, |seen| seen.metadata.generation == generation && is_ready(seen)).await
}

/// A laboratory with a cluster that is ready, and a controller that looks after it.
pub async fn ready(spec: &Value) -> (Lab, scenarios::lab::Controller) {
    let lab = Lab::new(Settings::default()).await;
    let controller = lab.start_controller();
    becomes(&lab, spec).await;
    (lab, controller)
}

fn ours() -> ListParams {
    ListParams::default().labels("doris-operator.dev/cluster=demo")
}

/// Uids of the pods by name.
pub async fn pods(lab: &Lab) -> BTreeMap<String, String> {
    let pods = lab.api::<Pod>().list(&ours()).await.expect("pods are listed");
    pods.into_iter().map(|pod| (pod.name_any(), pod.uid().unwrap_or_default())).collect()
}

/// What each claim asks for and has.
pub async fn sizes(lab: &Lab) -> BTreeMap<String, (String, String)> {
    let claims = lab.api::<PersistentVolumeClaim>().list(&ours()).await.expect("claims are listed");
    let size = |sizes: Option<&BTreeMap<String, k8s_openapi::apimachinery::pkg::api::resource::Quantity>>| {
        sizes.and_then(|sizes| sizes.get("storage")).map(|size| size.0.clone()).unwrap_or_default()
    };
    let of = |claim: PersistentVolumeClaim| {
        let asked = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref()?.requests.as_ref());
        let has = claim.status.as_ref().and_then(|status| status.capacity.as_ref());
        (claim.name_any(), (size(asked), size(has)))
    };
    claims.into_iter().map(of).collect()
}

/// Size of each claim template, by set and template.
pub async fn templates(lab: &Lab) -> BTreeMap<String, String> {
    let sets = lab.api::<StatefulSet>().list(&ours()).await.expect("sets are listed");
    let mut found = BTreeMap::new();
    for set in sets {
        let templates = set.spec.iter().flat_map(|spec| spec.volume_claim_templates.iter().flatten());
        for template in templates {
            let requests = template.spec.as_ref().and_then(|spec| spec.resources.as_ref()?.requests.as_ref());
            let size = requests.and_then(|requests| requests.get("storage")).map(|size| size.0.clone()).unwrap_or_default();
            found.insert(format!("{} {}", set.name_any(), template.name_any()), size);
        }
    }
    found
}

/// Creates a table with a replica on each of three backends, and fills it.
pub async fn fill(lab: &Lab) {
    let master = lab.master_pod("demo").expect("there is a master");
    for statement in [
        "CREATE DATABASE shop",
        "CREATE TABLE shop.orders (id INT, amount INT) DUPLICATE KEY(id) DISTRIBUTED BY HASH(id) BUCKETS 4 PROPERTIES('replication_num' = '3')",
        "INSERT INTO shop.orders VALUES (1, 10), (2, 20), (3, 30)",
    ] {
        lab.sql("demo", &master, statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
    // The master makes its own statistics tables some seconds after it began.
    tokio::time::sleep(Duration::from_secs(30)).await;
}

/// What makes the cluster that cluster: names and ids of members, and the rows of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Everything {
    frontends: Vec<(String, String)>,
    backends: Vec<(String, String)>,
    rows: String,
}

/// Reads it from the master.
pub async fn everything(lab: &Lab) -> Everything {
    let master = lab.master_pod("demo").expect("there is a master");
    let pairs = |statement: &'static str, name: &'static str| {
        let master = master.clone();
        async move {
            let rows = lab.sql("demo", &master, statement).await.expect(statement);
            let mut pairs: Vec<_> = rows.iter().map(|row| (row["Host"].clone(), row[name].clone())).collect();
            pairs.sort();
            pairs
        }
    };
    let frontends = pairs("SHOW FRONTENDS", "Name").await;
    let backends = pairs("SHOW BACKENDS", "BackendId").await;
    let rows = lab.sql("demo", &master, "SELECT COUNT(*) FROM shop.orders").await.expect("the table is read");
    Everything { frontends, backends, rows: format!("{rows:?}") }
}

/// Statements that the controller sent since so many, if they change members.
pub fn membership_since(lab: &Lab, before: usize) -> Vec<String> {
    let texts = lab.faults.statements().into_iter().skip(before).map(|(_, text)| text);
    texts
        .filter(|text| text.starts_with("ALTER SYSTEM") && [" ADD ", " DROP", " DECOMMISSION "].iter().any(|word| text.contains(word)))
        .collect()
}
