//! Frontends that die or hang while the cluster is made.

use std::time::Duration;

use doris_sim::{MemberKind, ProcessState};
use scenarios::lab::{Lab, Settings, basic, cluster, is_ready};

const FOLLOWERS: [&str; 3] = ["demo-fe-0", "demo-fe-1", "demo-fe-2"];

/// Milliseconds after the founder's start, from the first file to the last port.
const MOMENTS: [u64; 6] = [5, 175, 195, 215, 430, 1100];

#[tokio::test(start_paused = true)]
async fn half_founded_fe_is_refounded() {
    let mut refounded = 0;
    for moment in MOMENTS {
        let lab = Lab::new(Settings::default()).await;
        let _controller = lab.start_controller();
        lab.apply(&cluster("demo", basic("2.1.7"))).await.expect("the spec is accepted");
        while lab.world.fe_starts().is_empty() {
            lab.world.changed().await;
        }
        tokio::time::sleep(Duration::from_millis(moment)).await;
        assert!(lab.nodes.kill("default", "demo-fe-0", None), "{moment} ms: the founder runs");
        lab.until(&format!("Ready after a death at {moment} ms"), "demo", Duration::from_mins(5), is_ready).await;
        refounded += usize::from(lab.founded_ids("demo").len() > 1);
        let ids: std::collections::BTreeSet<u32> = lab
            .frontends("demo")
            .iter()
            .filter(|frontend| frontend.state == ProcessState::Running)
            .map(|frontend| frontend.cluster_id)
            .collect();
        assert_eq!(ids.len(), 1, "{moment} ms: one cluster lives: {ids:?}");
        assert_eq!(lab.alive("demo", MemberKind::Follower), FOLLOWERS, "{moment} ms");
        assert_eq!(lab.alive("demo", MemberKind::Backend).len(), 3, "{moment} ms");
        let id = ids.into_iter().next();
        for backend in lab.processes("demo").iter().filter_map(|member| member.backend()) {
            assert_eq!(backend.cluster_id_file, id, "{moment} ms: no backend ever belonged to what did not live");
        }
    }
    assert!(refounded > 0, "some moment left a half-founded frontend");
}

#[tokio::test(start_paused = true)]
async fn a_hanging_frontend_is_ended() {
    let lab = Lab::new(Settings::default()).await;
    let _controller = lab.start_controller();
    lab.apply(&cluster("demo", basic("2.1.7"))).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    let address = lab.nodes.address("default", "demo-fe-1").expect("the pod runs");
    let hung = lab.world.process_at(address.into()).expect("a process runs there");
    assert!(lab.nodes.freeze("default", "demo-fe-1", None, true), "the pod runs");
    let ended = || async { if hung.state() == ProcessState::Running { Err("it still runs".to_owned()) } else { Ok(()) } };
    lab.eventually("the hanging process is ended", Duration::from_mins(10), ended).await;
    lab.until_ready("demo").await;
    assert_eq!(lab.alive("demo", MemberKind::Follower), FOLLOWERS);
    assert_eq!(lab.founded_ids("demo").len(), 1);
}
