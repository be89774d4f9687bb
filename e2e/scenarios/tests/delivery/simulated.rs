//! The charts on the simulated API server, by Helm 4 and 3: what a laptop without Go for Kubernetes has.

use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::ListParams;
use scenarios::delivery::Command;
use scenarios::demo::{Settings, Stand};

use crate::harness::{OPERATOR, RELEASE, RUNTIME, helms};

#[test]
fn the_simulated_server_takes_installations_upgrades_rollbacks_and_uninstallations() {
    RUNTIME.block_on(async {
        let stand = Stand::start(&Settings::default()).await.expect("a world");
        let Some(helms) = helms(&stand.kubeconfig()) else { return };
        for helm in [&helms.four, &helms.three] {
            let deployments: Api<Deployment> = Api::namespaced(stand.client.clone(), RELEASE);
            let call = async |call: &[&str]| released(helm, call).await;
            // The definitions are there: demo installs them.
            call(&["install", RELEASE, OPERATOR, "--create-namespace", "--set", "crds.enabled=false", "--wait"]).await;
            call(&["upgrade", RELEASE, OPERATOR, "--set", "crds.enabled=false,cluster-controller.replicas=3", "--wait"]).await;
            assert_eq!(ready(&deployments).await, Some(3));
            call(&["rollback", RELEASE, "1", "--wait"]).await;
            assert_eq!(ready(&deployments).await, Some(2));
            call(&["uninstall", RELEASE, "--wait"]).await;
            assert!(deployments.list(&ListParams::default()).await.expect("deployments").items.is_empty());
        }
        stand.stop().await.expect("an end");
    });
}

async fn released(helm: &Command, call: &[&str]) {
    if let Err(refused) = helm.run(&[call, &["-n", RELEASE, "--timeout", "2m"]].concat()).await {
        panic!("{refused}");
    }
}

async fn ready(deployments: &Api<Deployment>) -> Option<i32> {
    let all = deployments.list(&ListParams::default()).await.expect("deployments");
    all.items.first()?.status.as_ref()?.ready_replicas
}
