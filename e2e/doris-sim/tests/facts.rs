//! What a world tells to those who judge a run.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use doris_sim::{
    BeSpec, FeSpec, Founding, FrontendFacts, Medium, MemberKind, NodeRole, ProcessState, Signal, StorageRoot, Timing, Volume, VolumeDir,
    World, WorldOptions,
};
use tokio::time::sleep;

const FE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const BE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 11));
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 99));

fn world() -> World {
    let world = World::new(WorldOptions { timing: Timing::real(), ..WorldOptions::default() });
    world.set_name("fe-0.test", FE);
    world.set_name("be-0.test", BE);
    world
}

fn spec(volume: &Volume) -> FeSpec {
    FeSpec::new("fe-0.test", FE, "3.0.3", VolumeDir::root(volume))
}

fn newest(world: &World) -> Option<FrontendFacts> {
    world.members().iter().rev().find_map(|member| member.frontend().cloned())
}

#[tokio::test(start_paused = true)]
async fn a_founder_a_restart_and_a_lost_journal_are_told_apart() {
    let (world, volume) = (world(), Volume::new());
    let mut found = Vec::new();
    for step in 0..3 {
        if step == 2 {
            volume.remove("bdb");
        }
        let process = world.start_fe(spec(&volume));
        sleep(Duration::from_secs(30)).await;
        let facts = newest(&world).expect("a frontend was started");
        assert!(facts.says_master && facts.ready, "start {step}: {facts:?}");
        found.push((facts.start.metadata.is_blank(), facts.start.metadata.is_complete(), facts.start.founds(), facts.founded));
        process.signal(Signal::Kill);
    }
    assert_eq!(
        found,
        [(true, false, true, Some(Founding::Cluster)), (false, true, false, None), (false, false, false, Some(Founding::Journal))]
    );
    let starts = world.fe_starts();
    assert_eq!(starts.iter().map(|start| start.stored_cluster_id.is_some()).collect::<Vec<_>>(), [false, true, true]);
    assert!(starts.windows(2).all(|pair| pair[0].at < pair[1].at));
    assert_eq!(newest(&world).map(|facts| (facts.state, facts.says_master)), Some((ProcessState::Exited(137), false)));
}

#[tokio::test(start_paused = true)]
async fn a_backend_shows_whose_heartbeat_it_took() {
    let (world, volume, disk) = (world(), Volume::new(), Volume::new());
    world.start_fe(spec(&volume));
    let backend = || BeSpec {
        fqdn: "be-0.test".to_owned(),
        ip: BE,
        version: "3.0.3".to_owned(),
        storage: vec![StorageRoot::new("/data", &disk, Medium::Ssd, 1 << 40)],
        conf: std::collections::BTreeMap::new(),
        role: NodeRole::Mix,
    };
    let first = world.start_be(backend());
    sleep(Duration::from_secs(30)).await;
    let mut session = world.connect(CLIENT, FE, 9030, "root", "").await.expect("the frontend serves");
    session.query("ALTER SYSTEM ADD BACKEND \"be-0.test:9050\"").await.expect("the statement is good");
    sleep(Duration::from_secs(30)).await;
    first.signal(Signal::Kill);
    world.start_be(backend());
    sleep(Duration::from_mins(1)).await;

    let cluster = newest(&world).map(|fe| fe.cluster_id);
    let members = world.members();
    let backends: Vec<_> = members.iter().filter_map(|member| member.backend()).collect();
    assert_eq!(backends.iter().map(|be| be.blank_start).collect::<Vec<_>>(), [true, false]);
    for be in backends {
        assert_eq!(be.cluster_id_file, cluster);
        assert_eq!(be.accepted_cluster_ids.iter().copied().next(), cluster);
        assert_eq!(be.accepted_cluster_ids.len(), 1);
    }
    let rows = newest(&world).map(|fe| fe.registered).unwrap_or_default();
    let row = rows.iter().find(|row| row.kind == MemberKind::Backend).map(|row| (row.host.as_str(), row.port, row.alive));
    assert_eq!(row, Some(("be-0.test", 9050, true)));
}
