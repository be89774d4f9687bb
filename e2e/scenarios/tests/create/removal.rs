//! What is taken out of the spec goes: objects, and fields of objects. What holds data or members stays.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod};
use kube::api::{DynamicObject, ListParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, ResourceExt as _};
use scenarios::lab::{Lab, Settings, basic, cluster, full, merge};
use serde_json::{Value, json};

/// Kinds that a cluster owns objects of.
const KINDS: [(&str, &str, &str); 5] = [
    ("apps", "v1", "StatefulSet"),
    ("", "v1", "Service"),
    ("policy", "v1", "PodDisruptionBudget"),
    ("networking.k8s.io", "v1", "NetworkPolicy"),
    ("", "v1", "ConfigMap"),
];
const SOON: Duration = Duration::from_mins(2);
/// Members leave before what was made for them goes.
const LONG: Duration = Duration::from_mins(15);

/// Every object of the cluster by kind and name, as far as it is ours to say: labels, annotations, spec.
async fn objects(lab: &Lab) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    for (group, version, kind) in KINDS {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        let api: Api<DynamicObject> = Api::namespaced_with(lab.client.clone(), "default", &resource);
        let list = api.list(&ListParams::default().labels("doris-operator.dev/cluster=demo")).await.expect("objects are listed");
        for object in list {
            let said = json!({"labels": object.labels(), "annotations": object.annotations(), "spec": object.data["spec"]});
            all.insert(format!("{kind} {}", object.name_any()), said);
        }
    }
    all
}

/// Names without the hash at the end of a configuration's.
async fn names(lab: &Lab) -> BTreeSet<String> {
    let plain =
        |name: String| if name.contains("-conf-") { name.rsplit_once('-').map_or(name.clone(), |(stem, _)| stem.to_owned()) } else { name };
    objects(lab).await.into_keys().map(plain).collect()
}

async fn claims(lab: &Lab) -> BTreeMap<String, Option<String>> {
    let list = lab.api::<PersistentVolumeClaim>().list(&ListParams::default()).await.expect("claims are listed");
    list.into_iter().map(|claim| (claim.name_any(), claim.uid())).collect()
}

/// One step: what is changed in the spec, and what goes.
struct Removal {
    field: &'static str,
    patch: Value,
    gone: &'static [&'static str],
}

fn removals() -> Vec<Removal> {
    vec![
        Removal {
            field: "broker",
            patch: json!({"broker": null}),
            gone: &["ConfigMap demo-broker-conf", "Service demo-broker-members", "StatefulSet demo-broker"],
        },
        Removal {
            field: "cn",
            patch: json!({"cn": null}),
            gone: &[
                "ConfigMap demo-cn-conf",
                "PodDisruptionBudget demo-cn",
                "Service demo-cn",
                "Service demo-cn-members",
                "StatefulSet demo-cn",
            ],
        },
        Removal {
            field: "fe.observers",
            patch: json!({"fe": {"observers": null}}),
            gone: &["PodDisruptionBudget demo-fe-ob", "Service demo-fe-ob-members", "StatefulSet demo-fe-ob"],
        },
        Removal {
            field: "podDisruptionBudget",
            patch: json!({"podDisruptionBudget": {"enabled": false}}),
            gone: &["PodDisruptionBudget demo-be", "PodDisruptionBudget demo-fe"],
        },
        Removal { field: "networkPolicy", patch: json!({"networkPolicy": {"enabled": false}}), gone: &["NetworkPolicy demo"] },
    ]
}

#[tokio::test(start_paused = true)]
async fn remove_optional_field_removes_it() {
    let lab = Lab::new(Settings::default()).await;
    let _controller = lab.start_controller();
    let mut spec = full("2.1.7");
    lab.apply(&cluster("demo", spec.clone())).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    a_stranger_bears_the_label(&lab).await;
    let volumes = claims(&lab).await;
    for Removal { field, patch, gone } in removals() {
        let before = names(&lab).await;
        merge(&mut spec, &patch);
        lab.apply(&cluster("demo", spec.clone())).await.expect("the spec is accepted");
        let expected: BTreeSet<String> = gone.iter().map(|&name| name.to_owned()).collect();
        let is_gone = || async {
            let now = names(&lab).await;
            let went: BTreeSet<String> = before.difference(&now).cloned().collect();
            if went == expected { Ok(()) } else { Err(format!("{went:?} instead of {expected:?}")) }
        };
        lab.eventually(&format!("what {field} made goes, and nothing else"), LONG, is_gone).await;
        lab.until_ready("demo").await;
        assert_eq!(claims(&lab).await, volumes, "{field}: no volume went");
    }
    assert!(names(&lab).await.contains("ConfigMap demo-notes"), "what is not ours stays");
    assert_eq!(lab.founded_ids("demo").len(), 1);
    assert_eq!(lab.idle(Duration::from_mins(2)).await, Vec::<String>::new(), "an idle time");
}

/// A ConfigMap that a person labelled like ours.
async fn a_stranger_bears_the_label(lab: &Lab) {
    let notes = json!({"metadata": {"name": "demo-notes", "labels": {"doris-operator.dev/cluster": "demo"}}, "data": {"k": "v"}});
    let notes: ConfigMap = serde_json::from_value(notes).expect("a ConfigMap");
    lab.api::<ConfigMap>().create(&PostParams::default(), &notes).await.expect("a ConfigMap");
}

/// Fields that make no object of their own: each has to change some object, and to leave no trace when it goes.
fn fields() -> Vec<(&'static str, Value)> {
    let be = |field: &str, value: Value| json!({"be": {field: value}});
    let service = |value: Value| json!({"fe": {"service": value}});
    vec![
        ("be.nodeSelector", be("nodeSelector", json!({"kubernetes.io/os": "linux"}))),
        ("be.env", be("env", json!([{"name": "TZ", "value": "UTC"}]))),
        ("be.labels", be("labels", json!({"tier": "hot"}))),
        ("be.annotations", be("annotations", json!({"example.org/owner": "data"}))),
        ("be.tolerations", be("tolerations", json!([{"key": "doris", "operator": "Exists"}]))),
        ("be.priorityClassName", be("priorityClassName", json!("system-cluster-critical"))),
        ("be.hostAliases", be("hostAliases", json!([{"ip": "10.0.0.9", "hostnames": ["nn1"]}]))),
        ("be.affinity", be("affinity", json!({"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}}))),
        ("be.resources", be("resources", json!({"requests": {"cpu": "1"}, "limits": {"memory": "2Gi"}}))),
        ("be.terminationGracePeriodSeconds", be("terminationGracePeriodSeconds", json!(99))),
        ("be.sidecars", be("sidecars", json!([{"name": "helper", "image": "busybox"}]))),
        ("be.initContainers", be("initContainers", json!([{"name": "first", "image": "busybox"}]))),
        (
            "be.volumes",
            json!({"be": {"volumes": [{"name": "tmp", "emptyDir": {}}], "volumeMounts": [{"name": "tmp", "mountPath": "/scratch"}]}}),
        ),
        ("be.podTemplate", be("podTemplate", json!({"spec": {"dnsPolicy": "Default"}}))),
        ("be.config", be("config", json!({"tablet_map_shard_size": "512"}))),
        ("be.image", be("image", json!("registry.example.org/doris:be-2.1.7"))),
        ("be.configFiles", be("configFiles", json!({"name": "more"}))),
        ("image.pullSecrets", json!({"image": {"pullSecrets": [{"name": "registry"}]}})),
        ("hadoop", json!({"hadoop": {"hosts": [{"ip": "10.0.0.9", "hostnames": ["nn1"]}]}})),
        ("kerberos", json!({"kerberos": {"krb5": {"name": "krb5"}, "keytab": {"name": "keytabs"}}})),
        ("fe.service.annotations", service(json!({"annotations": {"example.org/lb": "internal"}}))),
        ("fe.service.nodePorts", service(json!({"type": "NodePort", "nodePorts": [{"name": "query", "port": 30930}]}))),
        (
            "fe.service of a load balancer",
            service(
                json!({"type": "LoadBalancer", "loadBalancerClass": "example.org/lb", "sourceRanges": ["10.0.0.0/8"], "externalTrafficPolicy": "Local"}),
            ),
        ),
        ("networkPolicy.clients", json!({"networkPolicy": {"clients": [{"podSelector": {"matchLabels": {"app": "bi"}}}]}})),
        ("podDisruptionBudget.backendsAway", json!({"podDisruptionBudget": {"backendsAway": 0}})),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_field_that_is_taken_out_leaves_no_trace() {
    let lab = Lab::new(Settings::default()).await;
    let _controller = lab.start_controller();
    lab.apply(&cluster("demo", basic("2.1.7"))).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    let volumes = claims(&lab).await;
    // Former configurations may stay while something could still mount them.
    let present = || async {
        let mut objects = objects(&lab).await;
        objects.retain(|name, _| !name.contains("-conf-"));
        objects
    };
    let original = present().await;
    for (field, patch) in fields() {
        let mut spec = basic("2.1.7");
        merge(&mut spec, &patch);
        lab.apply(&cluster("demo", spec)).await.unwrap_or_else(|error| panic!("{field}: {error}"));
        let is_there = || async { if present().await == original { Err("nothing changed".to_owned()) } else { Ok(()) } };
        lab.eventually(&format!("{field} changes something"), SOON, is_there).await;
        lab.apply(&cluster("demo", basic("2.1.7"))).await.expect("the spec is accepted");
        let is_gone = || async {
            let now = present().await;
            let differs = |name: &&String| now.get(*name) != original.get(*name);
            match now.keys().chain(original.keys()).find(differs) {
                None => Ok(()),
                Some(name) => Err(format!(
                    "{name}:\n{:#}\ninstead of\n{:#}",
                    now.get(name).unwrap_or(&Value::Null),
                    original.get(name).unwrap_or(&Value::Null)
                )),
            }
        };
        lab.eventually(&format!("{field} leaves no trace"), SOON, is_gone).await;
    }
    assert_eq!(claims(&lab).await, volumes, "no volume went");
}

#[tokio::test(start_paused = true)]
async fn former_configurations_go_when_nothing_can_mount_them() {
    const CHANGES: usize = 13;
    let lab = Lab::new(Settings::default()).await;
    let _controller = lab.start_controller();
    let mut spec = basic("2.1.7");
    lab.apply(&cluster("demo", spec.clone())).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    let mut made = configurations(&lab).await;
    for change in 0..CHANGES {
        spec["be"]["config"] = json!({"tablet_map_shard_size": (300 + change).to_string()});
        lab.apply(&cluster("demo", spec.clone())).await.expect("the spec is accepted");
        let is_made = || async { if configurations(&lab).await.is_subset(&made) { Err("no new one".to_owned()) } else { Ok(()) } };
        lab.eventually("a new configuration", SOON, is_made).await;
        made.extend(configurations(&lab).await);
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    assert_eq!(made.len(), CHANGES + 1, "{made:?}");
    let left = configurations(&lab).await;
    // A set keeps ten former templates: what those name stays, for a way back.
    assert!(left.len() < made.len() && left.len() > 10, "{} of {}: {left:?}", left.len(), made.len());
    let mut mounted = String::new();
    let ours = ListParams::default().labels("doris-operator.dev/cluster=demo");
    for revision in lab.api::<ControllerRevision>().list(&ours).await.expect("revisions are listed") {
        mounted += &serde_json::to_string(&revision.data).expect("JSON");
    }
    for pod in lab.api::<Pod>().list(&ours).await.expect("pods are listed") {
        mounted += &serde_json::to_string(&pod.spec).expect("JSON");
    }
    for name in made.difference(&left) {
        assert!(!mounted.contains(name.as_str()), "{name} is mounted by something");
    }
}

async fn configurations(lab: &Lab) -> BTreeSet<String> {
    let list = lab.api::<ConfigMap>().list(&ListParams::default()).await.expect("ConfigMaps are listed");
    list.iter().map(kube::ResourceExt::name_any).filter(|name| name.starts_with("demo-be-conf-")).collect()
}
