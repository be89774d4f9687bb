//! A real server takes everything that is delivered, strictly read and without a warning.

use doris_api::crd::crds;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::runtime::conditions::is_crd_established;
use kube::runtime::wait::await_condition;
use kube::{Api, ResourceExt as _};
use scenarios::delivery::{Command, Objects, root};
use scenarios::docs;
use serde_json::{Value, json};

use crate::harness::{CLUSTER, able_chart, foreign_kinds, run};

/// A namespace that takes no pod which the strictest standard forbids.
const NAMESPACE: &str = "dry-run";

#[test]
fn a_real_server_takes_every_manifest_and_every_example() {
    run(async |stand, helms, kubectl| {
        let minor = minor(stand.control_plane.version());
        let folder = stand.directory().join(NAMESPACE);
        std::fs::create_dir_all(&folder).expect("a folder");
        let bare = |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let mut restricted = bare(NAMESPACE);
        restricted["metadata"]["labels"] = json!({"pod-security.kubernetes.io/enforce": "restricted"});
        let settings = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "argocd-cm", "namespace": "argocd"}});
        let namespaces = json!({"apiVersion": "v1", "kind": "List", "items": [
            restricted, bare("dry-run-watched"), bare("argocd"), bare("flux-system"), settings,
        ]});
        let write = |name: &str, text: &str| {
            let file = folder.join(name);
            std::fs::write(&file, text).expect("written");
            file.display().to_string()
        };
        kubectl.run(&["apply", "--server-side", "-f", &write("namespaces.json", &namespaces.to_string())]).await.expect("namespaces");
        let version = format!("1.{minor}");
        let render = async |values: &str| {
            let call = ["template", "dry", &able_chart(), "-n", NAMESPACE, "--kube-version", &version, "--set", values];
            helms.four.run(&call).await.expect("rendered")
        };

        let mut tried = 0;
        let definitions = render("cluster-controller.enabled=false,userRoles.enabled=false").await;
        let definitions = write("definitions.yaml", &definitions);
        tried += dry_run(&kubectl, &definitions).await;
        // From here on they are there, as the examples need them.
        kubectl.run(&["apply", "--server-side", "--force-conflicts", "-f", &definitions]).await.expect("applied");
        for definition in crds(minor).expect("definitions") {
            let all: Api<CustomResourceDefinition> = Api::all(stand.client.clone());
            await_condition(all, &definition.name_any(), is_crd_established()).await.expect("served");
        }
        for (index, values) in [
            "global.clusterDomain=cluster.local",
            "global.watch.namespaces={dry-run-watched}",
            "global.watch.namespaceSelector=team",
            "cluster-controller.resources.limits.cpu=2,global.image.pullSecrets={registry}",
        ]
        .into_iter()
        .enumerate()
        {
            let rendered = render(values).await;
            tried += dry_run(&kubectl, &write(&format!("operator-{index}.yaml"), &rendered)).await;
            for deployment in Objects::read(&rendered).of_kind("Deployment") {
                tried += dry_run(&kubectl, &write(&format!("pod-{index}.json"), &pod_of(deployment).to_string())).await;
            }
        }
        let foreign = foreign_kinds();
        for definition in foreign.iter().flatten() {
            kubectl.run(&["create", "-f", &definition.display().to_string()]).await.expect("created");
        }
        if foreign.is_some() {
            kubectl.run(&["wait", "crd", "--all", "--for=condition=Established", "--timeout=60s"]).await.expect("served");
        }
        let everything = write("everything.json", &everything(foreign.is_some()).to_string());
        let call = ["template", "dry", &able_chart(), "-n", NAMESPACE, "--kube-version", &version, "--values", &everything];
        let rendered = helms.four.run(&call).await.expect("rendered");
        tried += dry_run(&kubectl, &write("operator-everything.yaml", &rendered)).await;
        let least = "spec.version=2.1.7,spec.fe.replicas=1,spec.fe.storage.size=20Gi";
        let cluster = helms.four.run(&["template", "demo", CLUSTER, "-n", NAMESPACE, "--set", least]).await.expect("rendered");
        tried += dry_run(&kubectl, &write("cluster.yaml", &cluster)).await;
        let files = |folder: &str| std::fs::read_dir(root().join(folder)).expect("examples");
        let mut folders = vec!["deploy/examples", "deploy/gitops/argocd/production"];
        if foreign.is_some() {
            folders.extend(["deploy/gitops/argocd", "deploy/gitops/argocd/apps", "deploy/gitops/flux"]);
        }
        let mut examples: Vec<_> = folders.into_iter().flat_map(files).map(|file| file.expect("a file").path()).collect();
        examples.retain(|file| file.is_file());
        examples.sort();
        for example in examples {
            tried += dry_run(&kubectl, &example.display().to_string()).await;
        }
        let patch = "deploy/gitops/argocd/argocd-cm.yaml";
        let call = ["-n", "argocd", "patch", "configmap", "argocd-cm", "--type=merge", "--dry-run=server", "--patch-file", patch];
        kubectl.run_without_warning(&call).await.expect("patched");
        for block in docs::all() {
            let object = match block.kind {
                docs::Kind::Objects => block.text.clone(),
                docs::Kind::Spec => docs::cluster_with(&block.text).expect(&block.place).to_string(),
                _ => continue,
            };
            println!("{}", block.place);
            tried += dry_run(&kubectl, &write("of-the-book.yaml", &object)).await;
        }
        // Whoever installs next finds nothing.
        kubectl.run(&["delete", "-f", &definitions, "--timeout=120s"]).await.expect("deleted");
        for definition in foreign.iter().flatten() {
            kubectl.run(&["delete", "-f", &definition.display().to_string(), "--wait=false"]).await.expect("deleted");
        }
        println!("1.{minor} takes {tried} objects");
        assert!(tried > 50, "{tried}");
    });
}

/// How many objects of a file the server takes.
async fn dry_run(kubectl: &Command, file: &str) -> usize {
    let call =
        ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-n", NAMESPACE, "-o", "name", "-f", file];
    // Objects that name a namespace of their own keep it.
    let call: Vec<&str> = if file.contains("operator-") || file.contains("gitops") && !file.contains("production/") {
        call.iter().copied().filter(|word| !["-n", NAMESPACE].contains(word)).collect()
    } else {
        call.to_vec()
    };
    match kubectl.run_without_warning(&call).await {
        Ok(said) => said.lines().count(),
        Err(refused) => panic!("{refused}"),
    }
}

/// The pod that a Deployment makes, with the account that is there: whether a pod is allowed is decided when it is made.
fn pod_of(deployment: &Value) -> Value {
    let mut spec = deployment["spec"]["template"]["spec"].clone();
    spec["serviceAccountName"] = "default".into();
    let metadata =
        json!({"name": "as-by-the-deployment", "namespace": NAMESPACE, "labels": deployment["spec"]["template"]["metadata"]["labels"]});
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
}

fn minor(version: &str) -> u32 {
    version.split('.').nth(1).and_then(|minor| minor.parse().ok()).expect("a version")
}

/// A value of one's own wherever the chart has one; with those that need the Prometheus operator where its kinds are known.
fn everything(has_monitors: bool) -> Value {
    let selector = json!({"matchLabels": {"a": "b"}});
    json!({
        "global": {
            "fullnameOverride": "ours",
            "image": {"registry": "registry.example.com:5000/team", "tag": "2", "pullPolicy": "Always", "pullSecrets": ["one", "two"]},
            "watch": {"namespaceSelector": "team in (a, b),!old", "teamsBind": true, "denyNamespaces": ["kube-system"]},
            "installation": "green",
            "clusterDomain": "example.local",
            "log": {"format": "text", "filter": "info,kube=debug"},
            "tracing": {"endpoint": "http://collector.tracing:4317"},
        },
        "crds": {"keep": false},
        "cluster-controller": {
            "replicas": 3,
            "image": {"repository": "other/name", "digest": format!("sha256:{}", "0123456789abcdef".repeat(4)), "pullPolicy": "Never"},
            "sharded": true,
            "concurrency": 64,
            "leaseSeconds": 15,
            "listenAddress": "[::]:8080",
            "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "2Gi"}},
            "nodeSelector": {"disk": "ssd"},
            "tolerations": [{"key": "dedicated", "operator": "Exists"}],
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["one"]}]}],
            }}},
            "topologySpreadConstraints": [
                {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": selector},
            ],
            "priorityClassName": "high",
            "podSecurityContext": {"fsGroup": 1000, "runAsUser": 1000},
            "serviceAccount": {"name": "account", "annotations": {"example.com/role": "x"}},
            "serviceMonitor": {"enabled": has_monitors, "interval": "15s", "labels": {"team": "ops"}},
            "networkPolicy": {"metricsFrom": [{"namespaceSelector": selector}, {"podSelector": selector}]},
            "terminationGracePeriodSeconds": 90,
            "annotations": {"a": "b"},
            "podAnnotations": {"a": "b"},
            "podLabels": {"a": "b"},
            "extraEnv": [{"name": "A", "value": "b"}, {"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
            "extraArgs": ["--reconcile-seconds", "60"],
        },
    })
}
