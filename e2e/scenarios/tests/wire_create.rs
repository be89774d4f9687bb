//! A cluster comes to life over real sockets: the API over HTTP, Doris over the MySQL protocol, the controller as its own process.

#![allow(clippy::panic, clippy::large_futures, reason = "a test tells of a failure by panicking, and its futures are made once")]

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use doris_api::{Component, DorisCluster, names};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{Api, DeleteParams};
use kube::{Client, ResourceExt as _};
use scenarios::demo::progress::{is_ready, why_not_ready};
use scenarios::demo::{ControllerProcess, Settings, Stand, Start, manifest};
use scenarios::scale::scrape::scrape;
use tokio::process::Command;
use tokio::time::timeout;

const EXAMPLE: &str = include_str!("../../../deploy/examples/basic.yaml");
/// Generous: a machine that builds something beside it is slow, and nothing here is a measurement.
const DEADLINE: Duration = Duration::from_mins(3);

#[tokio::test(flavor = "multi_thread")]
async fn create_basic_over_the_wire() {
    let stand = Stand::start(&Settings::default()).await.expect("a world");
    let controller = controller(&stand).await;
    for object in manifest::read("basic.yaml", EXAMPLE).expect("objects") {
        manifest::apply(&stand.client, "basic.yaml", &object).await.expect("applied");
    }
    until(&stand.client, &controller, "Ready", is_ready).await;

    let frontend = stand.nodes.address("default", &names::pod("demo", Component::Fe, 0)).expect("an address");
    let password = root_password(&stand.client).await;
    a_foreign_client_sees_all_members(frontend, &password).await;
    every_write_is_counted(&controller).await;
    a_deleted_backend_comes_back_as_the_same_member(&stand.client, &controller).await;

    let directory = stand.kubeconfig().parent().map(Path::to_owned).expect("a directory");
    controller.stop().await.expect("an end");
    stand.stop().await.expect("an end");
    assert!(!directory.exists(), "nothing is left behind");
}

async fn controller(stand: &Stand) -> ControllerProcess {
    let start = Start {
        program: env!("CARGO_BIN_EXE_demo").into(),
        is_ours: true,
        kubeconfig: &stand.kubeconfig(),
        log: stand.file("cluster-controller.log"),
        arguments: Vec::new(),
    };
    ControllerProcess::start(start).await.expect("a controller")
}

/// Waits until the cluster is as wanted.
async fn until(client: &Client, controller: &ControllerProcess, what: &str, holds: impl Fn(&DorisCluster) -> bool) {
    let clusters: Api<DorisCluster> = Api::default_namespaced(client.clone());
    let is_so = |cluster: Option<&DorisCluster>| cluster.is_some_and(&holds);
    let awaited = timeout(DEADLINE, kube::runtime::wait::await_condition(clusters.clone(), "demo", is_so)).await;
    if awaited.is_err() {
        let why = clusters.get("demo").await.map_or_else(|error| error.to_string(), |cluster| why_not_ready(&cluster));
        panic!("not {what}: {why}\n{}", controller.tail());
    }
}

/// Appliers, Leases, status, Events and single writes alike: no kind of write goes uncounted.
async fn every_write_is_counted(controller: &ControllerProcess) {
    let metrics = scrape(controller.metrics()).await.expect("metrics");
    let count = |resource: &str, verb: &str| -> u64 {
        let line = format!("doris_operator_writes_total{{resource=\"{resource}\",verb=\"{verb}\"}} ");
        metrics.lines().find_map(|found| found.strip_prefix(&line)?.parse().ok()).unwrap_or(0)
    };
    for (resource, verb, least) in [
        ("statefulsets", "apply", 2),
        ("services", "apply", 4),
        ("configmaps", "apply", 4),
        ("poddisruptionbudgets", "apply", 2),
        ("networkpolicies", "apply", 1),
        ("secrets", "create", 1),
        ("secrets", "update", 2),
        ("pods", "apply", 3),
        ("dorisclusters/status", "apply", 2),
        ("leases", "create", 1),
    ] {
        assert!(count(resource, verb) >= least, "{verb} of {resource}: {} in\n{metrics}", count(resource, verb));
    }
}

async fn root_password(client: &Client) -> String {
    let secrets: Api<Secret> = Api::default_namespaced(client.clone());
    let secret = secrets.get(&names::identity("demo")).await.expect("the identity");
    let password = secret.data.and_then(|mut data| data.remove("root.generated")).expect("a password");
    String::from_utf8(password.0).expect("text")
}

/// The command-line client that distributions ship: its own login, its own reading of rows.
async fn a_foreign_client_sees_all_members(frontend: Ipv4Addr, password: &str) {
    let Some(frontends) = ask(frontend, password, "SHOW FRONTENDS").await else { return };
    let backends = ask(frontend, password, "SHOW BACKENDS").await.expect("the client is there");
    assert_eq!(column(&frontends, "Alive"), ["true"; 3]);
    assert_eq!(column(&frontends, "IsMaster").iter().filter(|text| **text == "true").count(), 1);
    assert_eq!(column(&frontends, "Role"), ["FOLLOWER"; 3]);
    assert_eq!(column(&backends, "Alive"), ["true"; 3]);
    let mut hosts: Vec<String> = column(&backends, "Host").into_iter().map(str::to_owned).collect();
    hosts.sort();
    let expected: Vec<String> =
        (0..3).map(|ordinal| names::member_fqdn("demo", Component::Be, ordinal, "default", "cluster.local")).collect();
    assert_eq!(hosts, expected);
    // Not root with another password: from 127.0.0.1 Doris lets root in with any.
    let refused = run(frontend, ("nobody", password), "SELECT 1").await.expect("the client is there");
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && told.contains("ERROR 1045 (28000)"), "{told}");
}

async fn ask(frontend: Ipv4Addr, password: &str, statement: &str) -> Option<String> {
    let output = run(frontend, ("root", password), statement).await?;
    assert!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What the client answers; nothing, with a line that says so, if this machine has none. CI has one.
async fn run(frontend: Ipv4Addr, (user, password): (&str, &str), statement: &str) -> Option<std::process::Output> {
    let host = frontend.to_string();
    let asked = Command::new("mariadb")
        .args(["--no-defaults", "--protocol=TCP", "-h", &host, "-P", "9030", "-u", user, "--batch", "-e", statement])
        .env("MYSQL_PWD", password)
        .kill_on_drop(true)
        .output();
    match timeout(DEADLINE, asked).await.expect("an answer in time") {
        Ok(output) => Some(output),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && std::env::var_os("CI").is_none() => {
            eprintln!("skipped: there is no `mariadb` on this machine (Debian has it in mariadb-client)");
            None
        }
        Err(error) => panic!("mariadb can't be started: {error}"),
    }
}

/// A column of the client's tab-separated table, by name.
fn column<'a>(table: &'a str, name: &str) -> Vec<&'a str> {
    let mut lines = table.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let heads = lines.next().unwrap_or_default();
    let position = heads.iter().position(|head| *head == name).unwrap_or_else(|| panic!("no column {name} in {heads:?}"));
    lines.map(|cells| cells[position]).collect()
}

async fn a_deleted_backend_comes_back_as_the_same_member(client: &Client, controller: &ControllerProcess) {
    let name = names::pod("demo", Component::Be, 1);
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let clusters: Api<DorisCluster> = Api::default_namespaced(client.clone());
    let id_of = |cluster: &DorisCluster| {
        let members = cluster.status.iter().flat_map(|status| &status.members);
        members.into_iter().find(|member| member.name == name).and_then(|member| member.backend_id)
    };
    let before = id_of(&clusters.get("demo").await.expect("the cluster")).expect("a backend's id");
    let old = pods.delete(&name, &DeleteParams::default()).await.expect("deleted").left().and_then(|pod| pod.uid());
    let is_back = |cluster: &DorisCluster| {
        let members = cluster.status.iter().flat_map(|status| &status.members);
        let member = members.into_iter().find(|member| member.name == name);
        is_ready(cluster) && member.is_some_and(|member| member.pod_uid.is_some() && member.pod_uid != old)
    };
    until(client, controller, "Ready with a new pod", is_back).await;
    assert_eq!(id_of(&clusters.get("demo").await.expect("the cluster")), Some(before));
}
