//! Everything that the operator's client says is understood by every version, from founding to decommission.

mod observations;
mod transport;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use doris_client::elect::MasterVerdict;
use doris_client::{
    BackendChange, Endpoint, Error, FrontendRole, FrontendTarget, GlobalRight, Journals, Login, MemberAddress, Password, Session,
    find_and_prove_master, http, probe_frontends,
};
use doris_sim::{BeSpec, BrokerSpec, FeSpec, Medium, NodeRole, StorageRoot, Timing, Volume, VolumeDir, World, WorldOptions};
use tokio::time::sleep;
use transport::Direct;

const VERSIONS: [&str; 4] = ["2.0.15", "2.1.7", "3.0.3", "4.0.0"];
const BE: u8 = 11;
const BROKER: u8 = 21;
const CLIENT: u8 = 99;

fn ip(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, last))
}

fn host(n: u8) -> String {
    format!("fe-{n}.test")
}

fn member(n: u8) -> MemberAddress {
    MemberAddress::new(host(n), 9010)
}

fn backend() -> MemberAddress {
    MemberAddress::new("be-0.test", 9050)
}

fn at(last: u8, port: u16) -> Endpoint {
    Endpoint { ip: ip(last), port }
}

fn login(user: &str, password: &str) -> Login {
    Login { user: user.to_owned(), password: Password::new(password) }
}

/// Frontend `n` lives at address `n + 1`.
fn targets() -> Vec<FrontendTarget> {
    (0..3).map(|n| FrontendTarget { host: host(n), http: at(n + 1, 8030), query: at(n + 1, 9030) }).collect()
}

async fn seconds(count: u64) {
    sleep(Duration::from_secs(count)).await;
}

fn start_fe(world: &World, n: u8, version: &str, helper: Option<u8>) {
    let mut spec = FeSpec::new(host(n), ip(n + 1), version, VolumeDir::root(&Volume::new()));
    spec.helpers = helper.map(|helper| format!("{}:9010", host(helper))).into_iter().collect();
    world.start_fe(spec);
}

/// A running cluster of three frontends, a backend and a broker, made as the operator makes one.
async fn cluster(version: &str) -> Result<(Direct, Session), Error> {
    let world = World::new(WorldOptions { timing: Timing::real(), ..WorldOptions::default() });
    (0..3).for_each(|n| world.set_name(&host(n), ip(n + 1)));
    world.set_name("be-0.test", ip(BE));
    world.set_name("broker-0.test", ip(BROKER));
    start_fe(&world, 0, version, None);
    seconds(60).await;
    let transport = Direct { world: world.clone(), from: ip(CLIENT) };
    let mut session = Session::open(&transport, at(1, 9030), &login("root", "")).await?;
    for n in 1..3 {
        session.add_frontend(FrontendRole::Follower, &member(n)).await?;
        start_fe(&world, n, version, Some(0));
        seconds(60).await;
    }
    session.add_backends(&[backend()], Some("default")).await?;
    session.add_broker("hdfs", &MemberAddress::new("broker-0.test", 8000)).await?;
    world.start_broker(BrokerSpec { fqdn: "broker-0.test".to_owned(), ip: ip(BROKER), port: 8000 });
    world.start_be(BeSpec {
        fqdn: "be-0.test".to_owned(),
        ip: ip(BE),
        version: version.to_owned(),
        storage: vec![StorageRoot::new("/data", &Volume::new(), Medium::Ssd, 1 << 40)],
        conf: BTreeMap::new(),
        role: NodeRole::Mix,
    });
    seconds(120).await;
    Ok((transport, session))
}

#[tokio::test(start_paused = true)]
async fn every_version_is_founded_and_joined() -> Result<(), Error> {
    for version in VERSIONS {
        let (transport, mut session) = cluster(version).await?;
        let rows = session.frontends().await?;
        assert_eq!(rows.len(), 3, "{version}");
        assert!(rows.iter().all(|row| row.alive && row.joined && row.version.as_deref().is_some_and(|v| v.contains(version))), "{rows:?}");
        let backends = session.backends().await?;
        let [row] = backends.as_slice() else { unreachable!("{version}: one backend was added: {backends:?}") };
        assert!(row.alive && row.status.last_report().is_some() && row.total > Some(0), "{version}: {row:?}");
        assert!(session.brokers().await?.iter().all(|broker| broker.alive), "{version}");
        assert_eq!(session.backend_disks(row.id).await?.len(), 1, "{version}");
        assert!(session.tablet_health().await?.iter().all(|database| database.unrecoverable == 0), "{version}");
        assert!(session.version_comment().await?.contains(version), "{version}");
        assert!(http::backend_is_healthy(&transport, at(BE, 8040)).await?, "{version}");
        for n in 1..=3 {
            assert!(http::is_bootstrapped(&transport, at(n, 8030)).await?, "{version}: frontend at {n}");
        }
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_master_proves_itself_by_a_journal_that_rises() -> Result<(), Error> {
    for version in VERSIONS {
        let (transport, _session) = cluster(version).await?;
        let (mut journals, root) = (Journals::default(), login("root", ""));
        let first = find_and_prove_master(&transport, &targets(), &root, &mut journals).await;
        seconds(11).await;
        let second = find_and_prove_master(&transport, &targets(), &root, &mut journals).await;
        assert_eq!(second.verdict, MasterVerdict::Accepted { host: host(0) }, "{version}");
        let ids = |views: &[doris_client::FrontendView]| views.iter().map(|view| view.journal_id().unwrap_or(0)).collect::<Vec<_>>();
        let (before, after) = (ids(&first.views), ids(&second.views));
        assert!(before.iter().zip(&after).all(|(before, after)| before < after), "{version}: {before:?} {after:?}");

        let views = probe_frontends(&transport, &targets(), None).await;
        let roles: Vec<_> = views.iter().map(|view| view.group.as_ref().map(|group| group.role.clone()).unwrap_or_default()).collect();
        assert_eq!(roles, ["MASTER", "FOLLOWER", "FOLLOWER"], "{version}");
        let says: Vec<_> = views.iter().map(|view| view.metrics.as_ref().ok().and_then(|metrics| metrics.is_master)).collect();
        assert_eq!(says.iter().filter(|says| **says == Some(true)).count(), 1, "{version}: {says:?}");
        let group = http::high_availability(&transport, at(1, 8030), None).await?;
        assert_eq!(group.electable_nodes, [host(1), host(2)], "{version}");
        assert_eq!(group.master, Some(host(0)), "{version}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn accounts_are_made_changed_and_used() -> Result<(), Error> {
    for version in VERSIONS {
        let (transport, mut session) = cluster(version).await?;
        let operator = login("doris-operator", "Ab1!cdefgh");
        session.create_account(&operator).await?;
        session.create_account(&login("doris-operator", "another")).await?;
        for right in [GlobalRight::Node, GlobalRight::Node, GlobalRight::Admin] {
            session.grant(right, &operator.user).await?;
        }
        assert_eq!(session.grants_of(&operator.user).await?.len(), 1, "{version}");
        let mut own = Session::open(&transport, at(2, 9030), &operator).await?;
        assert_eq!(own.frontends().await?.len(), 3, "{version}");
        own.set_own_password(&Password::new("Second2!")).await?;
        session.alter_account(&login("doris-operator", "Third3!")).await?;
        Session::open(&transport, at(1, 9030), &login("doris-operator", "Third3!")).await?;
        session.set_password(&login("doris-operator", "Fourth4!")).await?;
        Session::open(&transport, at(1, 9030), &login("doris-operator", "Fourth4!")).await?;
        session.set_password(&login("root", "Root5!")).await?;
        let late = Session::open(&transport, at(1, 9030), &login("root", "")).await.err();
        assert!(matches!(late, Some(Error::Refused { code: 1045, .. })), "{version}: {late:?}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn settings_and_variables_are_read_and_changed() -> Result<(), Error> {
    for version in VERSIONS {
        let (transport, mut session) = cluster(version).await?;
        session.set_frontend_setting("disable_balance", "true").await?;
        session.set_all_frontends_setting("disable_tablet_scheduler", "true").await?;
        let found = session.frontend_settings("disable_balance").await?;
        assert_eq!(found.iter().map(|setting| setting.value.as_str()).collect::<Vec<_>>(), ["true"], "{version}");
        session.set_global_variable("query_timeout", "77").await?;
        assert_eq!(session.variable("query_timeout").await?.as_deref(), Some("77"), "{version}");
        session.set_forward_to_master(false).await?;
        let root = login("root", "");
        http::set_frontend_config(&transport, at(1, 8030), &root, ("disable_balance", "false"), false).await?;
        http::set_backend_config(&transport, at(BE, 8040), &root, ("disable_auto_compaction", "true")).await?;
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn members_are_changed_and_leave() -> Result<(), Error> {
    for version in VERSIONS {
        let (transport, mut session) = cluster(version).await?;
        let root = login("root", "");
        let off = BackendChange { location: None, disable_query: Some(true), disable_load: Some(true) };
        session.modify_backend(&backend(), &off).await?;
        let status = session.backends().await?.into_iter().map(|row| row.status).next();
        assert!(status.is_some_and(|status| status.is_query_disabled && status.is_load_disabled), "{version}");
        http::check_decommission(&transport, at(1, 8030), &root, &[backend()]).await?;
        http::wal_sizes(&transport, at(1, 8030), &root, &[backend()]).await?;
        session.drop_backend_without_check(&backend()).await?;
        session.drop_broker("hdfs", &MemberAddress::new("broker-0.test", 8000)).await?;
        session.drop_frontend(FrontendRole::Follower, &member(2)).await?;
        assert_eq!(session.frontends().await?.len(), 2, "{version}");
        assert!(session.backends().await?.is_empty() && session.brokers().await?.is_empty(), "{version}");
    }
    Ok(())
}
