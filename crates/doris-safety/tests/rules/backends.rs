use doris_api::cluster::Medium;
use doris_api::rules::SafetyRule;
use doris_safety::{Allocation, ColocateGroup, Health, NodeRole, Observed, PlacedPartition, Step, Switches, TabletMapBuilder, Unhealthy};

use super::fixtures::{GIB, allowed, changed, partition, restart_be, tables, told, well, with_backends};

fn sick(status: &str, tablets: &[u64]) -> Health {
    let unhealthy = vec![Unhealthy { database: "sales".to_owned(), status: status.to_owned(), tablets: tablets.to_vec() }];
    Health { unhealthy, tablets: 100 }
}

fn decommission(ids: &[u64]) -> Step {
    Step::DecommissionBackends { backends: ids.iter().copied().collect() }
}

#[test]
fn tablet_health_counts_what_is_new() {
    let cases = [
        ("one tablet", changed(|all| all.health = Some(sick("ReplicaMissing", &[7]))), restart_be(&[1])),
        (
            "some were so before",
            changed(|all| {
                all.health = Some(sick("VersionIncomplete", &[7, 8, 9]));
                all.baseline = Some([7].into());
            }),
            restart_be(&[1]),
        ),
        (
            "nothing repairs them",
            changed(|all| {
                all.health = Some(sick("ReplicaMissing", &[7, 8]));
                all.switches = Some(Switches { scheduler_off: true, ..Switches::default() });
            }),
            restart_be(&[1]),
        ),
        ("unread", Observed { health: None, ..well() }, restart_be(&[1])),
        ("switches unread", Observed { switches: None, ..well() }, restart_be(&[1])),
    ];
    insta::assert_snapshot!(told(SafetyRule::TabletHealth, cases));
}

#[test]
fn tablet_health_forgives_old_damage_and_what_our_own_switch_causes() {
    let rule = SafetyRule::TabletHealth;
    let old = changed(|all| {
        all.health = Some(sick("Unrecoverable", &[7, 8]));
        all.baseline = Some([7, 8, 9].into());
    });
    allowed(rule, "old damage", &old, &restart_be(&[1]));
    let first = changed(|all| {
        all.health = Some(sick("ReplicaMissing", &[7]));
        all.baseline = None;
    });
    allowed(rule, "no operation yet", &first, &restart_be(&[1]));
    let held = changed(|all| {
        all.health = Some(sick("ColocateMismatch", &[7]));
        all.switches = Some(Switches { colocate_balance_off: true, ..Switches::default() });
    });
    allowed(rule, "colocate balance is held", &held, &restart_be(&[1]));
}

#[test]
fn tablet_health_lets_what_cannot_run_be_replaced() {
    let rule = SafetyRule::TabletHealth;
    let sick_without = |dead: &[u64]| Observed {
        health: Some(sick("ReplicaMissing", &[7])),
        ..with_backends(3, orders(3), |all| all.iter_mut().filter(|one| dead.contains(&one.id)).for_each(|one| one.alive = false))
    };
    allowed(rule, "it is what ends the damage", &sick_without(&[1]), &restart_be(&[1]));
    for (name, dead, step) in [("another one", vec![2], restart_be(&[1])), ("one of the two lives", vec![1], restart_be(&[1, 2]))] {
        assert!(told(rule, [(name, sick_without(&dead), step)]).contains("1 tablet is not healthy"), "{name}");
    }
}

/// Four backends, of which the fourth leaves.
fn four(tables: doris_safety::TabletMap, change: impl FnOnce(&mut Vec<doris_safety::Backend>)) -> Observed {
    with_backends(4, tables, change)
}

fn orders(copies: u16) -> doris_safety::TabletMap {
    tables(&[("orders", copies, &[&[1, 2, 4]])])
}

#[test]
fn decommission_feasible_names_the_table_the_disk_the_switch() {
    let tagged = || {
        let mut builder = TabletMapBuilder::new();
        builder.table("sales", "events", None);
        let allocation = Allocation::new([("hot", 2u16), ("default", 1)]);
        for day in 1..=3 {
            builder.healthy(PlacedPartition { allocation: allocation.clone(), ..partition(&format!("p{day}"), 3) }, 8);
        }
        builder.finish()
    };
    let hot = |all: &mut Vec<doris_safety::Backend>| [2, 3].into_iter().for_each(|index: usize| all[index].location = "hot".to_owned());
    let group = |stable| ColocateGroup { name: "10001_g1".to_owned(), allocation: Allocation::new([("default", 4u16)]), stable };
    let with_group = |stable| Observed { colocate_groups: Some(vec![group(stable)]), ..four(orders(3), |_| ()) };
    let switches = |switches: Switches| Observed {
        switches: Some(switches),
        colocate_groups: Some(vec![ColocateGroup { allocation: Allocation::new([("default", 3u16)]), ..group(true) }]),
        ..four(orders(3), |_| ())
    };
    let step = || decommission(&[4]);
    let cases = [
        ("too few backends", well(), decommission(&[3])),
        ("a compute node is none", four(orders(3), |all| all[2].role = Some(NodeRole::Computation)), step()),
        ("nor is one that leaves", four(orders(3), |all| all[2].decommissioning = true), step()),
        ("nor one that is dead", four(orders(3), |all| all[2].alive = false), step()),
        ("nor one with a flag", four(orders(3), |all| all[2].load_disabled = true), step()),
        ("too few with the tag", four(tagged(), hot), step()),
        ("none with the tag", four(tagged(), hot), decommission(&[3, 4])),
        ("a full disk", four(orders(3), |all| all[0].disks[0].available = 10 * GIB), step()),
        ("too much data", four(orders(3), |all| all[3].disks[0].data_used = 300 * GIB), step()),
        (
            "too much on one medium",
            four(orders(3), |all| {
                all[3].disks[0].medium = Some(Medium::HDD);
            }),
            step(),
        ),
        ("disks unread", four(orders(3), |all| all[1].disks.clear()), step()),
        ("an unstable group", with_group(false), step()),
        ("switches", switches(Switches { scheduler_off: true, balance_off: true, colocate_balance_off: true }), step()),
        ("nothing to copy from", four(tables(&[("log", 1, &[&[-4]])]), |_| ()), step()),
        ("of a compute node", four(orders(3), |all| all[3].role = Some(NodeRole::Computation)), step()),
        ("tablets unread", Observed { tablets: None, ..four(orders(3), |_| ()) }, step()),
        ("groups unread", Observed { colocate_groups: None, ..four(orders(3), |_| ()) }, step()),
        ("switches unread", Observed { switches: None, ..four(orders(3), |_| ()) }, step()),
    ];
    insta::assert_snapshot!(told(SafetyRule::DecommissionFeasible, cases));
}

#[test]
fn decommission_feasible_allows_what_fits() {
    let rule = SafetyRule::DecommissionFeasible;
    allowed(rule, "one of four", &four(orders(3), |_| ()), &decommission(&[4]));
    let unknown_media = four(orders(3), |all| {
        all[3].disks[0].medium = Some(Medium::HDD);
        all[0].disks[0].medium = None;
    });
    allowed(rule, "2.0 does not tell the medium", &unknown_media, &decommission(&[4]));
    let dead = four(tables(&[("log", 2, &[&[1, 4]])]), |all| all[3].alive = false);
    allowed(rule, "a dead one with copies elsewhere", &dead, &decommission(&[4]));
}
