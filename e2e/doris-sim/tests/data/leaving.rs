use doris_sim::Signal;

use crate::stand::{GIB, Stand, VERSIONS, seconds};

const LEAVE: &str = "ALTER SYSTEM DECOMMISSION BACKEND \"be-3.test:9050\"";

async fn tablets(stand: &Stand) -> u64 {
    stand.row(3, "TabletNum").await.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Four backends, a table on them all, and one that leaves later.
async fn cluster(version: &str) -> Stand {
    let stand = Stand::new(version, 4).await;
    stand.table("t", "\"replication_num\" = \"3\"").await;
    stand.load_bytes("t", "x", 40, 8 * GIB).await.expect("all live");
    stand
}

#[tokio::test(start_paused = true)]
async fn a_leaving_backend_is_emptied_step_by_step_and_then_dropped() {
    for version in VERSIONS {
        let stand = cluster(version).await;
        let before = tablets(&stand).await;
        assert!(before > 0, "{version}");
        stand.good(LEAVE).await;
        let mut seen = Vec::new();
        let took = stand
            .until("the row is gone", 1200, async |stand| {
                let left = stand.row(3, "TabletNum").await;
                seen.extend(left.as_ref().and_then(|text| text.parse::<u64>().ok()));
                left.is_none()
            })
            .await;
        seen.dedup();
        assert!(seen.len() > 2 && seen.windows(2).all(|pair| pair[0] > pair[1]), "{version}: {seen:?}");
        assert!(took.as_secs() > 40, "{version}: data moves at the pace of disks: {took:?}");
        assert_eq!(stand.count("t").await, Ok(40), "{version}");
        let drops = stand.world.backend_drops();
        assert!(matches!(drops.as_slice(), [drop] if drop.decommissioned && drop.destroyed.is_empty() && drop.replicas == 0), "{drops:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn leaving_is_held_up_by_what_holds_it_up_in_doris() {
    for obstacle in ["scheduler", "full disks", "flags", "kept row"] {
        let stand = cluster("2.1.7").await;
        let before = tablets(&stand).await;
        match obstacle {
            "scheduler" => stand.set("disable_tablet_scheduler", "true").await,
            "kept row" => stand.set("drop_backend_after_decommission", "false").await,
            "full disks" => (0..3).for_each(|n| stand.disks[&n].fill(stand.capacity / 100 * 86)),
            _ => {
                for n in 0..3 {
                    stand.good(&format!("ALTER SYSTEM MODIFY BACKEND \"be-{n}.test:9050\" SET (\"disable_load\" = \"true\")")).await;
                }
            }
        }
        seconds(70).await;
        stand.good(LEAVE).await;
        seconds(900).await;
        let left = tablets(&stand).await;
        let wanted = if obstacle == "kept row" { 0 } else { before };
        assert_eq!((left, stand.row(3, "SystemDecommissioned").await.as_deref()), (wanted, Some("true")), "{obstacle}");
        if obstacle == "full disks" {
            let pending = stand.rows("SHOW PROC '/cluster_balance/pending_tablets'").await;
            let text = pending.value(0, "ErrMsg").unwrap_or_default().to_owned();
            assert!(text.contains("unable to find dest path"), "{text}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn too_few_backends_refuse_to_let_one_go() {
    let stand = Stand::new("3.0.3", 3).await;
    stand.table("t", "\"replication_num\" = \"3\"").await;
    let text = stand.bad("ALTER SYSTEM DECOMMISSION BACKEND \"be-0.test:9050\"").await;
    assert!(text.contains("replication allocation { tag.location.default: 3 } > available backend num 2"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn leaving_can_be_cancelled_half_way() {
    let stand = cluster("3.0.3").await;
    let before = tablets(&stand).await;
    stand.good(LEAVE).await;
    stand.until("half is moved", 600, async |stand| tablets(stand).await <= before / 2).await;
    stand.good("CANCEL DECOMMISSION BACKEND \"be-3.test:9050\"").await;
    seconds(600).await;
    assert_eq!(stand.row(3, "SystemDecommissioned").await.as_deref(), Some("false"));
    assert_eq!(stand.health("HealthyNum").await, stand.health("TabletNum").await);
    assert_eq!(stand.count("t").await, Ok(40));
}

#[tokio::test(start_paused = true)]
async fn dropped_tables_count_and_hold_a_backend_only_above_the_threshold() {
    for (threshold, gone) in [("5000", true), ("1", false)] {
        let stand = cluster("2.1.7").await;
        stand.good("DROP TABLE d.t").await;
        let bin = stand.rows("SHOW CATALOG RECYCLE BIN").await;
        assert_eq!(bin.value(0, "Name"), Some("t"));
        stand.set("decommission_tablet_check_threshold", threshold).await;
        stand.good(LEAVE).await;
        seconds(400).await;
        assert_eq!(stand.row(3, "Host").await.is_none(), gone, "{threshold}");
        if !gone {
            assert_eq!(tablets(&stand).await, 3, "the dropped table's tablets are counted still");
            stand.good("DROP CATALOG RECYCLE BIN").await;
            stand.until("the row is gone", 60, async |stand| stand.row(3, "Host").await.is_none()).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn colocated_tables_move_as_a_group_or_not_at_all() {
    let stand = Stand::new("3.0.3", 4).await;
    stand.table("a", "\"replication_num\" = \"3\", \"colocate_with\" = \"g\"").await;
    stand.table("b", "\"replication_num\" = \"3\", \"colocate_with\" = \"g\"").await;
    stand.load("a", "x", 40).await.expect("all live");
    stand.set("disable_colocate_balance", "true").await;
    stand.good(LEAVE).await;
    seconds(600).await;
    assert!(tablets(&stand).await > 0, "the group stays where it is");
    let groups = stand.rows("SHOW PROC '/colocation_group'").await;
    assert_eq!(groups.value(0, "IsStable"), Some("true"), "{groups:?}");
    stand.set("disable_colocate_balance", "false").await;
    let mut unstable = false;
    stand
        .until("the row is gone", 1200, async |stand| {
            let groups = stand.rows("SHOW PROC '/colocation_group'").await;
            unstable |= groups.value(0, "IsStable") == Some("false");
            stand.row(3, "Host").await.is_none()
        })
        .await;
    assert!(unstable, "while it moves the group is not stable");
    seconds(100).await;
    let groups = stand.rows("SHOW PROC '/colocation_group'").await;
    assert_eq!(groups.value(0, "IsStable"), Some("true"), "{groups:?}");
    assert_eq!(stand.count("a").await, Ok(40));
}

#[tokio::test(start_paused = true)]
async fn an_empty_backend_that_cannot_be_asked_goes_after_three_minutes() {
    let stand = Stand::new("2.1.7", 4).await;
    stand.good(LEAVE).await;
    stand.backend(3).signal(Signal::Kill);
    let took = stand.until("the row is gone", 600, async |stand| stand.row(3, "Host").await.is_none()).await;
    assert!(took.as_secs() >= 170, "{took:?}");
}
