//! Somebody deletes the identity Secret of a cluster that lives, and nothing else.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams, PostParams};
use scenarios::lab::look::condition;
use scenarios::lab::{Lab, Settings, basic, cluster};
use serde_json::{Value, json};

const SECRET: &str = "demo-identity";
const SOON: Duration = Duration::from_mins(2);

async fn keys(lab: &Lab) -> Vec<Option<String>> {
    let mut values = Vec::new();
    for key in ["identity", "phase", "cluster-id", "operator.current", "root.applied", "admin.applied", "frontends", "backends"] {
        values.push(lab.secret(SECRET, key).await);
    }
    values
}

async fn delete_identity(lab: &Lab) {
    lab.api::<Secret>().delete(SECRET, &DeleteParams::default()).await.expect("the identity is deleted");
}

async fn is_there_again(lab: &Lab) {
    let is_there = || async { lab.secret(SECRET, "identity").await.map(drop).ok_or_else(|| "no identity".to_owned()) };
    lab.eventually("the identity is there again", SOON, is_there).await;
}

async fn pods(lab: &Lab) -> BTreeSet<(String, Option<String>)> {
    let list = lab.api::<Pod>().list(&ListParams::default()).await.expect("pods are listed");
    list.iter().map(|pod| (pod.name_any(), pod.uid())).collect()
}

/// One cluster, the same pods, and every process that ran runs on.
async fn nothing_was_founded_or_restarted(lab: &Lab, before: &BTreeSet<(String, Option<String>)>) {
    // A password that went with the Secret logs nobody in; no other rule is ever broken.
    let broken: Vec<String> = lab.broken_rules().into_iter().filter(|rule| !rule.starts_with("operator-logs-in:")).collect();
    assert_eq!(broken, Vec::<String>::new());
    assert_eq!(lab.founded_ids("demo").len(), 1, "founded once");
    assert_eq!(pods(lab).await, *before);
    for member in lab.processes("demo") {
        assert!(member.is_running(), "nothing was restarted: {member:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_identity_is_made_again_as_it_was() {
    let lab = Lab::new(Settings::default()).await;
    let _controller = lab.start_controller();
    lab.apply(&cluster("demo", basic("2.1.7"))).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    let (before, running) = (keys(&lab).await, pods(&lab).await);
    delete_identity(&lab).await;
    is_there_again(&lab).await;
    assert_eq!(keys(&lab).await, before, "passwords and members are not lost");
    tokio::time::sleep(Duration::from_mins(1)).await;
    lab.until_ready("demo").await;
    nothing_was_founded_or_restarted(&lab, &running).await;
    assert_eq!(lab.broken_rules(), Vec::<String>::new(), "nor is a password lost for a moment");
}

/// The controller that knew the identity is gone as well. What the volumes say is rebuilt; Doris' passwords are not on them.
#[tokio::test(start_paused = true)]
async fn an_identity_that_nobody_remembers_is_rebuilt_and_says_what_it_lacks() {
    let lab = Lab::new(Settings::default()).await;
    let controller = lab.start_controller();
    lab.apply(&cluster("demo", basic("2.1.7"))).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    let cluster_id = lab.secret(SECRET, "cluster-id").await;
    let (id, root) = (lab.secret(SECRET, "identity").await, lab.secret(SECRET, "root.applied").await.expect("root's password"));
    let running = pods(&lab).await;
    drop(controller);
    delete_identity(&lab).await;
    let _controller = lab.start_controller();
    is_there_again(&lab).await;
    assert_eq!(lab.secret(SECRET, "identity").await, id, "the same identity, from the volumes");
    assert_eq!(lab.secret(SECRET, "phase").await.as_deref(), Some("Founded"), "never unfounded");
    assert_eq!(lab.secret(SECRET, "cluster-id").await, cluster_id, "Doris' own id stays on record");
    assert_eq!(lab.secret(SECRET, "root.applied").await, None, "a password that Doris never took is not on record as root's");
    for (members, count) in [("frontends", 3), ("backends", 3)] {
        let members: Value = serde_json::from_str(&lab.secret(SECRET, members).await.expect("members")).expect("JSON");
        assert_eq!(members.as_object().map(serde_json::Map::len), Some(count), "each volume stands for a member: {members}");
    }
    let is_told = |cluster: &doris_api::DorisCluster| condition(cluster, "Stalled").is_some_and(|(status, _, _)| status == "True");
    let demo = lab.until("it is told what is missing", "demo", SOON, is_told).await;
    let (_, reason, message) = condition(&demo, "Stalled").expect("there is the condition");
    assert_eq!(reason, "LockedOut");
    for part in [SECRET, "operator.current", "ALTER USER", "spec.auth.rootPassword"] {
        assert!(message.contains(part), "{message} names {part}");
    }
    tokio::time::sleep(Duration::from_mins(5)).await;
    nothing_was_founded_or_restarted(&lab, &running).await;

    // A person does what the message says.
    let master = lab.master_pod("demo").expect("there is a master");
    let address = lab.nodes.address("default", &master).expect("the pod runs");
    let mut session =
        lab.world.connect([10, 9, 9, 9].into(), address.into(), 9030, "root", &root).await.expect("root's old password works");
    let operator = lab.secret(SECRET, "operator.current").await.expect("a password");
    let statement = format!("ALTER USER 'doris_operator' IDENTIFIED BY '{operator}'");
    session.query(&statement).await.expect("the operator's password is set");
    lab.until_ready("demo").await;
    nothing_was_founded_or_restarted(&lab, &running).await;
    assert_eq!(lab.secret(SECRET, "identity").await, id);
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_identity_needs_nobody_where_the_user_gave_roots_password() {
    let lab = Lab::new(Settings::default()).await;
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "root-of-demo"}, "stringData": {"password": "Correct-Horse-7"}});
    let secret: Secret = serde_json::from_value(secret).expect("a Secret");
    lab.api::<Secret>().create(&PostParams::default(), &secret).await.expect("the Secret is created");
    let mut spec = basic("2.1.7");
    spec["auth"] = json!({"rootPassword": {"name": "root-of-demo", "key": "password"}});
    let controller = lab.start_controller();
    lab.apply(&cluster("demo", spec)).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    let running = pods(&lab).await;
    drop(controller);
    delete_identity(&lab).await;
    let _controller = lab.start_controller();
    is_there_again(&lab).await;
    tokio::time::sleep(Duration::from_mins(3)).await;
    lab.until_ready("demo").await;
    nothing_was_founded_or_restarted(&lab, &running).await;
}
