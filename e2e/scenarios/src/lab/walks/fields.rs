//! Values that fields of the spec can have, as merge patches: one is drawn, whatever was there before.

use serde_json::{Value, json};

/// What a component's settings can become in a cluster of that version. The patches are put under the component's name.
pub(super) fn of_member(component: &str, version: &str) -> Vec<Value> {
    let mut all = vec![
        json!({"labels": {"example.com/round": "1"}}),
        json!({"labels": {"example.com/round": "2"}}),
        json!({"labels": null}),
        json!({"annotations": {"example.com/owner": "data"}}),
        json!({"annotations": null}),
        json!({"env": [{"name": "ROUND", "value": "1"}, {"name": "TZ", "value": "UTC"}]}),
        json!({"env": [{"name": "TZ", "value": "UTC"}]}),
        json!({"env": null}),
        json!({"resources": {"limits": {"memory": "4Gi"}}}),
        json!({"resources": {"limits": {"memory": "6Gi"}, "requests": {"cpu": "1"}}}),
        json!({"resources": null}),
        json!({"nodeSelector": {"kubernetes.io/os": "linux"}}),
        json!({"nodeSelector": null}),
        json!({"affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}}}),
        json!({"affinity": null}),
        json!({"tolerations": [{"key": "doris", "operator": "Exists"}]}),
        json!({"tolerations": null}),
        json!({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}]}),
        json!({"topologySpreadConstraints": null}),
        json!({"priorityClassName": "system-cluster-critical"}),
        json!({"priorityClassName": null}),
        json!({"serviceAccountName": "default"}),
        json!({"serviceAccountName": null}),
        json!({"hostAliases": [{"ip": "10.0.0.9", "hostnames": ["nn1"]}]}),
        json!({"hostAliases": null}),
        json!({"volumes": [{"name": "tmp", "emptyDir": {}}], "volumeMounts": [{"name": "tmp", "mountPath": "/scratch"}]}),
        json!({"volumes": null, "volumeMounts": null}),
        json!({"sidecars": [{"name": "helper", "image": "busybox"}]}),
        json!({"sidecars": null}),
        json!({"initContainers": [{"name": "first", "image": "busybox"}]}),
        json!({"initContainers": null}),
        json!({"probes": {"readiness": {"periodSeconds": 4}}}),
        json!({"probes": null}),
        json!({"terminationGracePeriodSeconds": 40}),
        json!({"terminationGracePeriodSeconds": null}),
        json!({"podTemplate": {"spec": {"dnsPolicy": "Default"}}}),
        json!({"podTemplate": null}),
        json!({"configFiles": {"name": super::MORE_FILES}}),
        json!({"configFiles": null}),
        service(json!({"annotations": {"example.com/lb": "internal"}})),
        service(json!({"type": "NodePort"})),
        service(json!({"type": "LoadBalancer", "sourceRanges": ["10.0.0.0/8"], "externalTrafficPolicy": "Local"})),
        service(json!({})),
    ];
    if component == "fe" {
        all.push(service(json!({"type": "NodePort", "nodePorts": [{"name": "query", "port": 30930}]})));
    }
    if let Some(image) = [("cn", "be"), ("broker", "broker")].into_iter().find_map(|(of, image)| (of == component).then_some(image)) {
        all.push(json!({"image": format!("mirror.example.org/doris:{image}-{version}")}));
        all.push(json!({"image": null}));
    }
    if component == "broker" {
        all.push(json!({"config": {"client_expire_seconds": "300"}}));
        all.push(json!({"config": {"client_expire_seconds": "600", "JAVA_OPTS": "-Xmx512m"}}));
        all.push(json!({"config": null}));
    }
    if ["be", "cn"].contains(&component) {
        all.push(json!({"tags": {"location": "group_a"}}));
        all.push(json!({"tags": null}));
        all.push(json!({"nodeTuning": "Prepared"}));
    }
    all
}

/// Settings of a Service: what is not said is as if it never was.
#[allow(clippy::needless_pass_by_value, reason = "callers make it in place")]
fn service(settings: Value) -> Value {
    let mut all = json!({
        "type": null, "annotations": null, "nodePorts": null, "loadBalancerClass": null, "externalTrafficPolicy": null, "sourceRanges": null,
    });
    if let (Some(all), Some(settings)) = (all.as_object_mut(), settings.as_object()) {
        all.extend(settings.clone());
    }
    json!({"service": all})
}

/// What the rest of the spec can become.
pub(super) fn of_cluster() -> Vec<Value> {
    vec![
        json!({"image": {"repository": "mirror.example.org/doris"}}),
        json!({"image": {"repository": null}}),
        json!({"image": {"pullPolicy": "Always"}}),
        json!({"image": {"pullSecrets": [{"name": "registry"}]}}),
        json!({"image": {"pullPolicy": null, "pullSecrets": null}}),
        json!({"hadoop": {"hosts": [{"ip": "10.0.0.8", "hostnames": ["nn2"]}]}}),
        json!({"hadoop": {"config": {"name": super::MORE_FILES}}}),
        json!({"hadoop": null}),
        json!({"kerberos": {"krb5": {"name": super::KRB5}, "keytab": {"name": super::KEYTABS}}}),
        json!({"kerberos": {"krb5": {"name": super::KRB5}, "keytab": {"name": super::KEYTABS}, "keytabPath": "/etc/keys"}}),
        json!({"kerberos": null}),
        json!({"scaleIn": {"volumes": "Delete"}}),
        json!({"scaleIn": {"volumes": "Retain", "timeoutSeconds": 7200}}),
        json!({"failover": {"mode": "Observe", "nodeTolerationSeconds": 120}}),
        json!({"failover": {"frontendFailureSeconds": 20, "backendFailureSeconds": 20, "replacementSeconds": 600}}),
        json!({"failover": null}),
        json!({"networkPolicy": {"enabled": false}}),
        json!({"networkPolicy": {"enabled": true, "clients": [{"podSelector": {"matchLabels": {"app": "bi"}}}]}}),
        json!({"networkPolicy": {"internal": [{"namespaceSelector": {}}]}}),
        json!({"networkPolicy": null}),
        json!({"podDisruptionBudget": {"enabled": false}}),
        json!({"podDisruptionBudget": {"enabled": true, "backendsAway": 0, "computeNodesAway": 2}}),
        json!({"podDisruptionBudget": null}),
        json!({"podSecurity": {"level": "Restricted", "runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 1000}, "be": {"nodeTuning": "Prepared"}}),
        json!({"podSecurity": null}),
        json!({"podSecurity": null, "be": {"nodeTuning": "InitContainer"}}),
        json!({"update": {"strategy": "OnDelete"}}),
        json!({"update": {"strategy": "Rolling"}}),
        json!({"update": {"paused": true}}),
        json!({"update": {"paused": false}}),
        json!({"update": {"partition": 1}}),
        json!({"update": {"partition": 0}}),
        json!({"update": {"unavailableTables": "Refuse"}}),
        json!({"update": {"unavailableTables": "Allow"}}),
        json!({"update": {"timeouts": {"drainSeconds": 2}}}),
    ]
}

/// What the API server refuses, by rules of the definition: the spec stays as it is.
pub(super) fn refused(spec: &Value) -> Vec<Value> {
    let mut smaller = spec["be"]["storage"].clone();
    smaller[0]["size"] = json!("1Gi");
    let mut renamed = spec["be"]["storage"].clone();
    renamed[0]["name"] = json!("other");
    let mut other_medium = spec["be"]["storage"].clone();
    other_medium[0]["medium"] = json!("HDD");
    let mut all = vec![
        json!({"be": {"storage": smaller}}),
        json!({"be": {"storage": renamed}}),
        json!({"be": {"storage": other_medium}}),
        json!({"be": null}),
        json!({"fe": {"replicas": 2}}),
        json!({"fe": {"storage": {"size": "1Gi"}}}),
        json!({"fe": {"storage": {"storageClassName": "other"}}}),
        json!({"clusterDomain": "other.local"}),
        json!({"version": "1.2.4"}),
    ];
    if spec.get("broker").is_some() {
        all.push(json!({"broker": {"name": "other"}}));
    }
    all
}
