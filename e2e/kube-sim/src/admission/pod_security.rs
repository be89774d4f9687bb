//! Pod Security admission: the levels `baseline` and `restricted` by namespace label.

use serde_json::Value;

use super::Operation;
use crate::call::Call;
use crate::cluster::Cluster;
use crate::registry::Resource;
use crate::status::ApiStatus;
use crate::store::text;

/// Refuses pods below the enforced level; warns of workloads that would make such pods.
pub fn check(cluster: &Cluster, call: &mut Call, resource: &Resource, operation: &Operation, object: &Value) -> Result<(), ApiStatus> {
    if cluster.minor < 23 || !resource.namespaced {
        return Ok(());
    }
    let Some(pod) = pod_of(resource, object) else { return Ok(()) };
    let Some(namespace) = cluster.core("namespaces", "", text(object, "namespace")) else { return Ok(()) };
    let labels = &namespace["metadata"]["labels"];
    let label = |mode: &str| labels[format!("pod-security.kubernetes.io/{mode}")].as_str();
    let version = |mode: &str| labels[format!("pod-security.kubernetes.io/{mode}-version")].as_str().unwrap_or("latest");
    if resource.is_core("pods")
        && let Some(level) = label("enforce")
    {
        let unchanged = matches!(operation, Operation::Update { live, .. } if live["spec"] == object["spec"]);
        let problems = problems(level, pod);
        if !problems.is_empty() && !unchanged {
            let text = format!("violates PodSecurity \"{level}:{}\": {}", version("enforce"), problems.join(", "));
            return Err(ApiStatus::forbidden(resource, text_name(object), &text));
        }
    }
    let (mode, level) = match (label("warn"), label("enforce")) {
        (Some(level), _) => ("warn", level),
        (None, Some(level)) => ("enforce", level),
        (None, None) => return Ok(()),
    };
    let problems = problems(level, pod);
    if !problems.is_empty() {
        call.warnings.push(format!("would violate PodSecurity \"{level}:{}\": {}", version(mode), problems.join(", ")));
    }
    Ok(())
}

fn text_name(object: &Value) -> &str {
    text(object, "name")
}

/// The pod's specification in an object that is a pod or makes pods.
fn pod_of<'a>(resource: &Resource, object: &'a Value) -> Option<&'a Value> {
    match (&*resource.group, &*resource.plural) {
        ("", "pods") => Some(&object["spec"]),
        ("", "podtemplates") => Some(&object["template"]["spec"]),
        ("", "replicationcontrollers") | ("apps", "deployments" | "replicasets" | "statefulsets" | "daemonsets") | ("batch", "jobs") => {
            Some(&object["spec"]["template"]["spec"])
        }
        ("batch", "cronjobs") => Some(&object["spec"]["jobTemplate"]["spec"]["template"]["spec"]),
        _ => None,
    }
}

fn problems(level: &str, pod: &Value) -> Vec<String> {
    match level {
        "baseline" => baseline(pod),
        "restricted" => {
            let mut found = baseline(pod);
            // Restricted says more about these two than baseline does.
            found.retain(|problem| !problem.starts_with("non-default capabilities") && !problem.starts_with("seccompProfile"));
            found.extend(restricted(pod));
            found
        }
        _ => Vec::new(),
    }
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    let lists = ["initContainers", "containers", "ephemeralContainers"];
    lists.into_iter().flat_map(|list| pod[list].as_array().into_iter().flatten())
}

fn name(container: &Value) -> &str {
    container["name"].as_str().unwrap_or_default()
}

/// `container "a"` or `containers "a", "b"`.
fn named(bad: &[&str]) -> String {
    let list = bad.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    format!("{} {list}", if bad.len() == 1 { "container" } else { "containers" })
}

fn bad_containers(pod: &Value, is_bad: impl Fn(&Value) -> bool) -> Vec<&str> {
    containers(pod).filter(|container| is_bad(&container["securityContext"])).map(name).collect()
}

fn baseline(pod: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let shared: Vec<String> =
        ["hostNetwork", "hostPID", "hostIPC"].iter().filter(|field| pod[**field] == true).map(|field| format!("{field}=true")).collect();
    if !shared.is_empty() {
        found.push(format!("host namespaces ({})", shared.join(", ")));
    }
    let privileged = bad_containers(pod, |context| context["privileged"] == true);
    if !privileged.is_empty() {
        found.push(format!("privileged ({} must not set securityContext.privileged=true)", named(&privileged)));
    }
    found.extend(capabilities(pod));
    let paths: Vec<&str> = volumes(pod).filter(|volume| volume["hostPath"].is_object()).map(name).collect();
    if !paths.is_empty() {
        let list = paths.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
        found.push(format!("hostPath volumes (volume{} {list})", if paths.len() == 1 { "" } else { "s" }));
    }
    found.extend(host_ports(pod));
    let unconfined = pod["securityContext"]["seccompProfile"]["type"] == "Unconfined";
    let containers = bad_containers(pod, |context| context["seccompProfile"]["type"] == "Unconfined");
    if unconfined || !containers.is_empty() {
        let who = if unconfined { "pod".to_owned() } else { named(&containers) };
        found.push(format!("seccompProfile ({who} must not set securityContext.seccompProfile.type to \"Unconfined\")"));
    }
    found.extend(sysctls(pod));
    found
}

fn volumes(pod: &Value) -> impl Iterator<Item = &Value> {
    pod["volumes"].as_array().into_iter().flatten()
}

fn capabilities(pod: &Value) -> Option<String> {
    const ALLOWED: [&str; 14] = [
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
        "",
    ];
    let mut added: Vec<String> = Vec::new();
    let bad = bad_containers(pod, |context| {
        let names = context["capabilities"]["add"].as_array().into_iter().flatten().filter_map(Value::as_str);
        names.filter(|name| !ALLOWED.contains(name)).count() > 0
    });
    for container in containers(pod) {
        for name in container["securityContext"]["capabilities"]["add"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let shown = format!("\"{name}\"");
            if !ALLOWED.contains(&name) && !added.contains(&shown) {
                added.push(shown);
            }
        }
    }
    added.sort();
    (!bad.is_empty()).then(|| {
        format!("non-default capabilities ({} must not include {} in securityContext.capabilities.add)", named(&bad), added.join(", "))
    })
}

fn host_ports(pod: &Value) -> Option<String> {
    let host_port = |port: &Value| port["hostPort"].as_i64().filter(|port| *port != 0);
    let mut ports = Vec::new();
    let mut bad = Vec::new();
    for container in containers(pod) {
        let own: Vec<i64> = container["ports"].as_array().into_iter().flatten().filter_map(host_port).collect();
        if !own.is_empty() {
            bad.push(name(container));
            ports.extend(own);
        }
    }
    ports.sort_unstable();
    let list = ports.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
    let word = if ports.len() == 1 { "hostPort" } else { "hostPorts" };
    (!bad.is_empty()).then(|| format!("hostPort ({} uses {word} {list})", named(&bad)))
}

fn sysctls(pod: &Value) -> Option<String> {
    const SAFE: [&str; 10] = [
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
    ];
    let listed = pod["securityContext"]["sysctls"].as_array().into_iter().flatten().map(name);
    let forbidden: Vec<&str> = listed.filter(|name| !SAFE.contains(name)).collect();
    (!forbidden.is_empty()).then(|| format!("forbidden sysctls ({})", forbidden.join(", ")))
}

fn restricted(pod: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let escalating = bad_containers(pod, |context| context["allowPrivilegeEscalation"] != false);
    if !escalating.is_empty() {
        let text = format!("({} must set securityContext.allowPrivilegeEscalation=false)", named(&escalating));
        found.push(format!("allowPrivilegeEscalation != false {text}"));
    }
    let keeping = bad_containers(pod, |context| {
        !context["capabilities"]["drop"].as_array().is_some_and(|dropped| dropped.iter().any(|name| name == "ALL"))
    });
    if !keeping.is_empty() {
        found.push(format!("unrestricted capabilities ({} must set securityContext.capabilities.drop=[\"ALL\"])", named(&keeping)));
    }
    found.extend(volume_types(pod));
    found.extend(non_root(pod));
    let pod_profile = is_confined(&pod["securityContext"]);
    let unconfined =
        bad_containers(pod, |context| if context["seccompProfile"].is_object() { !is_confined(context) } else { !pod_profile });
    if !unconfined.is_empty() {
        let who = if pod_profile { named(&unconfined) } else { format!("pod or {}", named(&unconfined)) };
        let text = format!("({who} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")");
        found.push(format!("seccompProfile {text}"));
    }
    found
}

fn is_confined(context: &Value) -> bool {
    matches!(context["seccompProfile"]["type"].as_str(), Some("RuntimeDefault" | "Localhost"))
}

fn volume_types(pod: &Value) -> Option<String> {
    const ALLOWED: [&str; 8] = ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"];
    let (mut bad, mut types) = (Vec::new(), Vec::new());
    for volume in volumes(pod) {
        let kind = volume.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).find(|key| *key != "name");
        if let Some(kind) = kind.filter(|kind| !ALLOWED.contains(kind)) {
            bad.push(format!("\"{}\"", name(volume)));
            types.push(format!("\"{kind}\""));
        }
    }
    types.sort();
    types.dedup();
    let plural = if bad.len() == 1 { ("volume", "uses", "type") } else { ("volumes", "use", "types") };
    let kinds = if types.len() == 1 { "type" } else { plural.2 };
    (!bad.is_empty()).then(|| {
        format!("restricted volume types ({} {} {} restricted volume {kinds} {})", plural.0, bad.join(", "), plural.1, types.join(", "))
    })
}

fn non_root(pod: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let pod_says = pod["securityContext"]["runAsNonRoot"] == true;
    let bad = bad_containers(pod, |context| if context["runAsNonRoot"].is_boolean() { context["runAsNonRoot"] != true } else { !pod_says });
    if !bad.is_empty() {
        let who = if pod_says { named(&bad) } else { format!("pod or {}", named(&bad)) };
        found.push(format!("runAsNonRoot != true ({who} must set securityContext.runAsNonRoot=true)"));
    }
    let roots = bad_containers(pod, |context| context["runAsUser"] == 0);
    if pod["securityContext"]["runAsUser"] == 0 {
        found.push("runAsUser=0 (pod must not set runAsUser=0)".to_owned());
    } else if !roots.is_empty() {
        found.push(format!("runAsUser=0 ({} must not set runAsUser=0)", named(&roots)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_restricted_level_names_what_is_missing() {
        let pod = json!({"containers": [{"name": "c"}]});
        assert_eq!(
            problems("restricted", &pod).join(", "),
            "allowPrivilegeEscalation != false (container \"c\" must set securityContext.allowPrivilegeEscalation=false), \
             unrestricted capabilities (container \"c\" must set securityContext.capabilities.drop=[\"ALL\"]), \
             runAsNonRoot != true (pod or container \"c\" must set securityContext.runAsNonRoot=true), \
             seccompProfile (pod or container \"c\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")"
        );
        assert!(problems("baseline", &pod).is_empty());
    }

    #[test]
    fn baseline_refuses_the_host() {
        let pod = json!({
            "hostNetwork": true,
            "securityContext": {"sysctls": [{"name": "vm.max_map_count", "value": "2000000"}]},
            "volumes": [{"name": "v", "hostPath": {"path": "/"}}],
            "containers": [{"name": "c", "securityContext": {"privileged": true}}],
        });
        assert_eq!(
            problems("baseline", &pod).join(", "),
            "host namespaces (hostNetwork=true), privileged (container \"c\" must not set securityContext.privileged=true), \
             hostPath volumes (volume \"v\"), forbidden sysctls (vm.max_map_count)"
        );
    }
}
