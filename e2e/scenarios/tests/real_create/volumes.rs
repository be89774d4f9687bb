//! Volumes: what is kept, and what comes back empty.

use std::net::IpAddr;

use doris_api::{Component, names};
use doris_client::{Answer, Deadlines, Endpoint, Login, Password, Transport as _, WireTransport};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Secret};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams};
use scenarios::lab::{basic, cluster};
use scenarios::real::Place;

use crate::foundings::foundings;
use crate::harness::run;

/// Asks a frontend something as root; the first column of the answer.
async fn ask(place: &Place<'_>, pod: &str, statement: &str) -> Vec<String> {
    let secret = place.api::<Secret>().get(&names::identity("demo")).await.expect("the identity");
    let password = secret.data.and_then(|mut data| data.remove("root.generated")).expect("a password");
    let login = Login { user: "root".to_owned(), password: Password::new(String::from_utf8(password.0).expect("text")) };
    let ip: IpAddr = place.stand.nodes.address(&place.namespace, pod).expect("an address").into();
    let transport = WireTransport::new(Deadlines::default()).expect("a transport");
    let mut connection = transport.connect(Endpoint { ip, port: 9030 }, &login).await.expect("a login");
    let answer = connection.query(statement).await.expect("an answer");
    connection.close().await;
    match answer {
        Answer::Rows { rows, .. } => rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect(),
        Answer::Done { .. } => Vec::new(),
    }
}

async fn claims(place: &Place<'_>) -> Vec<(String, Option<String>)> {
    let list = place.api::<PersistentVolumeClaim>().list(&ListParams::default()).await.expect("claims");
    list.items.iter().map(|claim| (claim.name_any(), claim.uid())).collect()
}

#[test]
fn delete_keeps_volumes_and_recreate_recovers_data() {
    run("delete_keeps_volumes_and_recreate_recovers_data", async |place| {
        let controller = place.start_controller("one").await.expect("a controller");
        let spec = cluster("demo", basic("2.1.7"));
        place.apply(&spec).await.expect("applied");
        let before = place.until_ready("demo").await.status.expect("a status");
        let master = before.master.clone().expect("a master");
        ask(&place, &master, "CREATE DATABASE kept").await;
        let kept = claims(&place).await;
        assert_eq!(kept.len(), 6, "{kept:?}");

        let clusters = place.api::<doris_api::DorisCluster>();
        clusters.delete("demo", &DeleteParams::background()).await.expect("deleted");
        let pods = place.api::<Pod>();
        place.until_so("all pods are gone", async || pods.list(&ListParams::default()).await.expect("pods").items.is_empty()).await;
        assert_eq!(claims(&place).await, kept, "a claim went with the cluster");

        place.apply(&spec).await.expect("applied again");
        let after = place.until_ready("demo").await.status.expect("a status");
        assert_eq!(claims(&place).await, kept, "other claims are used");
        assert_eq!(after.identity.map(|identity| identity.cluster_id), before.identity.map(|identity| identity.cluster_id));
        let databases = ask(&place, after.master.as_deref().expect("a master"), "SHOW DATABASES").await;
        assert!(databases.iter().any(|name| name == "kept"), "{databases:?}");
        assert_eq!(foundings(&place, "demo"), 1);
        controller.stop().await.expect("an end");
    });
}

#[test]
fn fe0_lost_volume_never_founds_a_second_cluster() {
    run("fe0_lost_volume_never_founds", async |place| {
        let controller = place.start_controller("one").await.expect("a controller");
        place.apply(&cluster("demo", basic("2.1.7"))).await.expect("applied");
        let before = place.until_ready("demo").await.status.expect("a status");
        // First with nobody to hold it back but the start script, then with a controller.
        controller.stop().await.expect("an end");
        let pod = names::pod("demo", Component::Fe, 0);
        let claim = names::claim("demo", Component::Fe, names::FE_META_VOLUME, 0);
        let pods = place.api::<Pod>();
        let old = pods.get(&pod).await.expect("the pod").uid();
        assert!(place.stand.nodes.lose_volume(&place.namespace, &claim), "there is no volume behind {claim}");
        pods.delete(&pod, &DeleteParams::default()).await.expect("deleted");
        let runs_again =
            |found: &Pod| found.uid() != old && found.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running");
        place
            .until_so("fe-0 runs again", async || pods.get_opt(&pod).await.expect("an answer").is_some_and(|found| runs_again(&found)))
            .await;
        assert_eq!(foundings(&place, "demo"), 1, "with no controller alive");

        let controller = place.start_controller("two").await.expect("a controller");
        let sees_the_rest = |cluster: &doris_api::DorisCluster| {
            let members = cluster.status.iter().flat_map(|status| &status.members);
            let frontends = members.filter(|member| member.component == "fe");
            cluster.status.as_ref().is_some_and(|status| status.master.as_ref().is_some_and(|master| *master != pod))
                && frontends.filter(|member| member.alive && member.name != pod).count() == 2
        };
        let after = place.until("led by another frontend", "demo", sees_the_rest).await.status.expect("a status");
        assert_eq!(after.identity.map(|identity| identity.cluster_id), before.identity.map(|identity| identity.cluster_id));
        assert_eq!(foundings(&place, "demo"), 1, "with a controller");
        controller.stop().await.expect("an end");
    });
}
