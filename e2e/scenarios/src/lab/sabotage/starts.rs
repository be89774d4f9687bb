//! Processes that must not be there.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use doris_sim::{BeSpec, Cut, FeSpec, Medium, NodeRole, Signal, StorageRoot, Volume, VolumeDir};
use kube::ResourceExt as _;

use super::acts::{pod, ready, wait_for};
use super::{DOMAIN, VISIT};
use crate::lab::{CONTROLLER_ADDRESS, Lab};
/// Runs a frontend for a while at the address of one that still waits in its gate.
pub(super) async fn visit(lab: &Lab, volume: &Volume, helpers: &[String]) {
    let ip = wait_for(async || lab.nodes.address("default", "demo-fe-2")).await;
    let mut spec = FeSpec::new(format!("demo-fe-2.{DOMAIN}"), IpAddr::V4(ip), "2.1.7", VolumeDir::root(volume));
    spec.helpers = helpers.to_vec();
    let process = lab.world.start_fe(spec);
    tokio::time::sleep(VISIT).await;
    process.signal(Signal::Kill);
}

/// Frontends of these versions, one after the other, on one volume and under one name, at the address of that number.
pub(super) async fn guests(lab: &Lab, starts: &[(&str, u8)]) {
    ready(lab).await;
    let volume = Volume::new();
    for (version, address) in starts {
        let ip = IpAddr::V4(Ipv4Addr::new(10, 254, 0, *address));
        let fqdn = format!("demo-fe-9.{DOMAIN}");
        lab.world.set_name(&fqdn, ip);
        let process = lab.world.start_fe(FeSpec::new(fqdn, ip, *version, VolumeDir::root(&volume)));
        tokio::time::sleep(Duration::from_mins(1)).await;
        process.signal(Signal::Kill);
    }
}

pub(super) async fn early_backend(lab: &Lab) {
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

/// A second process of a backend's name, on disks of its own.
pub(super) async fn twin(lab: &Lab) {
    ready(lab).await;
    let process = lab.world.start_be(backend("demo-be-1", 7));
    tokio::time::sleep(VISIT).await;
    process.signal(Signal::Kill);
}

/// A backend that has data comes back on empty disks, and nobody gave it leave.
pub(super) async fn blank_backend(lab: &Lab) {
    ready(lab).await;
    // Until Doris has made its own tables there.
    tokio::time::sleep(Duration::from_secs(60)).await;
    let process = lab.world.start_be(backend("demo-be-2", 8));
    tokio::time::sleep(Duration::from_secs(1)).await;
    process.signal(Signal::Kill);
}

/// A frontend is dropped, and a new pod starts on its metadata.
pub(super) async fn start_on_dropped(lab: &Lab) {
    ready(lab).await;
    tokio::time::sleep(VISIT).await;
    let master = lab.master_pod("demo").expect("a ready cluster has a master");
    let dropped = ["demo-fe-1", "demo-fe-2"].into_iter().find(|pod| *pod != master).expect("one of two");
    let volume = lab.disk(&format!("meta-{dropped}")).await.expect("it has a volume").snapshot();
    let fqdn = format!("{dropped}.{DOMAIN}");
    super::acts::sql_at(lab, &master, &[&format!("ALTER SYSTEM DROP FOLLOWER \"{fqdn}:9010\"")]).await;
    wait_for(async || lab.masters("demo").iter().all(|master| master.registered.iter().all(|row| row.host != fqdn)).then_some(())).await;
    // Nobody mends it before a pod would have known.
    lab.world.isolate(CONTROLLER_ADDRESS, Cut::Refused);
    tokio::time::sleep(Duration::from_secs(65)).await;
    let ip = IpAddr::V4(Ipv4Addr::new(10, 254, 0, 6));
    let process = lab.world.start_fe(FeSpec::new(fqdn, ip, "2.1.7", VolumeDir::root(&volume)));
    tokio::time::sleep(Duration::from_secs(1)).await;
    process.signal(Signal::Kill);
    lab.world.rejoin(CONTROLLER_ADDRESS);
}

/// A backend starts on a directory of its container's own.
pub(super) async fn start_unmounted(lab: &Lab) {
    ready(lab).await;
    let mut spec = backend("demo-be-1", 9);
    "/opt/nowhere".clone_into(&mut spec.storage[0].path);
    let process = lab.world.start_be(spec);
    tokio::time::sleep(Duration::from_secs(1)).await;
    process.signal(Signal::Kill);
}

/// Rows have one copy, and the volume of a backend is emptied with leave to start on it.
pub(super) async fn lose_rows(lab: &Lab) {
    ready(lab).await;
    tokio::time::sleep(VISIT).await;
    assert!(lab.load_rows("demo", 1).await, "rows can be loaded");
    let pod = pod(lab, "demo-be-2").await;
    super::acts::ticket(lab, "demo-be-2", &format!("blank-ok:{}", pod.uid().unwrap_or_default())).await;
    let disk = lab.disk("data-demo-be-2").await.expect("it has a volume");
    assert!(lab.nodes.kill("default", "demo-be-2", None), "it runs");
    disk.clear();
    // Until it is back, and Doris has seen what it has.
    tokio::time::sleep(Duration::from_mins(3)).await;
}

fn backend(pod: &str, address: u8) -> BeSpec {
    BeSpec {
        fqdn: format!("{pod}.demo-be-members.default.svc.cluster.local"),
        ip: IpAddr::V4(Ipv4Addr::new(10, 254, 0, address)),
        version: "2.1.7".to_owned(),
        storage: vec![StorageRoot::new("/data", &Volume::new(), Medium::Ssd, 1 << 40)],
        conf: BTreeMap::new(),
        role: NodeRole::Mix,
    }
}
