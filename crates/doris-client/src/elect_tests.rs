//! Tables and properties of the search for a master.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_oneof, proptest};

use super::{MasterVerdict, NoMaster, find_master};
use crate::error::Error;
use crate::http::{FrontendMetrics, HighAvailability};
use crate::probe::{FrontendTarget, FrontendView};
use crate::rows::{Frontend, FrontendRole};
use crate::transport::Endpoint;

fn host(index: usize) -> String {
    format!("fe-{index}")
}

fn view(index: usize) -> FrontendView {
    let ip = IpAddr::V4(Ipv4Addr::new(10, 0, 0, u8::try_from(index).expect("small")));
    let target = FrontendTarget { host: host(index), http: Endpoint { ip, port: 8030 }, query: Endpoint { ip, port: 9030 } };
    FrontendView {
        target,
        group: Ok(HighAvailability {
            role: "FOLLOWER".to_owned(),
            master: Some(host(0)),
            electable_nodes: Vec::new(),
            observer_nodes: Vec::new(),
            is_ready: true,
            last_checkpoint_version: None,
        }),
        metrics: Ok(FrontendMetrics { is_master: Some(false), max_journal_id: Some(120) }),
        earlier_journal_id: Some(110),
        journal_unchanged_for: Duration::from_secs(3),
    }
}

fn row(index: usize) -> Frontend {
    Frontend {
        name: format!("fe_{index}"),
        host: host(index),
        edit_log_port: 9010,
        query_port: Some(9030),
        role: FrontendRole::Follower,
        is_master: index == 0,
        cluster_id: Some(1),
        joined: true,
        alive: true,
        replayed_journal_id: Some(120),
        last_start_time: None,
        last_heartbeat: None,
        error: String::new(),
        version: None,
        current_connected: index == 0,
    }
}

fn make_master(view: &mut FrontendView, electable: &[usize]) {
    if let Ok(group) = &mut view.group {
        group.role = "MASTER".to_owned();
        group.electable_nodes = electable.iter().copied().map(host).collect();
    }
    if let Ok(metrics) = &mut view.metrics {
        metrics.is_master = Some(true);
    }
}

/// Three followers; fe-0 leads.
fn healthy() -> (Vec<FrontendView>, Vec<Frontend>) {
    let mut views: Vec<FrontendView> = (0..3).map(view).collect();
    make_master(&mut views[0], &[1, 2]);
    (views, (0..3).map(row).collect())
}

fn gone() -> Error {
    Error::Timeout { endpoint: "10.0.0.9:8030".to_owned(), limit: Duration::from_secs(5) }
}

fn unreachable(view: &mut FrontendView) {
    view.group = Err(gone());
    view.metrics = Err(gone());
}

type Change = fn(&mut Vec<FrontendView>, &mut Vec<Frontend>);

#[test]
fn a_master_is_accepted_when_a_majority_follows() {
    let cases: [(&str, Change); 6] = [
        ("all well", |_, _| ()),
        ("one follower unreachable", |views, _| unreachable(&mut views[2])),
        ("a follower's group hangs but its journal moves", |views, _| views[1].group = Err(gone())),
        ("one follower on its way in", |views, rows| {
            rows.push(Frontend { joined: false, alive: false, ..row(3) });
            let mut pending = view(3);
            unreachable(&mut pending);
            views.push(pending);
        }),
        ("a lone founder", |views, rows| {
            views.truncate(1);
            rows.truncate(1);
            make_master(&mut views[0], &[]);
            views[0].earlier_journal_id = None;
        }),
        ("a founder with a second follower on its way in", |views, rows| {
            views.truncate(1);
            rows.truncate(2);
            rows[1].joined = false;
            make_master(&mut views[0], &[]);
        }),
    ];
    for (name, change) in cases {
        let (mut views, mut rows) = healthy();
        change(&mut views, &mut rows);
        assert_eq!(find_master(&views, &rows), MasterVerdict::Accepted { host: host(0) }, "{name}");
    }
}

#[test]
fn every_reason_to_refuse_is_named() {
    let cases: [(&str, Change); 14] = [
        ("nobody", |views, _| views[0] = view(0)),
        ("two say so", |views, _| make_master(&mut views[1], &[0, 2])),
        ("a second one says so by its metrics alone", |views, _| {
            views[1].metrics = Ok(FrontendMetrics { is_master: Some(true), max_journal_id: Some(5) });
        }),
        ("its group hangs", |views, _| views[0].group = Err(gone())),
        ("it has no rows", |_, rows| rows.clear()),
        ("we are connected to another", |_, rows| {
            rows[0].current_connected = false;
            rows[1].current_connected = true;
        }),
        ("it shows another as master", |_, rows| {
            rows[0].is_master = false;
            rows[1].is_master = true;
        }),
        ("it lost its journal: its group is empty", |views, _| make_master(&mut views[0], &[])),
        ("it lost its journal, and nobody joined it", |views, rows| {
            make_master(&mut views[0], &[]);
            rows[1].joined = false;
            rows[2].joined = false;
        }),
        ("it lost its journal, and the real ones are out of our reach", |views, rows| {
            make_master(&mut views[0], &[]);
            rows[1].joined = false;
            rows[2].joined = false;
            unreachable(&mut views[1]);
            unreachable(&mut views[2]);
        }),
        ("isolated: its journal stands", |views, _| views[0].journal_unchanged_for = Duration::from_secs(31)),
        ("seen for the first time", |views, _| views[0].earlier_journal_id = None),
        ("followers are behind", |views, _| {
            for view in &mut views[1..] {
                view.metrics = Ok(FrontendMetrics { is_master: Some(false), max_journal_id: Some(110) });
            }
        }),
        ("followers are unreachable", |views, _| views[1..].iter_mut().for_each(unreachable)),
    ];
    let verdicts: Vec<String> = cases
        .into_iter()
        .map(|(name, change)| {
            let (mut views, mut rows) = healthy();
            change(&mut views, &mut rows);
            match find_master(&views, &rows) {
                MasterVerdict::Accepted { host } => panic!("{name}: {host} was accepted"),
                MasterVerdict::Refused(reason) => format!("{name} => {reason}"),
            }
        })
        .collect();
    insta::assert_snapshot!(verdicts.join("\n"));
}

#[test]
fn followers_that_name_another_known_frontend_do_not_follow() {
    let (mut views, rows) = healthy();
    for view in &mut views[1..] {
        if let Ok(group) = &mut view.group {
            group.master = Some(host(2));
        }
    }
    let verdict = find_master(&views, &rows);
    assert_eq!(verdict, MasterVerdict::Refused(NoMaster::NoMajority { host: host(0), following: 1, voters: 3, needed: 2 }));
}

fn any_view(index: usize) -> impl Strategy<Value = FrontendView> {
    let role = prop_oneof![Just("MASTER"), Just("FOLLOWER"), Just("UNKNOWN")];
    let nodes = prop::collection::vec((0usize..5).prop_map(host), 0..5);
    let journal = prop::option::of(90u64..130);
    (role, nodes, any::<Option<bool>>(), journal, prop::option::of(90u64..130), 0u64..60, any::<(bool, bool)>()).prop_map(
        move |(role, nodes, is_master, journal, earlier, age, (group_ok, metrics_ok))| {
            let mut view = view(index);
            if let Ok(group) = &mut view.group {
                group.role = role.to_owned();
                group.electable_nodes = nodes;
            }
            view.metrics = Ok(FrontendMetrics { is_master, max_journal_id: journal });
            if !group_ok {
                view.group = Err(gone());
            }
            if !metrics_ok {
                view.metrics = Err(gone());
            }
            view.earlier_journal_id = earlier;
            view.journal_unchanged_for = Duration::from_secs(age);
            view
        },
    )
}

fn any_row(index: usize) -> impl Strategy<Value = Frontend> {
    any::<(bool, bool, bool, bool)>().prop_map(move |(is_master, joined, connected, observer)| Frontend {
        is_master,
        joined,
        current_connected: connected,
        role: if observer { FrontendRole::Observer } else { FrontendRole::Follower },
        ..row(index)
    })
}

fn any_cluster() -> impl Strategy<Value = (Vec<FrontendView>, Vec<Frontend>)> {
    (1usize..6).prop_flat_map(|count| {
        let views: Vec<_> = (0..count).map(any_view).collect();
        let rows: Vec<_> = (0..count).map(any_row).collect();
        (views, rows)
    })
}

proptest! {
    #[test]
    fn whoever_is_accepted_is_the_only_one_that_claims_it((views, rows) in any_cluster()) {
        if let MasterVerdict::Accepted { host } = find_master(&views, &rows) {
            let claimants: Vec<_> = views.iter().filter(|view| view.claims_to_be_master()).collect();
            prop_assert!(claimants.len() == 1 && claimants[0].target.host == host);
            prop_assert!(rows.iter().all(|row| row.is_master == (row.host == host)));
        }
    }

    /// Whatever else is seen: with all others out of reach no frontend of a group of three is accepted.
    #[test]
    fn an_isolated_master_is_never_accepted(count in 3usize..6, joined in any::<[bool; 6]>(), electable in any::<[bool; 6]>(), age in 0u64..60) {
        let mut views: Vec<FrontendView> = (0..count).map(view).collect();
        let in_group: Vec<usize> = (1..count).filter(|index| electable[*index]).collect();
        make_master(&mut views[0], &in_group);
        views[0].journal_unchanged_for = Duration::from_secs(age);
        views[1..].iter_mut().for_each(unreachable);
        let rows: Vec<Frontend> = (0..count).map(|index| Frontend { joined: index == 0 || joined[index], ..row(index) }).collect();
        prop_assert!(matches!(find_master(&views, &rows), MasterVerdict::Refused(_)));
    }

    /// Two frontends see each other's half: at most one of them can ever be accepted, whichever rows are read.
    #[test]
    fn two_masters_are_never_accepted((mut views, rows) in any_cluster(), first in 0usize..5, second in 0usize..5) {
        let count = views.len();
        if count > 1 && first % count != second % count {
            make_master(&mut views[first % count], &[]);
            make_master(&mut views[second % count], &[]);
            let both_reachable = [first, second].iter().all(|index| views[index % count].claims_to_be_master());
            if both_reachable {
                let several = matches!(find_master(&views, &rows), MasterVerdict::Refused(NoMaster::SeveralClaim { .. }));
                prop_assert!(several);
            }
        }
    }
}
