//! Seeded bugs: a second actor that does, beside the controller, what a buggy one would do.
//!
//! They show that the oracles see what they are there for; production code carries no bug.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use doris_api::DorisCluster;
use doris_api::member::TICKET_ANNOTATION;
use doris_sim::{BeSpec, Cut, FeSpec, Medium, NodeRole, Signal, StorageRoot, Volume, VolumeDir};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service};
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt as _};
use kube_sim::Identity;
use serde_json::{Value, json};

use super::{CONTROLLER_ADDRESS, Lab, is_ready, storm};

const DOMAIN: &str = "demo-fe-members.default.svc.cluster.local";
/// How long a process that must not be there runs.
const VISIT: Duration = Duration::from_secs(5);

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// The ticket to found is issued before the record says so.
    TicketBeforeRecord,
    /// A ticket is for another pod than the one that carries it.
    TicketForAnotherPod,
    /// A backend is registered by its Service's name.
    AddByServiceName,
    /// Both followers are registered at once.
    TwoFollowersAtOnce,
    /// An empty frontend is started without helper although others hold metadata.
    FoundsBlindly,
    /// An empty frontend is started with helpers before it is registered.
    StartsUnregistered,
    /// A frontend is started on metadata without a journal.
    StartsWithoutJournal,
    /// A sentence in status quotes a password.
    PasswordInStatus,
    /// A log line quotes a password.
    PasswordInLog,
    /// The used ticket to found stays on the pod.
    TicketKept,
    /// The identity of a founded cluster is made anew.
    IdentityAnew,
    /// Backends are started before a master serves.
    WorkersBeforeMaster,
    /// Every round writes.
    WritesEveryRound,
    /// A claim is deleted.
    ClaimDeleted,
    /// An account is left without a password.
    AdminLeftOpen,
    /// Doris learns a password that is stored nowhere.
    PasswordNotStored,
    /// Doris learns one of root's that is stored nowhere.
    RootPasswordNotStored,
    /// A backend is registered with a master that is cut off from its followers.
    AddAtLoneMaster,
    /// A follower that serves is dropped while another one is down.
    DropBesideLoss,
    /// Two backends are stopped at once.
    StopsTwoBackends,
    /// A backend is stopped that work is sent to.
    StopsUndrained,
    /// A backend is stopped that alone serves a table.
    StopsLastReplica,
    /// A backend is stopped that a backup needs.
    StopsDuringBackup,
    /// Two followers of three are stopped at once.
    StopsTwoVoters,
    /// The master is stopped before the other frontends are made anew.
    StopsMasterFirst,
    /// The tablet scheduler stays held.
    LeavesHold,
    /// A set is lowered while its highest member is registered.
    LowerBeforeDrop,
    /// A backend is dropped with what is on it.
    DropWithData,
    /// A member is registered that the spec does not ask for.
    AddBeyondSpec,
    /// A frontend of a newer line runs beside backends of the old one.
    NewerBesideBackends,
    /// A frontend is made with the old line once a newer master wrote its metadata.
    OlderOnNewMetadata,
    /// Backends are stopped while frontends run.
    BackendsStoppedFirst,
}

impl Bug {
    /// Every bug, with the rule that has to catch it.
    pub const ALL: [(Self, &'static str); 32] = [
        (Self::TicketBeforeRecord, "found-on-record"),
        (Self::TicketForAnotherPod, "ticket-names-pod"),
        (Self::AddByServiceName, "own-name"),
        (Self::TwoFollowersAtOnce, "one-follower"),
        (Self::FoundsBlindly, "found-once"),
        (Self::StartsUnregistered, "added-before"),
        (Self::StartsWithoutJournal, "no-bdb"),
        (Self::PasswordInStatus, "no-password"),
        (Self::PasswordInLog, "no-password"),
        (Self::TicketKept, "used-tickets-go"),
        (Self::IdentityAnew, "founded-for-good"),
        (Self::WorkersBeforeMaster, "workers-after-master"),
        (Self::WritesEveryRound, "quiet"),
        (Self::ClaimDeleted, "claims-stay"),
        (Self::AdminLeftOpen, "no-empty-password"),
        (Self::PasswordNotStored, "operator-logs-in"),
        (Self::RootPasswordNotStored, "root-logs-in"),
        (Self::AddAtLoneMaster, "led-by-majority"),
        (Self::DropBesideLoss, "drop-leaves-majority"),
        (Self::StopsTwoBackends, "one-at-a-time"),
        (Self::StopsUndrained, "drained-before"),
        (Self::StopsLastReplica, "tables-stay-readable"),
        (Self::StopsDuringBackup, "backups-go-on"),
        (Self::StopsTwoVoters, "keeps-majority"),
        (Self::StopsMasterFirst, "master-last"),
        (Self::LeavesHold, "switches-back"),
        (Self::LowerBeforeDrop, "row-before-pod"),
        (Self::DropWithData, "dropped-empty"),
        (Self::AddBeyondSpec, "asked-for"),
        (Self::NewerBesideBackends, "upgrade-order"),
        (Self::OlderOnNewMetadata, "no-downgrade"),
        (Self::BackendsStoppedFirst, "backends-stop-last"),
    ];

    /// Does it, in a laboratory where a cluster `demo` is created.
    pub async fn commit(self, lab: &Lab) {
        match self {
            Self::TicketBeforeRecord => {
                let pod = pod(lab, "demo-fe-0").await;
                ticket(lab, "demo-fe-0", &format!("found:{}:1", pod.uid().unwrap_or_default())).await;
            }
            Self::TicketForAnotherPod => {
                let (other, _) = (pod(lab, "demo-fe-0").await, pod(lab, "demo-fe-1").await);
                let text = format!("join:{}:fe_1:FOLLOWER:demo-fe-0.{DOMAIN}:9010", other.uid().unwrap_or_default());
                ticket(lab, "demo-fe-1", &text).await;
            }
            Self::AddByServiceName => sql(lab, &["ALTER SYSTEM ADD BACKEND \"demo-be.default.svc.cluster.local:9050\""]).await,
            Self::TwoFollowersAtOnce => {
                let add = |ordinal| format!("ALTER SYSTEM ADD FOLLOWER \"demo-fe-{ordinal}.{DOMAIN}:9010\"");
                sql(lab, &[&add(1), &add(2)]).await;
            }
            Self::FoundsBlindly => {
                founded(lab).await;
                visit(lab, &Volume::new(), &[]).await;
            }
            Self::StartsUnregistered => {
                founded(lab).await;
                visit(lab, &Volume::new(), &[format!("demo-fe-0.{DOMAIN}:9010")]).await;
            }
            Self::StartsWithoutJournal => {
                let identity = founded(lab).await;
                let volume = Volume::new();
                let files = [
                    ("image/ROLE", "role=FOLLOWER\nname=fe_1\n".to_owned()),
                    ("image/VERSION", format!("clusterId={}\ntoken=t\n", identity["cluster-id"])),
                ];
                for (file, text) in files {
                    volume.write(file, text).expect("a new volume takes files");
                }
                visit(lab, &volume, &[]).await;
            }
            Self::PasswordInStatus => password_in_status(lab).await,
            Self::PasswordInLog => {
                let identity = founded(lab).await;
                tracing::info!(login = identity["operator.current"], "logging in");
            }
            Self::TicketKept => {
                ready(lab).await;
                let pod = pod(lab, "demo-fe-0").await;
                ticket(lab, "demo-fe-0", &format!("found:{}:1", pod.uid().unwrap_or_default())).await;
            }
            Self::IdentityAnew => {
                founded(lab).await;
                phase(lab, "Unfounded").await;
                phase(lab, "Founded").await;
            }
            Self::WorkersBeforeMaster => early_backend(lab).await,
            Self::WritesEveryRound => write_every_round(lab).await,
            Self::ClaimDeleted => {
                ready(lab).await;
                let claims: Api<PersistentVolumeClaim> = Api::default_namespaced(lab.client.clone());
                claims.delete("meta-demo-fe-2", &DeleteParams::default()).await.expect("the claim is there");
            }
            Self::AdminLeftOpen => {
                ready(lab).await;
                sql(lab, &["ALTER USER 'admin' IDENTIFIED BY ''"]).await;
            }
            Self::PasswordNotStored => {
                ready(lab).await;
                forget_password(lab).await;
            }
            Self::RootPasswordNotStored => {
                ready(lab).await;
                sql(lab, &["ALTER USER root IDENTIFIED BY 'Another-1-that-nobody-knows'"]).await;
                tokio::time::sleep(VISIT).await;
            }
            Self::AddAtLoneMaster => add_at_lone_master(lab).await,
            Self::DropBesideLoss => drop_beside_loss(lab).await,
            Self::StopsTwoBackends => {
                ready(lab).await;
                stop(lab, &["demo-be-2", "demo-be-1"]).await;
            }
            Self::StopsUndrained => {
                ready(lab).await;
                stop(lab, &["demo-be-2"]).await;
            }
            Self::StopsLastReplica => stop_last_replica(lab).await,
            Self::StopsDuringBackup => stop_during_backup(lab).await,
            Self::StopsTwoVoters => {
                ready(lab).await;
                let (_, followers) = roles(lab);
                stop(lab, &[&followers[0], &followers[1]]).await;
            }
            Self::StopsMasterFirst => stop_master_first(lab).await,
            Self::LeavesHold => leave_hold(lab).await,
            Self::LowerBeforeDrop => lower_before_drop(lab).await,
            Self::DropWithData => drop_with_data(lab).await,
            Self::AddBeyondSpec => add_beyond_spec(lab).await,
            Self::NewerBesideBackends => guests(lab, &[("3.0.3", 1)]).await,
            Self::OlderOnNewMetadata => guests(lab, &[("2.1.7", 1), ("3.0.3", 1), ("2.1.7", 2)]).await,
            Self::BackendsStoppedFirst => stop_backends_first(lab).await,
        }
    }
}

/// All backends are taken away from under the frontends.
async fn stop_backends_first(lab: &Lab) {
    ready(lab).await;
    let sets: Api<StatefulSet> = Api::default_namespaced(lab.client.clone());
    let none = Patch::Merge(json!({"spec": {"replicas": 0}}));
    sets.patch("demo-be", &PatchParams::default(), &none).await.expect("the set is there");
}

/// Asks again and again until there is an answer.
async fn wait_for<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn pod(lab: &Lab, name: &str) -> Pod {
    let pods: Api<Pod> = Api::default_namespaced(lab.client.clone());
    wait_for(async || pods.get_opt(name).await.ok().flatten()).await
}

/// The identity as soon as it says Founded.
async fn founded(lab: &Lab) -> BTreeMap<String, String> {
    let secrets: Api<Secret> = Api::default_namespaced(lab.client.clone());
    wait_for(async || {
        let secret = secrets.get_opt("demo-identity").await.ok().flatten()?;
        let text = |bytes: k8s_openapi::ByteString| String::from_utf8(bytes.0).ok();
        let data: BTreeMap<String, String> =
            secret.data.unwrap_or_default().into_iter().filter_map(|(key, value)| Some((key, text(value)?))).collect();
        (data.get("phase").map(String::as_str) == Some("Founded")).then_some(data)
    })
    .await
}

async fn ready(lab: &Lab) {
    wait_for(async || lab.cluster("default", "demo").await.filter(is_ready)).await;
}

async fn ticket(lab: &Lab, pod: &str, text: &str) {
    let pods: Api<Pod> = Api::default_namespaced(lab.client.clone());
    let annotation = json!({"metadata": {"annotations": {TICKET_ANNOTATION: text}}});
    pods.patch(pod, &PatchParams::default(), &Patch::Merge(annotation)).await.expect("the pod is there");
}

/// Runs statements on the first frontend as the operator, once the cluster is founded.
async fn sql(lab: &Lab, statements: &[&str]) {
    sql_at(lab, "demo-fe-0", statements).await;
}

/// Runs statements on a frontend as the operator, once the cluster is founded.
async fn sql_at(lab: &Lab, pod: &str, statements: &[&str]) {
    let identity = founded(lab).await;
    let ip = IpAddr::V4(lab.nodes.address("default", pod).expect("it runs"));
    let password = &identity["operator.current"];
    let mut session = lab.world.connect(CONTROLLER_ADDRESS, ip, 9030, "doris_operator", password).await.expect("the account is there");
    for statement in statements {
        // The controller may have done the same a moment before.
        if let Err(error) = session.query(statement).await {
            println!("{statement}: {error}");
        }
    }
}

/// Changes the operator's password as root, again and again: the controller mends it.
async fn forget_password(lab: &Lab) {
    let identity = founded(lab).await;
    let ip = IpAddr::V4(lab.nodes.address("default", "demo-fe-0").expect("the founder runs"));
    for _ in 0..10 {
        let root = lab.world.connect(CONTROLLER_ADDRESS, ip, 9030, "root", &identity["root.generated"]).await;
        let change = "ALTER USER 'doris_operator' IDENTIFIED BY 'Another-1-that-nobody-knows'";
        root.expect("root logs in").query(change).await.expect("root may change it");
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
}

/// Runs a frontend for a while at the address of one that still waits in its gate.
async fn visit(lab: &Lab, volume: &Volume, helpers: &[String]) {
    let ip = wait_for(async || lab.nodes.address("default", "demo-fe-2")).await;
    let mut spec = FeSpec::new(format!("demo-fe-2.{DOMAIN}"), IpAddr::V4(ip), "2.1.7", VolumeDir::root(volume));
    spec.helpers = helpers.to_vec();
    let process = lab.world.start_fe(spec);
    tokio::time::sleep(VISIT).await;
    process.signal(Signal::Kill);
}

async fn leave_hold(lab: &Lab) {
    ready(lab).await;
    // The controller has seen that the switches are as they should be.
    tokio::time::sleep(Duration::from_secs(60)).await;
    let (master, _) = roles(lab);
    sql_at(lab, &master, &["ADMIN SET FRONTEND CONFIG (\"disable_tablet_scheduler\" = \"true\")"]).await;
}

/// Frontends of these versions, one after the other, on one volume and under one name, at the address of that number.
async fn guests(lab: &Lab, starts: &[(&str, u8)]) {
    ready(lab).await;
    let volume = Volume::new();
    for (version, address) in starts {
        let ip = IpAddr::V4(std::net::Ipv4Addr::new(10, 254, 0, *address));
        let fqdn = format!("demo-fe-9.{DOMAIN}");
        lab.world.set_name(&fqdn, ip);
        let process = lab.world.start_fe(FeSpec::new(fqdn, ip, *version, VolumeDir::root(&volume)));
        tokio::time::sleep(Duration::from_mins(1)).await;
        process.signal(Signal::Kill);
    }
}

/// The master and its followers by pod name.
fn roles(lab: &Lab) -> (String, Vec<String>) {
    let master = lab.master_pod("demo").expect("a ready cluster has a master");
    let others = ["demo-fe-0", "demo-fe-1", "demo-fe-2"].into_iter().filter(|pod| *pod != master).map(str::to_owned).collect();
    (master, others)
}

async fn add_at_lone_master(lab: &Lab) {
    ready(lab).await;
    let (master, others) = roles(lab);
    let address = |pod: &str| IpAddr::V4(lab.nodes.address("default", pod).expect("it runs"));
    for other in &others {
        lab.world.cut(address(&master), address(other), Cut::Silent);
    }
    // It goes on calling itself master.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let add = "ALTER SYSTEM ADD BACKEND \"demo-be-3.demo-be-members.default.svc.cluster.local:9050\"";
    // It hangs: nobody acknowledges it.
    let _ = tokio::time::timeout(Duration::from_secs(3), sql_at(lab, &master, &[add])).await;
    for other in &others {
        lab.world.heal(address(&master), address(other));
    }
}

async fn drop_beside_loss(lab: &Lab) {
    ready(lab).await;
    let (master, others) = roles(lab);
    assert!(lab.nodes.kill("default", &others[0], None), "it runs");
    sql_at(lab, &master, &[&format!("ALTER SYSTEM DROP FOLLOWER \"{}.{DOMAIN}:9010\"", others[1])]).await;
}

/// Deletes pods as a controller does that asks nobody, and waits until their processes have ended.
async fn stop(lab: &Lab, names: &[&str]) {
    let client = format!("{}other", storm::CONTROLLER);
    let pods: Api<Pod> = Api::default_namespaced(Client::new(lab.kube.service(&client, Identity::admin()), "default"));
    for name in names {
        pods.delete(name, &DeleteParams::default()).await.expect("the pod is there");
    }
    tokio::time::sleep(Duration::from_secs(30)).await;
}

async fn stop_during_backup(lab: &Lab) {
    ready(lab).await;
    lab.stalled_backup().await;
    stop(lab, &["demo-be-0", "demo-be-1", "demo-be-2"]).await;
    lab.jobs_go_on();
}

async fn stop_last_replica(lab: &Lab) {
    ready(lab).await;
    let (master, _) = roles(lab);
    let table = "CREATE TABLE d.t (k INT) DISTRIBUTED BY HASH(k) BUCKETS 6 PROPERTIES (\"replication_num\" = \"1\")";
    sql_at(lab, &master, &["CREATE DATABASE d", table]).await;
    stop(lab, &["demo-be-2"]).await;
}

async fn stop_master_first(lab: &Lab) {
    ready(lab).await;
    let (master, _) = roles(lab);
    let mut cluster = lab.cluster("default", "demo").await.expect("the cluster is there");
    cluster.metadata.managed_fields = None;
    cluster.metadata.resource_version = None;
    cluster.status = None;
    cluster.spec.fe.member.labels.insert("example.com/round".to_owned(), "2".to_owned());
    lab.apply(&cluster).await.expect("the spec is accepted");
    let sets: Api<StatefulSet> = Api::default_namespaced(lab.client.clone());
    wait_for(async || {
        let status = sets.get_opt("demo-fe").await.ok().flatten()?.status?;
        (status.update_revision != status.current_revision).then_some(())
    })
    .await;
    stop(lab, &[&master]).await;
}

async fn lower_before_drop(lab: &Lab) {
    ready(lab).await;
    let sets: Api<StatefulSet> = Api::default_namespaced(lab.client.clone());
    let two = Patch::Merge(json!({"spec": {"replicas": 2}}));
    sets.patch("demo-be", &PatchParams::default(), &two).await.expect("the set is there");
}

async fn drop_with_data(lab: &Lab) {
    ready(lab).await;
    // Until Doris has made its own tables.
    tokio::time::sleep(Duration::from_secs(30)).await;
    sql(lab, &["ALTER SYSTEM DROPP BACKEND \"demo-be-2.demo-be-members.default.svc.cluster.local:9050\""]).await;
}

async fn add_beyond_spec(lab: &Lab) {
    ready(lab).await;
    sql(lab, &["ALTER SYSTEM ADD BACKEND \"demo-be-7.demo-be-members.default.svc.cluster.local:9050\""]).await;
}

async fn early_backend(lab: &Lab) {
    let pod = pod(lab, "demo-fe-0").await;
    let storage = vec![StorageRoot::new("/data", &Volume::new(), Medium::Ssd, 1 << 40)];
    let process = lab.world.start_be(BeSpec {
        fqdn: "demo-be-0.demo-be-members.default.svc.cluster.local".to_owned(),
        ip: IpAddr::from([127, 63, 0, 9]),
        version: "2.1.7".to_owned(),
        storage,
        conf: BTreeMap::new(),
        role: NodeRole::Mix,
    });
    drop(pod);
    tokio::time::sleep(Duration::from_secs(1)).await;
    process.signal(Signal::Kill);
}

async fn password_in_status(lab: &Lab) {
    let identity = founded(lab).await;
    let clusters: Api<DorisCluster> = Api::default_namespaced(lab.client.clone());
    let text = format!("doris_operator could not log in with {}", identity["operator.current"]);
    let status: Value = json!({"status": {"summary": text}});
    clusters.patch_status("demo", &PatchParams::default(), &Patch::Merge(status)).await.expect("the status is there");
}

async fn phase(lab: &Lab, phase: &str) {
    let secrets: Api<Secret> = Api::default_namespaced(lab.client.clone());
    let change = json!({"stringData": {"phase": phase}});
    secrets.patch("demo-identity", &PatchParams::default(), &Patch::Merge(change)).await.expect("the identity is there");
}

/// Writes what is there already, as a controller that compares nothing does.
async fn write_every_round(lab: &Lab) {
    ready(lab).await;
    let name = format!("{}other", storm::CONTROLLER);
    let client = Client::new(lab.kube.service(&name, Identity::admin()), "default");
    let services: Api<Service> = Api::default_namespaced(client.clone());
    let maps: Api<ConfigMap> = Api::default_namespaced(client);
    let gate = maps.get_opt("demo-gate").await.ok().flatten();
    let change = json!({"metadata": {"labels": {"rounds": gate.map(|gate| gate.name_any())}}});
    // The run judges what happens after this.
    tokio::time::sleep(Duration::from_secs(1)).await;
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(10)).await;
            if services.patch("demo-fe", &PatchParams::default(), &Patch::Merge(&change)).await.is_err() {
                return;
            }
        }
    });
}
