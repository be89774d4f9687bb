//! Installed, upgraded, rolled back and uninstalled, by Helm 4, by Helm 3 and by `kubectl apply -k`, one after the other over one
//! cluster: it comes up by the controller in the installed Deployment's pods, and goes on through all the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::api::rbac::v1::Role;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, ListParams};
use kube::{Client, ResourceExt as _};
use scenarios::delivery::{Command, root};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::harness::{CLUSTER, OPERATOR, RELEASE, copy, run};
use crate::world::{World, namespace};

/// Where the cluster is.
const TEAM: &str = "team-a";
const CLUSTER_NAME: &str = "demo";
/// Where another release is, for a while.
const SECOND: &str = "second";
/// A sentence of a definition, and what an older chart had for it.
const SENTENCE: (&str, &str) = ("SQL that is run in an Apache Doris cluster once it is ready", "SQL that is run once");
/// What a Secret may hold; a release is kept in one.
const SECRET_LIMIT: usize = 1024 * 1024;

#[test]
fn installed_upgraded_rolled_back_and_uninstalled_while_a_cluster_lives() {
    run(async |stand, helms, kubectl| {
        let world = World::new(stand, kubectl);
        secured(&stand.client, RELEASE).await;
        secured(&stand.client, TEAM).await;
        let old = stand.directory().join("old-chart");
        older_chart(&old);
        let old = old.display().to_string();

        // Helm 4, from nothing.
        let began = Instant::now();
        let four = Release { world: &world, helm: &helms.four, name: RELEASE, values: "global.log.format=text" };
        four.install(&old, &[]).await;
        world.controllers_run(RELEASE, "doris-operator-cluster-controller").await;
        world.tenants_get_our_kinds().await;
        four.cluster().await;
        world.a_second_one_waits(&helms.four).await;
        let members = world.members().await;
        four.through_its_life().await;
        assert_eq!(world.members().await, members, "no member was made anew");
        world.goes_on_alone().await;
        let members = world.members().await;
        println!("Helm 4: {} s", began.elapsed().as_secs());

        // Helm 3, over what Helm 4 left: the definitions belong to the other release. For the team's namespace alone.
        let began = Instant::now();
        let three = Release { world: &world, helm: &helms.three, name: "ops", values: "global.watch.namespaces={team-a}" };
        let refused = three.try_install(OPERATOR, &[]).await.expect_err("somebody else's definitions are not taken over unasked");
        assert!(refused.contains("invalid ownership metadata"), "{refused}");
        three.install(&old, &["--take-ownership"]).await;
        world.controllers_run(RELEASE, "ops-doris-operator-cluster-controller").await;
        three.through_its_life().await;
        world.nobody_looked_elsewhere();
        assert_eq!(world.members().await, members, "no member was made anew");
        println!("Helm 3: {} s", began.elapsed().as_secs());

        // kubectl, over what Helm left.
        let began = Instant::now();
        world.judge_from_here();
        let overlay = "deploy/kustomize/overlays/default";
        // Its definitions are for the servers of today; on older ones those that Helm left stay.
        let is_old = Client::apiserver_version(&stand.client).await.expect("a version").minor.parse().is_ok_and(|minor: u32| minor < 34);
        let selector = if is_old { "app.kubernetes.io/name!=doris-operator" } else { "" };
        let apply = ["apply", "--server-side", "--force-conflicts", "-k", overlay, "-l", selector];
        world.kubectl.run(&apply).await.expect("applied");
        if !is_old {
            world.definition_is(SENTENCE.0).await;
        }
        world.controllers_run(RELEASE, "doris-operator-cluster-controller").await;
        world.a_change_is_carried_out("2004").await;
        world.kubectl.run(&apply).await.expect("applied once more");
        world.nothing_was_denied(RELEASE);
        println!("kubectl: {} s", began.elapsed().as_secs());

        // Helm 4, over what kubectl installed and changes by hand.
        let began = Instant::now();
        four.install(OPERATOR, &["--take-ownership", "--force-conflicts"]).await;
        world
            .kubectl
            .run(&["-n", RELEASE, "scale", "deployment", "doris-operator-cluster-controller", "--replicas=1"])
            .await
            .expect("scaled");
        let upgrade = ["upgrade", RELEASE, OPERATOR, "-n", RELEASE, "--set", four.values, "--wait"];
        let refused = helms.four.run(&upgrade).await.expect_err("somebody else's number is not overwritten unasked");
        assert!(refused.said.contains("conflict") && refused.said.contains(".spec.replicas"), "{refused}");
        four.call(&["upgrade", RELEASE, OPERATOR, "--set", four.values, "--wait", "--force-conflicts"]).await;
        world.controllers_run(RELEASE, "doris-operator-cluster-controller").await;
        println!("Helm 4 after kubectl: {} s", began.elapsed().as_secs());
        four.call(&["uninstall", RELEASE, "--wait"]).await;
        world.no_definitions().await;
    });
}

/// A chart as it was: another text in a definition.
fn older_chart(folder: &Path) {
    copy(&root().join(OPERATOR), folder);
    let file = folder.join("files/crds/dorisinitializers/definition.yaml");
    let text = std::fs::read_to_string(&file).expect("a definition");
    assert!(text.contains(SENTENCE.0), "the sentence is another now");
    std::fs::write(&file, text.replace(SENTENCE.0, SENTENCE.1)).expect("written");
}

/// A namespace; that of the operator takes no pod that the strictest standard forbids.
async fn secured(client: &Client, name: &str) {
    let level = if name == TEAM { "baseline" } else { "restricted" };
    namespace(client, name, json!({"pod-security.kubernetes.io/enforce": level})).await;
}

impl World {
    async fn team_is_ready(&self) {
        self.ready(TEAM, CLUSTER_NAME).await;
    }

    /// Another release that is to look after everything says that it waits, and does.
    async fn a_second_one_waits(&self, helm: &Command) {
        secured(&self.stand.client, SECOND).await;
        let values = "crds.enabled=false,userRoles.enabled=false,cluster-controller.replicas=1";
        let said = self.call(helm, &["install", SECOND, OPERATOR, "-n", SECOND, "--wait", "--timeout", "5m", "--set", values]).await;
        assert!(said.contains(&format!("the installation in {RELEASE} looked after every namespace")), "{said}");
        self.a_change_is_carried_out("2001").await;
        let requests = self.requests(SECOND);
        let is_lease = |request: &Value| request["objectRef"]["resource"] == "leases" && request["objectRef"]["namespace"] == SECOND;
        let reads = ["get", "list", "watch"];
        for request in requests.iter().filter(|request| !reads.iter().any(|verb| request["verb"] == *verb)) {
            assert!(is_lease(request), "{} {}", request["verb"], request["requestURI"]);
        }
        let own: Role = self.api(SECOND).get("second-doris-operator-cluster-controller-leader").await.expect("its role");
        let allowed: BTreeSet<String> = own.rules.iter().flatten().flat_map(|rule| rule.verbs.iter().cloned()).collect();
        self.until("it does all that it may do in its own namespace", async || {
            let leases = self.requests(SECOND).into_iter().filter(is_lease);
            let used: BTreeSet<String> = leases.filter_map(|request| request["verb"].as_str().map(str::to_owned)).collect();
            if used == allowed { Ok(()) } else { Err(format!("{used:?} of {allowed:?}")) }
        })
        .await;
        self.call(helm, &["uninstall", SECOND, "-n", SECOND, "--wait"]).await;
    }

    /// The members' pods and their uids.
    async fn members(&self) -> BTreeMap<String, String> {
        let pods = self.api::<Pod>(TEAM).list(&ListParams::default()).await.expect("pods");
        pods.items.into_iter().map(|pod| (pod.name_any(), pod.uid().unwrap_or_default())).collect()
    }

    /// A key that Doris takes while it runs: done when the status says Ready of the new generation.
    async fn a_change_is_carried_out(&self, value: &str) {
        let patch = json!({"spec": {"fe": {"config": {"max_running_txn_num_per_db": value}}}}).to_string();
        let call = ["-n", TEAM, "patch", "dcr", CLUSTER_NAME, "--type=merge", "-p", &patch];
        self.kubectl.run(&call).await.expect("patched");
        self.team_is_ready().await;
    }

    async fn sentence(&self) -> Value {
        let definitions: Api<CustomResourceDefinition> = Api::all(self.stand.client.clone());
        let found = definitions.get("dorisinitializers.doris-operator.dev").await.expect("the definition is there");
        serde_json::to_value(found).expect("JSON")["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["description"].clone()
    }

    async fn definition_is(&self, sentence: &str) {
        let text = self.sentence().await;
        assert!(text.as_str().is_some_and(|text| text.starts_with(sentence)), "{text}");
    }

    /// With nobody there to look after it, a member that is lost comes back by itself.
    async fn goes_on_alone(&self) {
        let pods = self.api::<Pod>(TEAM);
        let before = pods.get("demo-be-1").await.expect("a backend").uid();
        pods.delete("demo-be-1", &DeleteParams::default()).await.expect("deleted");
        self.until("the backend is back", async || {
            let pod = pods.get_opt("demo-be-1").await.map_err(|error| error.to_string())?.ok_or("it is gone")?;
            let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
            let is_up = conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
            if pod.uid() != before && is_up { Ok(()) } else { Err("it is not ready".to_owned()) }
        })
        .await;
    }

    /// Whoever may edit a namespace may have clusters in it, and whoever may look at it sees them.
    async fn tenants_get_our_kinds(&self) {
        for (who, role) in [("ann", "admin"), ("eve", "edit"), ("vic", "view")] {
            let (name, role) = (format!("--user={who}"), format!("--clusterrole={role}"));
            self.kubectl.run(&["-n", TEAM, "create", "rolebinding", who, &role, &name]).await.expect("bound");
        }
        for (who, verb, may) in
            [("ann", "create", true), ("eve", "create", true), ("vic", "get", true), ("vic", "create", false), ("nobody", "get", false)]
        {
            // The roles are put together by a controller, a moment after they are there.
            self.until(&format!("{who}, {verb}: {may}"), async || {
                let name = format!("--as={who}");
                let call = ["-n", TEAM, "auth", "can-i", verb, "dorisclusters.doris-operator.dev", &name];
                let told = match self.kubectl.run(&call).await {
                    Ok(_) => true,
                    Err(refused) if refused.said.trim_end().ends_with("no") => false,
                    Err(refused) => return Err(refused.to_string()),
                };
                if told == may { Ok(()) } else { Err(format!("it is {told}")) }
            })
            .await;
        }
    }

    /// Nothing was asked for but what is open to everybody, and objects in the team's namespace and in the controllers' own.
    fn nobody_looked_elsewhere(&self) {
        let allowed = [TEAM, RELEASE].map(|namespace| format!("/namespaces/{namespace}/"));
        for request in self.requests(RELEASE) {
            let path = request["requestURI"].as_str().unwrap_or_default();
            let is_about_objects = request["objectRef"]["resource"].is_string();
            assert!(!is_about_objects || allowed.iter().any(|part| path.contains(part)), "{} {path}", request["verb"]);
        }
    }
}

/// A release of one of the Helms.
struct Release<'a> {
    world: &'a World,
    helm: &'a Command,
    name: &'static str,
    values: &'static str,
}

impl Release<'_> {
    async fn try_install(&self, chart: &str, more: &[&str]) -> Result<String, String> {
        let call = [&["install", self.name, chart, "-n", RELEASE, "--wait", "--timeout", "5m", "--set", self.values], more].concat();
        self.helm.run(&call).await.map_err(|refused| refused.said)
    }

    async fn install(&self, chart: &str, more: &[&str]) {
        self.world.judge_from_here();
        if let Err(why) = self.try_install(chart, more).await {
            panic!("not installed: {why}\n{}", self.world.stand.logs());
        }
    }

    async fn call(&self, call: &[&str]) -> String {
        self.world.call(self.helm, &[call, &["-n", RELEASE]].concat()).await
    }

    /// The cluster, as a release of the other chart.
    async fn cluster(&self) {
        let values = json!({"spec": doris_values()});
        let file = self.world.stand.directory().join("cluster.yaml");
        std::fs::write(&file, values.to_string()).expect("values");
        let file = file.display().to_string();
        self.helm.run(&["install", CLUSTER_NAME, CLUSTER, "-n", TEAM, "--values", &file]).await.expect("installed");
        self.world.team_is_ready().await;
    }

    /// From an older chart, which is installed, to the present one, back, and off.
    async fn through_its_life(&self) {
        let world = self.world;
        world.definition_is(SENTENCE.1).await;
        world.a_change_is_carried_out(if self.name == RELEASE { "2002" } else { "2003" }).await;

        let values = "cluster-controller.podAnnotations.example\\.com/round=second";
        self.call(&["upgrade", self.name, OPERATOR, "--set", self.values, "--set", values, "--wait", "--timeout", "5m"]).await;
        world.definition_is(SENTENCE.0).await;
        world.controllers_run(RELEASE, &self.deployment()).await;
        world.team_is_ready().await;
        self.is_small_enough().await;

        self.call(&["rollback", self.name, "1", "--wait", "--timeout", "5m"]).await;
        world.definition_is(SENTENCE.1).await;
        world.controllers_run(RELEASE, &self.deployment()).await;
        world.team_is_ready().await;

        world.nothing_was_denied(RELEASE);
        self.call(&["uninstall", self.name, "--wait"]).await;
        let left = world.api::<Deployment>(RELEASE).list(&ListParams::default()).await.expect("deployments");
        assert!(left.items.is_empty(), "the controllers are gone");
        world.definition_is(SENTENCE.1).await;
        assert!(
            world.cluster(TEAM, CLUSTER_NAME).await.is_some_and(|cluster| cluster.metadata.deletion_timestamp.is_none()),
            "the cluster is left"
        );
    }

    fn deployment(&self) -> String {
        let prefix = if self.name == RELEASE { RELEASE.to_owned() } else { format!("{}-{RELEASE}", self.name) };
        format!("{prefix}-cluster-controller")
    }

    async fn is_small_enough(&self) {
        let secrets = self.world.api::<Secret>(RELEASE).list(&ListParams::default().labels("owner=helm")).await.expect("secrets");
        let sizes = secrets.items.iter().map(|secret| secret.data.iter().flatten().map(|(_, bytes)| bytes.0.len()).sum::<usize>());
        let largest = sizes.max().expect("a release");
        println!("{}: a release takes {largest} bytes", self.name);
        assert!(largest < SECRET_LIMIT / 2, "{largest}");
    }
}

fn doris_values() -> Value {
    json!({
        "version": "2.1.7",
        "fe": {"replicas": 1, "storage": {"size": "20Gi"}},
        "be": {"replicas": 3, "storage": [{"name": "data", "medium": "SSD", "size": "100Gi"}]},
    })
}
