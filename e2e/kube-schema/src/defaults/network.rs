//! Services and policies.
use serde_json::{Value, json};

use crate::Kind;
use crate::value::{at, child, list, list_mut, set_default, text};

pub(super) fn service(kind: &Kind, object: &mut Value) {
    let knows = |field: &str| kind.schema.property("spec").is_some_and(|s| s.property(field).is_some());
    let Some(spec) = child(object, "spec") else { return };
    set_default(spec, "sessionAffinity", "None");
    set_default(spec, "type", "ClusterIP");
    let class = text(spec, "type").to_owned();
    if text(spec, "sessionAffinity") == "ClientIP" {
        set_default(spec, "sessionAffinityConfig", json!({"clientIP": {"timeoutSeconds": 10800}}));
    }
    for port in list_mut(spec, "ports") {
        set_default(port, "protocol", "TCP");
        let number = port.get("port").cloned().unwrap_or_default();
        let target = port.get("targetPort");
        if target.is_none_or(|t| t.is_null() || *t == json!(0) || *t == json!(""))
            && let Some(port) = port.as_object_mut()
        {
            port.insert("targetPort".to_owned(), number);
        }
    }
    let external = matches!(class.as_str(), "NodePort" | "LoadBalancer");
    if external {
        set_default(spec, "externalTrafficPolicy", "Cluster");
    } else if list(spec, "externalIPs").is_empty() {
        drop_key(spec, "externalTrafficPolicy");
    }
    if class != "ExternalName" && knows("internalTrafficPolicy") {
        set_default(spec, "internalTrafficPolicy", "Cluster");
    }
    if class == "LoadBalancer" && knows("allocateLoadBalancerNodePorts") {
        set_default(spec, "allocateLoadBalancerNodePorts", true);
    } else if class != "LoadBalancer" {
        drop_key(spec, "allocateLoadBalancerNodePorts");
    }
    if class != "ExternalName" && knows("ipFamilies") {
        set_default(spec, "ipFamilies", json!(["IPv4"]));
        set_default(spec, "ipFamilyPolicy", "SingleStack");
        let ip = text(spec, "clusterIP").to_owned();
        if !ip.is_empty() {
            set_default(spec, "clusterIPs", json!([ip]));
        } else if let Some(first) = list(spec, "clusterIPs").first().cloned() {
            set_default(spec, "clusterIP", first);
        }
    }
}

fn drop_key(value: &mut Value, key: &str) {
    if let Some(map) = value.as_object_mut() {
        map.shift_remove(key);
    }
}

pub(super) fn network_policy(_: &Kind, object: &mut Value) {
    let Some(spec) = child(object, "spec") else { return };
    for direction in ["ingress", "egress"] {
        for rule in list_mut(spec, direction) {
            for port in list_mut(rule, "ports") {
                set_default(port, "protocol", "TCP");
            }
        }
    }
    let egress = at(spec, "egress").is_some_and(|e| !e.is_null());
    let types = if egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
    if list(spec, "policyTypes").is_empty() {
        drop_key(spec, "policyTypes");
        set_default(spec, "policyTypes", types);
    }
}

pub(super) fn ingress(_: &Kind, object: &mut Value) {
    for rule in list_mut(object, "spec.rules") {
        for path in list_mut(rule, "http.paths") {
            set_default(path, "pathType", "ImplementationSpecific");
        }
    }
}

pub(super) fn endpoints(_: &Kind, object: &mut Value) {
    for subset in list_mut(object, "subsets") {
        for port in list_mut(subset, "ports") {
            set_default(port, "protocol", "TCP");
        }
    }
}

pub(super) fn endpoint_slice(_: &Kind, object: &mut Value) {
    for port in list_mut(object, "ports") {
        set_default(port, "name", "");
        set_default(port, "protocol", "TCP");
    }
}
