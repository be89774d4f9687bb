use doris_api::cluster::UnavailableTables;
use doris_api::rules::SafetyRule;
use doris_safety::{
    Backend, NodeRole, Observed, PartitionKind, PlacedPartition, Step, TabletMapBuilder, Terms, check, consequences, sole_server,
};

use super::fixtures::{allowed, be, partition, restart_be, tables, terms, told, well, with_backends};

/// One tablet, with a replica on the third backend.
const ON_THREE: &[&[i64]] = &[&[3]];

fn gone(id: u64) -> impl FnOnce(&mut Vec<Backend>) {
    move |all| all.iter_mut().filter(|backend| backend.id == id).for_each(|backend| backend.alive = false)
}

fn drop_be(backend: u64) -> Step {
    Step::DropBackend { backend }
}

fn claim(id: u64) -> Step {
    Step::DeleteBackendClaim { host: be(id), claim: format!("data-c-be-{id}") }
}

#[test]
fn keep_replica_names_the_table_and_cannot_be_overridden() {
    let single = || tables(&[("orders", 3, &[&[1, 2, 3]]), ("log", 1, &[&[3], &[2], &[3]])]);
    let behind = || tables(&[("orders", 3, &[&[3, -1, -2]])]);
    let last_trace = || tables(&[("orders", 2, &[&[-3]])]);
    let unread = || {
        let mut builder = TabletMapBuilder::new();
        builder.table("sales", "log", None);
        builder.healthy(partition("p1", 1), 7);
        builder.finish()
    };
    let unknown = || {
        let mut builder = TabletMapBuilder::new();
        builder.table("sales", "log", None);
        builder.unknown(PlacedPartition { kind: PartitionKind::Temporary, ..partition("tp1", 3) }, 7);
        builder.finish()
    };
    let compute = |tablets: u64| move |all: &mut Vec<Backend>| (all[2].role, all[2].tablets) = (Some(NodeRole::Computation), tablets);
    let cases = [
        ("a table with one replica", with_backends(3, single(), gone(3)), drop_be(3)),
        ("the others are behind", with_backends(3, behind(), gone(3)), drop_be(3)),
        ("a bad replica, but the last", with_backends(3, last_trace(), gone(3)), drop_be(3)),
        (
            "the other one is dead too",
            with_backends(3, tables(&[("orders", 2, &[&[2, 3]])]), |all| {
                all[1].alive = false;
                all[2].alive = false;
            }),
            drop_be(3),
        ),
        ("where they lie was not read", with_backends(3, unread(), gone(3)), drop_be(3)),
        ("nothing is known of them", with_backends(3, unknown(), gone(3)), drop_be(3)),
        ("alive and not empty", well(), drop_be(3)),
        ("the claim of one with the only copy", with_backends(3, single(), |_| ()), claim(3)),
        ("compute node with tablets", with_backends(3, single(), compute(2)), Step::DropComputeNode { backend: 3 }),
        ("no compute node", with_backends(3, single(), |all| all[2].role = None), Step::DropComputeNode { backend: 3 }),
        ("pod of one that is not empty", well(), Step::RemovePod { host: be(3) }),
        ("tablets unread", Observed { tablets: None, ..with_backends(3, single(), gone(3)) }, drop_be(3)),
        ("backends unread", Observed { backends: None, ..well() }, drop_be(3)),
    ];
    for (name, observed, step) in &cases {
        let refusal = check(observed, step, &terms()).expect_err("blocked");
        let mut blocked = refusal.blocked.iter().filter(|blocked| blocked.rule == SafetyRule::KeepReplica);
        assert!(blocked.all(|blocked| blocked.hard.is_some()), "{name}");
    }
    insta::assert_snapshot!(told(SafetyRule::KeepReplica, cases));
}

#[test]
fn keep_replica_allows_what_other_backends_have() {
    let rule = SafetyRule::KeepReplica;
    let map = || tables(&[("orders", 3, &[&[1, 2, 3], &[1, -2, 3]]), ("log", 1, &[&[1]])]);
    allowed(rule, "a dead one", &with_backends(3, map(), gone(3)), &drop_be(3));
    allowed(rule, "its claim", &with_backends(3, map(), gone(3)), &claim(3));
    allowed(rule, "an empty one", &with_backends(4, map(), |all| all[3].tablets = 0), &drop_be(4));
    allowed(rule, "a claim of nobody", &well(), &claim(9));
    let mut builder = TabletMapBuilder::new();
    builder.table("sales", "orders", None);
    builder.healthy(partition("p1", 3), 7);
    allowed(rule, "healthy with enough copies", &with_backends(3, builder.finish(), gone(3)), &drop_be(3));
}

#[test]
fn serve_replica_names_tables_and_the_way_out() {
    let many: Vec<String> = (0..8).map(|n| format!("log_{n}")).collect();
    let many: Vec<(&str, u16, &[&[i64]])> = many.iter().map(|name| (name.as_str(), 1, ON_THREE)).collect();
    let partitioned = || {
        let mut builder = TabletMapBuilder::new();
        builder.table("sales", "events", None);
        builder.placed(partition("p1 to p40", 1), [(5, Some(2), true), (6, Some(3), true)]);
        builder.placed(PlacedPartition { kind: PartitionKind::Temporary, ..partition("tp1", 1) }, [(7, Some(3), true)]);
        builder.finish()
    };
    let cases = [
        ("one replica", with_backends(3, tables(&[("log", 1, &[&[3]])]), |_| ()), restart_be(&[3])),
        ("many tables", with_backends(3, tables(&many), |_| ()), restart_be(&[3])),
        ("partitions", with_backends(3, partitioned(), |_| ()), restart_be(&[3])),
        ("a whole failure domain", with_backends(4, tables(&[("orders", 2, &[&[1, 2], &[1, 3]])]), |_| ()), restart_be(&[1, 2])),
        ("the other one is dead", with_backends(3, tables(&[("orders", 2, &[&[2, 3]])]), gone(2)), restart_be(&[3])),
        (
            "the other one answers no queries",
            with_backends(3, tables(&[("orders", 2, &[&[2, 3]])]), |all| all[1].query_disabled = true),
            restart_be(&[3]),
        ),
        ("tablets unread", Observed { tablets: None, ..well() }, restart_be(&[3])),
    ];
    insta::assert_snapshot!(told(SafetyRule::ServeReplica, cases));
}

#[test]
fn serve_replica_blames_a_restart_for_nothing_that_it_does_not_do() {
    let rule = SafetyRule::ServeReplica;
    let dead_anyway = with_backends(4, tables(&[("log", 1, &[&[3]])]), gone(3));
    allowed(rule, "unreadable before", &dead_anyway, &restart_be(&[1]));
    let quarantined = with_backends(3, tables(&[("log", 1, &[&[2]])]), |all| all[1].query_disabled = true);
    allowed(rule, "kept from queries by somebody else", &quarantined, &restart_be(&[3]));
    let compute = with_backends(3, tables(&[("log", 1, &[&[1]])]), |all| all[2].role = Some(NodeRole::Computation));
    allowed(rule, "a compute node", &compute, &restart_be(&[3]));
}

#[test]
fn load_quorum_names_tables_and_the_way_out() {
    let cases = [
        ("two replicas", with_backends(3, tables(&[("orders", 2, &[&[2, 3]])]), |_| ()), restart_be(&[3])),
        ("one under repair", with_backends(3, tables(&[("orders", 3, &[&[1, 2, 3], &[1, 3, -2]])]), |_| ()), restart_be(&[3])),
        ("a live one of two is dropped", with_backends(3, tables(&[("orders", 2, &[&[2, 3]])]), |_| ()), drop_be(3)),
        ("tablets unread", Observed { tablets: None, ..well() }, restart_be(&[3])),
    ];
    insta::assert_snapshot!(told(SafetyRule::LoadQuorum, cases));
}

#[test]
fn load_quorum_heeds_what_the_table_asks_for_and_what_was_lost_before() {
    let rule = SafetyRule::LoadQuorum;
    let mut builder = TabletMapBuilder::new();
    builder.table("sales", "orders", Some(1));
    builder.placed(partition("orders", 2), [(7, Some(2), true), (7, Some(3), true)]);
    allowed(rule, "one live replica is enough", &with_backends(3, builder.finish(), |_| ()), &restart_be(&[3]));
    let lost = with_backends(4, tables(&[("orders", 3, &[&[1, -2, -3]])]), |_| ());
    allowed(rule, "no loads before either", &lost, &restart_be(&[1]));
}

#[test]
fn a_backend_that_alone_serves_a_table_is_known_for_it() {
    let single = || tables(&[("orders", 3, &[&[1, 2, 3]]), ("log", 1, ON_THREE)]);
    let all = with_backends(3, single(), |_| ());
    assert!(sole_server(&all, &restart_be(&[3])) && !sole_server(&all, &restart_be(&[1])));
    assert!(!sole_server(&with_backends(3, single(), gone(3)), &restart_be(&[3])), "it serves nothing now");
    assert!(sole_server(&with_backends(3, tables(&[("orders", 2, &[&[2, 3]])]), |all| all[1].query_disabled = true), &restart_be(&[3])));
    assert!(!sole_server(&Observed { tablets: None, ..well() }, &restart_be(&[3])), "nothing is known of any table");
}

#[test]
fn tables_may_be_away_where_the_spec_allows_it() {
    let observed = with_backends(3, tables(&[("log", 1, &[&[3]]), ("orders", 2, &[&[2, 3]])]), |_| ());
    let allow = Terms { unavailable_tables: UnavailableTables::Allow, ..terms() };
    assert!(check(&observed, &restart_be(&[3]), &terms()).is_err());
    assert!(check(&observed, &restart_be(&[3]), &allow).is_ok());
    insta::assert_snapshot!(consequences(&observed, &restart_be(&[3])).join("\n"));
}
