//! Who gets statements, and whom they name.

use std::collections::BTreeSet;
use std::time::Duration;

use doris_api::DorisCluster;
use doris_sim::{Cut, MemberKind};
use kube::api::DeleteParams;
use scenarios::lab::{Lab, Settings, basic, cluster, full};
use serde_json::json;

#[tokio::test(start_paused = true)]
async fn a_member_is_added_by_its_own_fqdn_only() {
    let lab = Lab::new(Settings::default()).await;
    let _controller = lab.start_controller();
    lab.apply(&cluster("demo", full("2.1.7"))).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    let own = |component: &str, count: usize| {
        (0..count)
            .map(move |ordinal| format!("demo-{component}-{ordinal}.demo-{component}-members.default.svc.cluster.local"))
            .collect::<Vec<_>>()
    };
    let expected =
        |components: &[(&str, usize)]| components.iter().flat_map(|(component, count)| own(component, *count)).collect::<BTreeSet<_>>();
    for (kind, hosts) in [
        (MemberKind::Follower, expected(&[("fe", 3)])),
        (MemberKind::Observer, expected(&[("fe-ob", 2)])),
        (MemberKind::Backend, expected(&[("be", 3), ("cn", 2)])),
        (MemberKind::Broker, expected(&[("broker", 1)])),
    ] {
        let registered: BTreeSet<String> = lab.registered("demo", kind).into_iter().map(|(_, row)| row.host).collect();
        assert_eq!(registered, hosts);
    }
    // One member may be named by several rows of a statement, but nothing else may be.
    let all = expected(&[("fe", 3), ("fe-ob", 2), ("be", 3), ("cn", 2), ("broker", 1)]);
    let statements = lab.faults.statements();
    let adds: Vec<&String> = statements.iter().map(|(_, text)| text).filter(|text| text.contains(" ADD ")).collect();
    assert!(adds.len() >= 5, "{adds:#?}");
    for add in adds {
        let named: Vec<&str> = add.split(['"', '\'']).filter(|part| part.contains(':')).collect();
        assert!(!named.is_empty(), "{add}");
        for member in named {
            let host = member.rsplit_once(':').map_or(member, |(host, _)| host);
            assert!(all.contains(host), "{host} is no member's own name: {add}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_isolated_master_gets_no_statement() {
    isolate_and_add(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn a_master_whose_journal_stands_gets_no_statement() {
    isolate_and_add(Duration::from_secs(35)).await;
}

/// Cuts the master off from its followers, not from us, and gives us something to do after a while.
async fn isolate_and_add(after: Duration) {
    let lab = Lab::new(Settings::default()).await;
    let _controller = lab.start_controller();
    lab.apply(&cluster("demo", basic("2.1.7"))).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    let old = lab.master_pod("demo").expect("there is a master");
    let address = lab.nodes.address("default", &old).expect("it runs");
    for other in ["demo-fe-0", "demo-fe-1", "demo-fe-2"].into_iter().filter(|pod| *pod != old) {
        let other = lab.nodes.address("default", other).expect("it runs");
        lab.world.cut(address.into(), other.into(), Cut::Silent);
    }
    tokio::time::sleep(after).await;
    let before = lab.faults.statements().len();
    let mut spec = basic("2.1.7");
    spec["be"]["replicas"] = json!(4);
    lab.apply(&cluster("demo", spec)).await.expect("the spec is accepted");
    let joined = || async {
        let new =
            lab.frontends("demo").into_iter().find(|frontend| frontend.says_master && frontend.start.ip != std::net::IpAddr::from(address));
        let rows = new.map(|master| master.registered).unwrap_or_default();
        let found = rows.iter().any(|row| row.kind == MemberKind::Backend && row.alive && row.host.starts_with("demo-be-3."));
        if found { Ok(()) } else { Err(format!("{rows:#?}")) }
    };
    lab.eventually("the new master takes the new backend", Duration::from_mins(10), joined).await;
    // A right that the operator has, granted again: whether a majority acknowledges that is what is to be found out.
    let is_harmless = |text: &str| {
        ["SHOW", "SELECT", "ADMIN SHOW", "GRANT ADMIN_PRIV"].iter().any(|word| text.trim_start().to_uppercase().starts_with(word))
    };
    let to_old: Vec<String> = lab
        .faults
        .statements()
        .into_iter()
        .skip(before)
        .filter(|(to, text)| *to == std::net::IpAddr::from(address) && !is_harmless(text))
        .map(|(_, text)| text)
        .collect();
    assert_eq!(to_old, Vec::<String>::new(), "what a master without a majority takes is lost or comes back late");
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn recreate_with_fewer_followers_still_elects() {
    let lab = Lab::new(Settings::default()).await;
    let _controller = lab.start_controller();
    lab.apply(&cluster("demo", basic("2.1.7"))).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    let ids = lab.founded_ids("demo");
    lab.api::<DorisCluster>().delete("demo", &DeleteParams::background()).await.expect("the cluster is deleted");
    let gone = || async {
        let running = lab.processes("demo").into_iter().filter(doris_sim::MemberFacts::is_running).count();
        if running == 0 { Ok(()) } else { Err(format!("{running} processes run")) }
    };
    lab.eventually("all members end", Duration::from_mins(5), gone).await;

    let mut spec = basic("2.1.7");
    spec["fe"]["replicas"] = json!(1);
    lab.apply(&cluster("demo", spec)).await.expect("the spec is accepted");
    let elected = || async {
        let masters = lab.masters("demo");
        if masters.len() == 1 { Ok(()) } else { Err(format!("{} masters", masters.len())) }
    };
    lab.eventually("a master is elected", Duration::from_mins(5), elected).await;
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert_eq!(lab.founded_ids("demo"), ids, "the same cluster");
    assert_eq!(lab.alive("demo", MemberKind::Follower).len(), 3, "a majority of all registered ones has to be there");
    assert_eq!(lab.alive("demo", MemberKind::Backend).len(), 3);
}
