//! Kustomize's folders give the same objects as the chart.

use scenarios::delivery::{Objects, difference};
use serde_json::Value;

use crate::harness::{OPERATOR, RELEASE, kubectl, offline, template};

/// An overlay, and the values that say the same.
const OVERLAYS: [(&str, &[&str]); 3] = [
    ("default", &[]),
    ("namespaced", &["--set", "crds.enabled=false,global.watch.namespaces={team-a}"]),
    (
        "development",
        &[
            "--set",
            "cluster-controller.replicas=1,cluster-controller.image.tag=dev,global.log.format=text",
            "--set",
            r"global.log.filter=info\,cluster_controller=debug",
        ],
    ),
];

#[test]
fn every_overlay_has_the_objects_of_the_chart() {
    offline(async |helms| {
        for (overlay, values) in OVERLAYS {
            let folder = format!("deploy/kustomize/overlays/{overlay}");
            let mut kustomized = Objects::read(&kubectl().run(&["kustomize", &folder]).await.expect("objects"));
            // Helm makes it by itself where it is asked to.
            kustomized.0.remove(&format!("Namespace /{RELEASE}"));
            let arguments = [&["--kube-version", "1.36"], values].concat();
            let rendered = template(&helms.four, RELEASE, OPERATOR, &arguments).await.without_helm();
            assert_eq!(kustomized.names(), rendered.names(), "{overlay}");
            for (name, object) in rendered.0 {
                let (one, other) = (in_order(object), in_order(kustomized.0[&name].clone()));
                assert_eq!(difference(&name, &one, &other), None, "{overlay}");
            }
        }
    });
}

/// Variables by their names: a patch of Kustomize's puts its own first.
fn in_order(mut object: Value) -> Value {
    if let Some(variables) = object.pointer_mut("/spec/template/spec/containers/0/env").and_then(Value::as_array_mut) {
        variables.sort_by_key(|variable| variable["name"].as_str().unwrap_or_default().to_owned());
    }
    object
}
