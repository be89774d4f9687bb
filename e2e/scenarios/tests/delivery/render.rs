//! What the charts render, by Helm 3 and by Helm 4.

use doris_api::crd::{CURRENT_MINOR, crds};
use scenarios::delivery::{controllers, difference, root};
use serde_json::Value;

use crate::harness::{CLUSTER, OPERATOR, RELEASE, able_chart, offline, template};

const LEAST: &str = "spec.version=2.1.7,spec.fe.replicas=1,spec.fe.storage.size=20Gi";
/// Where clusters are looked after, and the values that say it.
const SCOPES: [(&str, &str); 5] = [
    ("everywhere", "global.clusterDomain=cluster.local"),
    ("but there", "global.watch.denyNamespaces={kube-system,default}"),
    ("there alone", "global.watch.namespaces={team-a,team-b}"),
    ("where the labels say", r"global.watch.namespaceSelector=team=analytics\,stage in (test\, prod)"),
    ("where the labels say and a team binds", "global.watch.namespaceSelector=team=analytics,global.watch.teamsBind=true"),
];

#[test]
fn both_charts_are_without_a_fault_for_the_linters() {
    offline(async |helms| {
        for helm in [&helms.three, &helms.four] {
            helm.run(&["lint", "--strict", OPERATOR]).await.expect("no complaint");
            helm.run(&["lint", "--strict", CLUSTER, "--set", LEAST]).await.expect("no complaint");
        }
    });
}

#[test]
fn every_combination_of_controllers_and_scopes_renders_alike_in_both() {
    offline(async |helms| {
        let controllers = controllers();
        for chosen in 0..1_u32 << controllers.len() {
            let is_chosen = |index: usize| chosen & (1 << index) != 0;
            let switches: Vec<String> =
                controllers.iter().enumerate().map(|(index, name)| format!("{name}.enabled={}", is_chosen(index))).collect();
            let switches = switches.join(",");
            for (scope, values) in SCOPES {
                let arguments = ["--kube-version", "1.36", "--set", "crds.enabled=false", "--set", &switches, "--set", values];
                let three = template(&helms.three, RELEASE, &able_chart(), &arguments).await;
                let four = template(&helms.four, RELEASE, &able_chart(), &arguments).await;
                assert_eq!(three, four, "{switches} {scope}");
                for (index, name) in controllers.iter().enumerate() {
                    let title = format!("Deployment {RELEASE}/{RELEASE}-{name}");
                    assert_eq!(three.0.contains_key(&title), is_chosen(index), "{title}: {switches} {scope}");
                }
                let is_listed = scope == "there alone";
                assert_eq!(three.cluster_wide().is_empty(), is_listed, "{scope}: {:?}", three.cluster_wide());
                let sees_namespaces = three.of_kind("ClusterRole").any(|role| role["rules"].to_string().contains("namespaces"));
                assert_eq!(sees_namespaces, scope.starts_with("where the labels say") && chosen > 0, "{scope}");
                for name in controllers.iter().enumerate().filter(|(index, _)| is_chosen(*index)).map(|(_, name)| name) {
                    let is_meant = |binding: &Value| binding["metadata"]["name"] == format!("{RELEASE}-{name}");
                    let is_bound = three.of_kind("ClusterRoleBinding").any(is_meant);
                    assert_eq!(is_bound, !is_listed && !scope.ends_with("a team binds"), "{scope}");
                }
            }
        }
    });
}

#[test]
fn a_scope_is_told_to_the_controller() {
    offline(async |helms| {
        for ((_, values), (name, expected)) in SCOPES[1..].iter().zip([
            ("DENY_NAMESPACES", "kube-system,default"),
            ("WATCH_NAMESPACES", "team-a,team-b"),
            ("WATCH_NAMESPACE_SELECTOR", "team=analytics,stage in (test, prod)"),
        ]) {
            let objects = template(&helms.four, RELEASE, &able_chart(), &["--set", "crds.enabled=false", "--set", values]).await;
            let deployment = objects.of_kind("Deployment").next().expect("a Deployment");
            assert_eq!(variable(deployment, name), Some(expected), "{values}");
        }
    });
}

fn variable<'a>(deployment: &'a Value, name: &str) -> Option<&'a str> {
    let variables = deployment.pointer("/spec/template/spec/containers/0/env")?.as_array()?;
    variables.iter().find(|variable| variable["name"] == name)?["value"].as_str()
}

#[test]
fn each_server_gets_the_definitions_that_are_made_for_it() {
    offline(async |helms| {
        for minor in [16, 24, 25, 27, 28, 30, 31, 33, 34, CURRENT_MINOR] {
            let version = format!("1.{minor}");
            let arguments = ["--kube-version", &version, "--show-only", "templates/crds.yaml"];
            let helm = if minor.is_multiple_of(2) { &helms.four } else { &helms.three };
            let rendered = template(helm, RELEASE, OPERATOR, &arguments).await;
            assert_eq!(rendered.0.len(), 2, "{:?}", rendered.names());
            for definition in crds(minor).expect("definitions") {
                let wanted = serde_json::to_value(definition).expect("JSON");
                let name = format!("CustomResourceDefinition /{}", wanted["metadata"]["name"].as_str().unwrap_or_default());
                let is = rendered.0.get(&name).unwrap_or_else(|| panic!("{name} is missing: {:?}", rendered.names()));
                assert_eq!(difference("spec", &is["spec"], &wanted["spec"]), None, "{name} on 1.{minor}");
                assert_eq!(is["metadata"]["annotations"]["helm.sh/resource-policy"], "keep", "{name}");
            }
        }
    });
}

#[test]
fn a_cluster_and_its_initializers_are_what_the_values_say() {
    offline(async |helms| {
        let values = root().join("deploy/examples/basic.yaml");
        let example: Value = serde_saphyr::from_str(&std::fs::read_to_string(values).expect("the example")).expect("YAML");
        let file = tempfile::NamedTempFile::new().expect("a file");
        let values = serde_json::json!({
            "spec": example["spec"],
            "initializers": {"shop": {"sql": [{"text": "CREATE DATABASE shop"}]}},
            "extraObjects": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-conf"}}],
        });
        std::fs::write(file.path(), values.to_string()).expect("values");
        let path = file.path().display().to_string();
        for helm in [&helms.three, &helms.four] {
            let objects = template(helm, "demo", CLUSTER, &["--values", &path]).await;
            let name = format!("DorisCluster {RELEASE}/demo");
            assert_eq!(objects.0.get(&name).map(|cluster| &cluster["spec"]), Some(&example["spec"]));
            let name = format!("DorisInitializer {RELEASE}/shop");
            assert_eq!(objects.0.get(&name).map(|initializer| &initializer["spec"]["clusterRef"]["name"]), Some(&"demo".into()));
            assert!(objects.0.contains_key("ConfigMap /demo-conf"), "{:?}", objects.names());
        }
    });
}

/// What every entry of the list has to bring along.
#[test]
fn every_controller_comes_with_chart_roles_kustomize_image_and_a_page() {
    let read = |file: &str| std::fs::read_to_string(root().join(file)).expect("a file");
    let (dockerfile, page) = (read("deploy/docker/Dockerfile"), read("docs/src/images.md"));
    for name in controllers() {
        for file in [
            format!("helm/doris-operator/charts/{name}/values.yaml"),
            format!("helm/doris-operator/charts/{name}/values.schema.json"),
            format!("deploy/rbac/{name}/own.yaml"),
            format!("deploy/rbac/{name}/watched.yaml"),
            format!("deploy/kustomize/components/{name}/kustomization.yaml"),
        ] {
            assert!(root().join(&file).is_file(), "{file} is missing");
        }
        assert!(dockerfile.contains(&format!(" AS {name}\n")), "the Dockerfile has no target {name}");
        assert!(page.contains(&format!("| `{name}` |")), "the page about images has no line about {name}");
    }
}

#[test]
fn whatever_a_tool_is_sent_to_from_git_is_there() {
    let mut tried = 0;
    for folder in ["argocd", "argocd/apps", "flux"] {
        for file in std::fs::read_dir(root().join("deploy/gitops").join(folder)).expect("a folder") {
            let file = file.expect("a file").path();
            if !file.is_file() {
                continue;
            }
            let text = std::fs::read_to_string(&file).expect("text");
            let document: Value = serde_saphyr::from_str(&text).expect("YAML");
            for pointer in ["/spec/source/path", "/spec/path", "/spec/chart/spec/chart"] {
                if let Some(path) = document.pointer(pointer).and_then(Value::as_str) {
                    assert!(root().join(path).is_dir(), "{}: no {path}", file.display());
                    tried += 1;
                }
            }
        }
    }
    assert_eq!(tried, 5);
}

#[test]
fn metrics_are_offered_to_the_prometheus_operator_where_that_is_asked_for() {
    offline(async |helms| {
        let values = "crds.enabled=false,cluster-controller.serviceMonitor.enabled=true,cluster-controller.serviceMonitor.labels.team=ops";
        let objects = template(&helms.four, RELEASE, OPERATOR, &["--set", values]).await;
        let monitor = objects.of_kind("ServiceMonitor").next().expect("a ServiceMonitor");
        assert_eq!(monitor["metadata"]["labels"]["team"], "ops");
        let service = objects.of_kind("Service").next().expect("a Service");
        assert_eq!(monitor["spec"]["selector"]["matchLabels"], service["spec"]["selector"]);
        assert_eq!(monitor["spec"]["endpoints"][0]["port"], service["spec"]["ports"][0]["name"]);
    });
}
