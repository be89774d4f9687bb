use std::time::Duration;

use doris_safety::{AlterJob, BackupJob, Health, Observed, Unhealthy, preflight};

use super::fixtures::{GIB, frontends, now, tables, version, well, with_backends};

fn told(observed: &Observed, to: &str) -> String {
    let line = |finding: doris_safety::Finding| {
        format!("{} {}: {}", if finding.blocks { "blocks" } else { "note" }, finding.topic, finding.sentence)
    };
    preflight(observed, &version(to), now()).into_iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_well_cluster_may_begin() {
    assert_eq!(told(&well(), "3.0.3"), "");
}

#[test]
fn everything_that_stands_in_the_way_is_told_at_once() {
    let few = tables(&[("orders", 3, &[&[1, 2, 3]]), ("log", 1, &[&[3]]), ("pairs", 2, &[&[1, 2]])]);
    let mut observed = with_backends(4, few, |all| {
        all[0].alive = false;
        all[1].decommissioning = true;
        all[2].query_disabled = true;
        all[3].disks[0].available = 10 * GIB;
    });
    let mut members = frontends(3);
    (members.members[1].alive, members.members[2].joined) = (false, false);
    members.master = Err("nobody answers".to_owned());
    observed.frontends = Some(members);
    let sick = |status: &str, tablets: Vec<u64>| Unhealthy { database: "sales".to_owned(), status: status.to_owned(), tablets };
    observed.health = Some(Health { unhealthy: vec![sick("ReplicaMissing", vec![7, 8]), sick("Unrecoverable", vec![9])], tablets: 90 });
    observed.baseline = Some([9].into());
    let jobs = observed.jobs.as_mut().expect("jobs");
    jobs.backups =
        vec![BackupJob { is_restore: false, database: "sales".to_owned(), label: "b1".to_owned(), state: "UPLOADING".to_owned() }];
    let alter =
        |table: &str, created| AlterJob { database: "sales".to_owned(), table: table.to_owned(), state: "RUNNING".to_owned(), created };
    jobs.alters = vec![
        alter("young", Some(now() - Duration::from_secs(600))),
        alter("old", Some(now() - Duration::from_secs(7200))),
        alter("undated", None),
    ];
    insta::assert_snapshot!(told(&observed, "4.0.1"));
}

#[test]
fn what_could_not_be_read_stands_in_the_way() {
    insta::assert_snapshot!(told(&Observed::default(), "3.0.3"));
}
