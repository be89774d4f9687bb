//! Ways to install that divide the work, at work on one server: by the labels of namespaces, over the replicas of one installation, and
//! between two installations.

use std::collections::{BTreeMap, BTreeSet};

use controller_kit::lease::{SHARDS, shard_of};
use k8s_openapi::api::coordination::v1::Lease;
use kube::ResourceExt as _;
use kube::api::ListParams;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::harness::{OPERATOR, run};
use crate::world::{World, namespace};

/// Where an installation without a name is, whose replicas share the work.
const SHARED: &str = "doris-shared";
/// Where the one that is called green is.
const GREEN: &str = "doris-green";
/// A team that is chosen by its label.
const CHOSEN: &str = "chosen";
/// One that is not.
const OTHER: &str = "other";
const SELECTOR: &str = "global.watch.namespaceSelector=team=analytics";

#[test]
fn installed_for_chosen_namespaces_over_shards_and_beside_another_installation() {
    run(async |stand, helms, kubectl| {
        let began = Instant::now();
        let world = World::new(stand, kubectl);
        for (name, labels) in [
            (SHARED, json!({"pod-security.kubernetes.io/enforce": "restricted"})),
            (GREEN, json!({"pod-security.kubernetes.io/enforce": "restricted"})),
            (CHOSEN, json!({"pod-security.kubernetes.io/enforce": "baseline", "team": "analytics"})),
            (OTHER, json!({"pod-security.kubernetes.io/enforce": "baseline"})),
        ] {
            namespace(&stand.client, name, labels).await;
        }
        world.judge_from_here();
        let install =
            |name, place, values| ["install", name, OPERATOR, "-n", place, "--wait", "--timeout", "5m", "--set", SELECTOR, "--set", values];
        world.call(&helms.four, &install("doris-operator", SHARED, "cluster-controller.sharded=true")).await;
        // The team gives the other one its rights itself, and need not wait for it.
        let (role, account) = (
            "--clusterrole=green-doris-operator-cluster-controller",
            "--serviceaccount=doris-green:green-doris-operator-cluster-controller",
        );
        world.call(&world.kubectl, &["-n", CHOSEN, "create", "rolebinding", "green", role, account]).await;
        let values = "crds.enabled=false,global.installation=green,global.watch.teamsBind=true,cluster-controller.replicas=1";
        world.call(&helms.three, &install("green", GREEN, values)).await;
        println!("installed: {} s", began.elapsed().as_secs());

        let holders = world.shards_are_spread().await;
        let mut shared = Vec::new();
        for pod in holders.values().collect::<BTreeSet<_>>() {
            let mut names = (0..).map(|index| format!("c{index}"));
            let name = names.find(|name| holders.get(&shard_of(CHOSEN, name)) == Some(pod)).expect("a name in one of its shards");
            shared.push((pod.clone(), name));
        }
        for (_, name) in &shared {
            world.apply(CHOSEN, name, None).await;
        }
        for (place, name, installation) in [(CHOSEN, "emerald", Some("green")), (CHOSEN, "nobodys", Some("blue")), (OTHER, "demo", None)] {
            world.apply(place, name, installation).await;
        }
        for name in shared.iter().map(|(_, name)| name.as_str()).chain(["emerald"]) {
            world.ready(CHOSEN, name).await;
        }
        println!("Ready: {} s", began.elapsed().as_secs());

        for place in [SHARED, GREEN] {
            world.nothing_was_denied(place);
            world.only_chosen_namespaces_were_looked_at(place);
        }
        for (pod, name) in &shared {
            assert_eq!(world.writers(name), [pod.clone()].into(), "{name} is in a shard of {pod}");
        }
        let green = world.writers("emerald");
        assert!(green.len() == 1 && green.iter().all(|pod| pod.starts_with("green-")), "{green:?}");
        for (place, name) in [(CHOSEN, "nobodys"), (OTHER, "demo")] {
            assert_eq!(world.writers(name), BTreeSet::new(), "{place}/{name}");
            assert!(world.cluster(place, name).await.expect("it is there").status.is_none(), "{place}/{name}");
        }

        // A label chooses the other team as well. It gave rights to nobody, and only one of the two has them everywhere.
        world.call(&world.kubectl, &["label", "namespace", OTHER, "team=analytics"]).await;
        world.ready(OTHER, "demo").await;
        world.nothing_was_denied(SHARED);
        assert!(world.writers("demo").iter().all(|pod| pod.starts_with("doris-operator-")));

        world.call(&helms.three, &["uninstall", "green", "-n", GREEN, "--wait"]).await;
        world.call(&helms.four, &["uninstall", "doris-operator", "-n", SHARED, "--wait"]).await;
        world.no_definitions().await;
        println!("selector, shards and two installations: {} s", began.elapsed().as_secs());
    });
}

impl World {
    /// The smallest cluster.
    async fn apply(&self, place: &str, name: &str, installation: Option<&str>) {
        let labels = installation.map(|named| json!({"doris-operator.dev/installation": named}));
        let cluster = json!({
            "apiVersion": "doris-operator.dev/v1beta1", "kind": "DorisCluster",
            "metadata": {"name": name, "namespace": place, "labels": labels},
            "spec": {
                "version": "2.1.7",
                "fe": {"replicas": 1, "storage": {"size": "20Gi"}},
                "be": {"replicas": 1, "storage": [{"name": "data", "medium": "SSD", "size": "100Gi"}]},
            },
        });
        let file = self.stand.directory().join(format!("{name}.json"));
        std::fs::write(&file, cluster.to_string()).expect("written");
        self.call(&self.kubectl, &["apply", "--server-side", "-f", &file.display().to_string()]).await;
    }

    /// The pods that hold the shards, once each of the two has half of them.
    async fn shards_are_spread(&self) -> BTreeMap<usize, String> {
        let find = async || {
            let leases = self.api::<Lease>(SHARED).list(&ListParams::default()).await.expect("Leases");
            let holders = leases.items.into_iter().filter_map(|lease| {
                let shard = lease.name_any().rsplit_once("-shard-")?.1.parse().ok()?;
                let holder = lease.spec?.holder_identity.filter(|holder| !holder.is_empty())?;
                // What follows the pod's name is the process' own.
                Some((shard, holder.rsplit_once('-')?.0.to_owned()))
            });
            holders.collect::<BTreeMap<usize, String>>()
        };
        self.until("each replica has half of the shards", async || {
            let holders = find().await;
            let count = |pod: &String| holders.values().filter(|holder| *holder == pod).count();
            let is_so = holders.len() == SHARDS && holders.values().all(|pod| count(pod) == SHARDS / 2);
            if is_so { Ok(()) } else { Err(format!("{holders:?}")) }
        })
        .await;
        find().await
    }

    /// The pods whose controllers wrote something of a cluster, by either installation.
    fn writers(&self, cluster: &str) -> BTreeSet<String> {
        let is_part = |request: &Value| {
            let name = request["objectRef"]["name"].as_str().unwrap_or_default();
            let rest = name.strip_prefix(cluster);
            let is_lease_of_a_process = request["objectRef"]["namespace"] == SHARED || request["objectRef"]["namespace"] == GREEN;
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.'])) && !is_lease_of_a_process
        };
        let requests = [SHARED, GREEN].into_iter().flat_map(|place| self.requests(place));
        let writes = requests.filter(|request| !["get", "list", "watch"].iter().any(|verb| request["verb"] == *verb)).filter(is_part);
        let pod =
            |request: Value| request["user"]["extra"]["authentication.kubernetes.io/pod-name"][0].as_str().unwrap_or_default().to_owned();
        writes.map(pod).collect()
    }

    /// All that is asked for beyond the chosen team's objects and the Leases beside the controllers is which namespaces there are: both rights
    /// that a selector needs are used.
    fn only_chosen_namespaces_were_looked_at(&self, place: &str) {
        let mut elsewhere = BTreeSet::new();
        for request in self.requests(place) {
            let about = &request["objectRef"];
            if about["resource"].is_string() && about["namespace"] != CHOSEN && about["namespace"] != place {
                elsewhere.insert(format!("{} {} {}", request["verb"], about["resource"], about["namespace"]).replace('"', ""));
            }
        }
        assert_eq!(elsewhere.into_iter().collect::<Vec<_>>(), ["list namespaces null", "watch namespaces null"], "of {place}");
    }
}
