//! Whole objects of typical clusters.

use doris_api::Component;
use serde_json::json;

use super::fixtures::{cluster, context, set, small};
use super::{access_service, budget, components, config_revision, gate, members_service, network_policies, render, stateful_set};

#[test]
fn the_smallest_spec_gives_frontends_and_backends() {
    let cluster = cluster(&small());
    let context = context(&cluster);
    assert_eq!(components(&cluster.spec), [Component::Fe, Component::Be]);
    for component in components(&cluster.spec) {
        insta::assert_yaml_snapshot!(format!("small_{component}_set"), stateful_set(&context, component, &set()).expect("a set"));
        insta::assert_yaml_snapshot!(format!("small_{component}_members"), members_service(&context, component));
        insta::assert_yaml_snapshot!(format!("small_{component}_access"), access_service(&context, component));
    }
    insta::assert_yaml_snapshot!("small_policies", network_policies(&context));
    insta::assert_yaml_snapshot!("small_gate", gate(&context));
}

#[test]
fn configurations_render_what_the_operator_owns_last() {
    let mut spec = small();
    spec["fe"]["config"] = json!({"http_port": 18030, "JAVA_OPTS": "-Xmx1g -Xss1m"});
    spec["fe"]["resources"] = json!({"limits": {"memory": "8Gi"}});
    spec["be"]["storage"] = json!([{"name": "fast", "medium": "SSD", "size": "1Ti"}, {"name": "slow", "size": "4Ti"}]);
    spec["cn"] = json!({"replicas": 2});
    spec["broker"] = json!({});
    let cluster = cluster(&spec);
    let context = context(&cluster);
    for component in [Component::Fe, Component::Be, Component::Cn, Component::Broker] {
        let rendered = render(&context, component);
        insta::assert_snapshot!(format!("config_{component}"), rendered.text());
        let revision = config_revision(&context, component, &rendered);
        assert_eq!(revision.metadata.name, Some(format!("demo-{component}-conf-{}", rendered.revision)));
    }
}

#[test]
fn only_keys_that_need_a_restart_make_a_new_revision() {
    let of = |config: serde_json::Value| {
        let mut spec = small();
        spec["fe"]["config"] = config;
        let cluster = cluster(&spec);
        render(&context(&cluster), Component::Fe).revision
    };
    let plain = of(json!({}));
    assert_eq!(of(json!({"disable_balance": "true"})), plain, "live");
    assert_ne!(of(json!({"qe_max_connection": "2048"})), plain, "restart");
}

#[test]
fn a_pod_with_everything_is_built_as_asked() {
    let spec = json!({
        "version": "3.0.3",
        "image": {"repository": "registry.example/doris", "pullPolicy": "Always", "pullSecrets": [{"name": "pull"}]},
        "fe": {
            "observers": 2, "storage": {"size": "20Gi"},
            "service": {"type": "NodePort", "nodePorts": [{"name": "query", "port": 30930}]},
        },
        "be": {
            "storage": [{"name": "d1", "size": "1Ti", "storageClassName": "fast"}],
            "nodeTuning": "InitContainer",
            "image": "registry.example/be:special",
            "resources": {"limits": {"cpu": "2500m", "memory": "8Gi"}},
            "env": [{"name": "TZ", "value": "UTC"}],
            "labels": {"team": "data"}, "annotations": {"note": "x"}, "nodeSelector": {"disk": "ssd"},
            "tolerations": [{"key": "node.kubernetes.io/unreachable", "operator": "Exists"}],
            "volumes": [{"name": "extra", "emptyDir": {}}],
            "volumeMounts": [{"name": "extra", "mountPath": "/extra"}],
            "sidecars": [{"name": "log", "image": "log:1"}],
            "initContainers": [{"name": "prepare", "image": "prepare:1"}],
            "configFiles": {"name": "be-files"},
            "probes": {"startup": {"failureThreshold": 900}},
            "podTemplate": {"metadata": {"labels": {"doris-operator.dev/cluster": "other"}}, "spec": {"runtimeClassName": "kata", "containers": [{"name": "be", "tty": true}]}},
        },
        "cn": {}, "broker": {},
        "hadoop": {"hosts": [{"ip": "10.0.0.9", "hostnames": ["nn1"]}], "config": {"name": "hadoop"}},
        "kerberos": {"krb5": {"name": "krb5"}, "keytab": {"name": "keytabs"}},
        "podSecurity": {"fsGroup": 2000},
    });
    let cluster = cluster(&spec);
    let context = context(&cluster);
    assert_eq!(components(&cluster.spec), Component::ALL);
    for component in [Component::FeObserver, Component::Be, Component::Cn, Component::Broker] {
        insta::assert_yaml_snapshot!(format!("full_{component}_set"), stateful_set(&context, component, &set()).expect("a set"));
    }
    insta::assert_yaml_snapshot!("full_fe_access", access_service(&context, Component::Fe));
    insta::assert_yaml_snapshot!("full_policies", network_policies(&context));
}

#[test]
fn what_an_old_server_does_not_know_is_left_out() {
    let cluster = cluster(&small());
    let mut context = context(&cluster);
    context.kubernetes_minor = 16;
    let set = stateful_set(&context, Component::Fe, &set()).expect("a set");
    let pod = set.spec.and_then(|set| set.template.spec).expect("a pod");
    assert!(pod.topology_spread_constraints.is_none());
    assert!(pod.security_context.is_some_and(|security| security.seccomp_profile.is_none()));
    let container = &pod.containers[0];
    assert!(container.startup_probe.is_none());
    assert_eq!(container.liveness_probe.as_ref().and_then(|probe| probe.initial_delay_seconds), Some(1800));
    assert_eq!(super::budget_api_version(16), "policy/v1beta1");
}

#[test]
fn budgets_keep_majorities_and_replicas() {
    let mut spec = small();
    spec["cn"] = json!({});
    let cluster = cluster(&spec);
    let context = context(&cluster);
    let least = |component, members| {
        let spec = budget(&context, component, members).and_then(|budget| budget.spec);
        spec.and_then(|spec| spec.min_available).map(|least| serde_json::to_value(least).expect("JSON"))
    };
    let cases = [
        (Component::Fe, 1, 0),
        (Component::Fe, 2, 0),
        (Component::Fe, 3, 2),
        (Component::Fe, 5, 3),
        (Component::FeObserver, 2, 1),
        (Component::Be, 3, 2),
        (Component::Cn, 0, 0),
    ];
    for (component, members, expected) in cases {
        assert_eq!(least(component, members), Some(json!(expected)), "{component} {members}");
    }
    assert_eq!(least(Component::Broker, 3), None);
}

#[test]
fn a_restricted_pod_asks_for_nothing() {
    let mut spec = small();
    spec["podSecurity"] = json!({"level": "Restricted"});
    let cluster = cluster(&spec);
    let set = stateful_set(&context(&cluster), Component::Fe, &set()).expect("a set");
    let pod = set.spec.and_then(|set| set.template.spec).expect("a pod");
    insta::assert_yaml_snapshot!("restricted_pod", pod.security_context);
    for container in pod.containers.iter().chain(pod.init_containers.iter().flatten()) {
        insta::assert_yaml_snapshot!("restricted_container", container.security_context);
    }
}

#[test]
fn a_storage_layout_changes_with_the_disks_alone() {
    let layout = |disks: serde_json::Value| {
        let mut spec = small();
        spec["be"]["storage"] = disks;
        let cluster = cluster(&spec);
        super::storage_layout(&context(&cluster), Component::Be)
    };
    let one = layout(json!([{"name": "a", "size": "1Gi"}]));
    assert_eq!(layout(json!([{"name": "a", "size": "2Gi"}])), one, "a size needs no new pod");
    assert_ne!(layout(json!([{"name": "a", "size": "1Gi"}, {"name": "b", "size": "1Gi"}])), one);
}

#[test]
fn a_template_that_does_not_fit_is_an_error() {
    let mut spec = small();
    spec["be"]["podTemplate"] = json!({"spec": {"containers": "none"}});
    let cluster = cluster(&spec);
    let error = stateful_set(&context(&cluster), Component::Be, &set()).expect_err("no pod");
    assert!(error.to_string().starts_with("be.podTemplate does not fit"), "{error}");
}
