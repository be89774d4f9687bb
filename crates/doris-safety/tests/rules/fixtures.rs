//! A well cluster, to be hurt by each test in its own way.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use doris_api::DorisVersion;
use doris_api::cluster::{Medium, UnavailableTables};
use doris_api::rules::SafetyRule;
use doris_safety::{
    Allocation, Backend, CacheLag, Disk, Frontend, FrontendRole, Frontends, Health, Jobs, Lease, Master, Metadata, NodeRole, Observed,
    PartitionKind, PlacedPartition, Step, Switches, TabletMap, TabletMapBuilder, Terms, Token, check,
};
use jiff::Timestamp;

pub const GIB: u64 = 1 << 30;

pub fn now() -> Timestamp {
    "2026-11-23T03:00:00Z".parse().expect("a time")
}

pub fn version(text: &str) -> DorisVersion {
    text.parse().expect("a version")
}

pub fn fe(index: usize) -> String {
    format!("c-fe-{index}.c-fe-members.ns.svc.cluster.local")
}

pub fn be(index: u64) -> String {
    format!("c-be-{index}.c-be-members.ns.svc.cluster.local")
}

pub fn frontend(index: usize) -> Frontend {
    Frontend {
        host: fe(index),
        role: FrontendRole::Follower,
        joined: true,
        alive: true,
        stopped: false,
        journal: Some(120),
        done: true,
        steady_for: Some(Duration::from_secs(3600)),
        checkpoint: Some(100),
        has_metadata_copy: false,
    }
}

/// Followers, the first of which is master.
pub fn frontends(count: usize) -> Frontends {
    let members: Vec<Frontend> = (0..count).map(frontend).collect();
    let group = members.iter().map(|member| member.host.clone()).collect();
    Frontends { members, master: Ok(Master { host: fe(0), journal: 120, group }) }
}

/// A backend whose id is its ordinal.
pub fn backend(id: u64) -> Backend {
    Backend {
        id,
        host: be(id),
        role: Some(NodeRole::Mix),
        alive: true,
        decommissioning: false,
        query_disabled: false,
        load_disabled: false,
        location: "default".to_owned(),
        tablets: 100,
        disks: vec![Disk {
            path: "/data".to_owned(),
            medium: Some(Medium::SSD),
            online: true,
            total: 100 * GIB,
            available: 80 * GIB,
            data_used: 20 * GIB,
        }],
    }
}

pub fn partition(name: &str, copies: u16) -> PlacedPartition {
    PlacedPartition {
        name: name.to_owned(),
        kind: PartitionKind::Regular,
        allocation: Allocation::new([("default", copies)]),
        medium: None,
    }
}

/// A table without partitions for each entry: its name, its number of replicas, and for each tablet the
/// backends; a negative one holds a replica that is not good.
pub fn tables(tables: &[(&str, u16, &[&[i64]])]) -> TabletMap {
    let mut builder = TabletMapBuilder::new();
    let mut id = 1000;
    for (name, copies, placements) in tables {
        builder.table("sales", name, None);
        let mut rows = Vec::new();
        for backends in *placements {
            id += 1;
            rows.extend(backends.iter().map(|backend| (id, Some(backend.unsigned_abs()), *backend > 0)));
        }
        builder.placed(partition(name, *copies), rows);
    }
    builder.finish()
}

/// Three frontends, three backends with the ids 1 to 3, a table with three replicas; the Lease is ours.
pub fn well() -> Observed {
    let token = Token { uid: "l".to_owned(), transitions: 4 };
    Observed {
        frontends: Some(frontends(3)),
        backends: Some((1..=3).map(backend).collect()),
        tablets: Some(tables(&[("orders", 3, &[&[1, 2, 3], &[1, 2, 3]])])),
        health: Some(Health { unhealthy: Vec::new(), tablets: 2 }),
        baseline: Some(BTreeSet::new()),
        jobs: Some(Jobs::default()),
        colocate_groups: Some(Vec::new()),
        switches: Some(Switches::default()),
        metadata: Some(Metadata { written_by: Some(version("2.1.7")), written_since: None, upgrading_to: None }),
        lease: Some(Lease {
            identity: "controller-a".to_owned(),
            holder: Some("controller-a".to_owned()),
            operation: Some("Upgrade c".to_owned()),
            token: Some(token.clone()),
            taken: Some(token),
            renewed_ago: Duration::from_secs(1),
            duration: Duration::from_secs(15),
        }),
        cache: Some(CacheLag { behind: BTreeMap::new() }),
    }
}

pub fn terms() -> Terms<'static> {
    Terms {
        operation: "Upgrade 2026-11-23T02:00:00Z",
        unavailable_tables: UnavailableTables::Refuse,
        overrides: &[],
        used: &[],
        now: now(),
    }
}

/// What a rule has against a step: its refusals, as a person reads them.
pub fn against(rule: SafetyRule, observed: &Observed, step: &Step) -> Vec<String> {
    let refusal = check(observed, step, &terms()).err();
    let blocked = refusal.into_iter().flat_map(|refusal| refusal.blocked);
    blocked.filter(|blocked| blocked.rule == rule).map(|blocked| format!("[{}] {blocked}", blocked.object)).collect()
}

/// Each case's refusals under its name, for one snapshot a rule.
pub fn told<'a>(rule: SafetyRule, cases: impl IntoIterator<Item = (&'a str, Observed, Step)>) -> String {
    let told = cases.into_iter().map(|(name, observed, step)| {
        let lines = against(rule, &observed, &step);
        assert!(!lines.is_empty(), "{rule} allows: {name}");
        format!("{name}\n  {}", lines.join("\n  "))
    });
    told.collect::<Vec<_>>().join("\n")
}

/// Asserts that a rule has nothing against a step.
pub fn allowed(rule: SafetyRule, name: &str, observed: &Observed, step: &Step) {
    assert_eq!(against(rule, observed, step), Vec::<String>::new(), "{name}");
}

pub fn restart_fe(index: usize) -> Step {
    Step::RestartFrontend { host: fe(index), onto: None }
}

pub fn restart_be(ids: &[u64]) -> Step {
    Step::RestartBackends { backends: ids.iter().copied().collect() }
}

pub fn changed(change: impl FnOnce(&mut Observed)) -> Observed {
    let mut observed = well();
    change(&mut observed);
    observed
}

/// A well cluster with so many followers, changed.
pub fn with_frontends(count: usize, change: impl FnOnce(&mut Frontends)) -> Observed {
    let mut frontends = frontends(count);
    change(&mut frontends);
    Observed { frontends: Some(frontends), ..well() }
}

/// A well cluster with so many backends and these tables, changed.
pub fn with_backends(count: u64, tablets: TabletMap, change: impl FnOnce(&mut Vec<Backend>)) -> Observed {
    let mut backends: Vec<Backend> = (1..=count).map(backend).collect();
    change(&mut backends);
    Observed { backends: Some(backends), tablets: Some(tablets), ..well() }
}
