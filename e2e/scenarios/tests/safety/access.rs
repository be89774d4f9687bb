//! Who may connect, and what the controller may do.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyPeer};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt as _;
use kube::api::ListParams;
use scenarios::lab::{Lab, Settings, basic, cluster, full};

type Labels = BTreeMap<String, String>;

/// Ports of the full example: for whom each is open, by the component that listens.
const INTERNAL: [(&str, i32); 8] =
    [("fe", 9010), ("fe", 9020), ("fe-ob", 9010), ("be", 9050), ("be", 9060), ("be", 8060), ("cn", 9050), ("broker", 8000)];
const FOR_CLIENTS: [(&str, i32); 5] = [("fe", 18030), ("fe", 9030), ("fe-ob", 9030), ("be", 8040), ("cn", 8040)];

#[tokio::test(start_paused = true)]
async fn internal_ports_are_closed_to_strangers() {
    let lab = Lab::new(Settings::default()).await;
    let _controller = lab.start_controller();
    lab.apply(&cluster("demo", full("2.1.7"))).await.expect("the spec is accepted");
    lab.apply(&cluster("other", basic("2.1.7"))).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    lab.until_ready("other").await;
    let policies = lab.api::<NetworkPolicy>().list(&ListParams::default()).await.expect("policies are listed").items;
    let pods = lab.api::<Pod>().list(&ListParams::default()).await.expect("pods are listed").items;
    let labels_of = |name: &str| {
        let pod = pods.iter().find(|pod| pod.name_any() == name).unwrap_or_else(|| panic!("there is no {name}"));
        pod.labels().clone()
    };
    let stranger = Labels::from([("app".to_owned(), "shell".to_owned())]);
    let controller = Labels::from([("app.kubernetes.io/part-of".to_owned(), "doris-operator".to_owned())]);
    for (component, port) in INTERNAL {
        let to = labels_of(&format!("demo-{component}-0"));
        assert!(!admits(&policies, &to, &stranger, port), "{component} {port} is open to strangers");
        assert!(!admits(&policies, &to, &labels_of("other-fe-0"), port), "{component} {port} is open to another cluster");
        assert!(admits(&policies, &to, &labels_of("demo-fe-1"), port), "{component} {port} is closed to members");
        assert!(admits(&policies, &to, &labels_of("demo-be-1"), port), "{component} {port} is closed to members");
        assert!(admits(&policies, &to, &controller, port), "{component} {port} is closed to the controllers");
    }
    for (component, port) in FOR_CLIENTS {
        let to = labels_of(&format!("demo-{component}-0"));
        assert!(admits(&policies, &to, &stranger, port), "{component} {port} is closed to clients");
    }
}

/// Whether a pod of the same namespace may connect: as Kubernetes says, one policy that admits is enough, and a pod that none
/// selects is open.
fn admits(policies: &[NetworkPolicy], to: &Labels, from: &Labels, port: i32) -> bool {
    let mut selecting =
        policies.iter().filter_map(|policy| policy.spec.as_ref()).filter(|spec| selects(spec.pod_selector.as_ref(), to)).peekable();
    if selecting.peek().is_none() {
        return true;
    }
    selecting.flat_map(|spec| spec.ingress.iter().flatten()).any(|rule| {
        let by_port = rule
            .ports
            .as_ref()
            .is_none_or(|ports| ports.iter().any(|open| open.port.as_ref().is_none_or(|number| *number == IntOrString::Int(port))));
        let by_peer = rule.from.as_ref().is_none_or(|peers| peers.iter().any(|peer| is_peer(peer, from)));
        by_port && by_peer
    })
}

/// Whether a peer selects pods of the cluster's own namespace with these labels.
fn is_peer(peer: &NetworkPolicyPeer, labels: &Labels) -> bool {
    peer.ip_block.is_none()
        && peer.namespace_selector.is_none()
        && peer.pod_selector.as_ref().is_some_and(|selector| selects(Some(selector), labels))
}

fn selects(selector: Option<&LabelSelector>, labels: &Labels) -> bool {
    let Some(selector) = selector else { return true };
    assert!(selector.match_expressions.is_none(), "the policies use labels alone");
    selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value))
}
