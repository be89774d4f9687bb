//! What the safety rules look at, as far as the model has it, read from every version.

use std::collections::BTreeMap;

use doris_client::survey::{self, FrontendPod};
use doris_client::{Endpoint, Error, FrontendRole, Journals, Queue, Session, find_and_prove_master};

use doris_sim::Signal;

use super::transport::Direct;
use super::{BE, VERSIONS, at, cluster, host, ip, login, seconds, targets};

async fn run(transport: &Direct, endpoint: Endpoint, statement: &str) -> Result<(), Error> {
    let mut connection = doris_client::Transport::connect(transport, endpoint, &login("root", "")).await?;
    connection.query(statement).await.map(drop)
}

/// A table of one replica in database `d1`.
async fn with_table(version: &str) -> Result<(Direct, Session), Error> {
    let (transport, session) = cluster(version).await?;
    run(&transport, at(1, 9030), "CREATE DATABASE d1").await?;
    let table = r#"CREATE TABLE d1.t1 (k INT) DUPLICATE KEY(k) DISTRIBUTED BY HASH(k) BUCKETS 4 PROPERTIES ("replication_num"="1")"#;
    run(&transport, at(1, 9030), table).await?;
    Ok((transport, session))
}

#[tokio::test(start_paused = true)]
async fn tables_and_replicas_are_read() -> Result<(), Error> {
    for version in VERSIONS {
        let (_transport, mut session) = with_table(version).await?;
        let databases = session.databases().await?;
        let names: Vec<&str> = databases.iter().map(|database| database.name.as_str()).collect();
        assert!(names.contains(&"d1") && !names.contains(&"mysql") && !names.contains(&"information_schema"), "{version}: {names:?}");
        let own = databases.iter().find(|database| database.name == "d1").map_or(0, |database| database.id);
        let tables = session.stored_tables(own).await?;
        assert_eq!(tables.iter().map(|table| table.name.as_str()).collect::<Vec<_>>(), ["t1"], "{version}");
        let replicas = session.replicas("d1", "t1", &[]).await?;
        assert!(replicas.len() == 4 && replicas.iter().all(doris_client::ReplicaRow::is_good), "{version}: {replicas:?}");
        let shares = session.replica_shares("d1", "t1").await?;
        assert_eq!(shares.iter().map(|share| share.replicas).collect::<Vec<_>>(), [4], "{version}");
        assert_eq!(replicas[0].backend, Some(shares[0].backend), "{version}");
        let home = session.tablet_home(replicas[0].tablet).await?;
        assert_eq!(home.map(|home| (home.database, home.table)), Some(("d1".to_owned(), "t1".to_owned())), "{version}");
        assert_eq!(session.tablet_home(1).await?, None, "{version}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn unhealthy_tablets_are_named_by_id() -> Result<(), Error> {
    for version in VERSIONS {
        let (transport, mut session) = with_table(version).await?;
        let well = survey::health(&mut session).await?;
        assert!(well.unhealthy.is_empty() && well.tablets > 4, "{version}: {well:?}");
        let tablets: Vec<u64> = session.replicas("d1", "t1", &[]).await?.iter().map(|replica| replica.tablet).collect();
        transport.world.process_at(ip(BE)).expect("the backend runs").signal(Signal::Kill);
        seconds(60).await;
        let sick = survey::health(&mut session).await?;
        let own: Vec<_> = sick.unhealthy.iter().filter(|one| one.database == "d1").collect();
        assert_eq!(own.iter().map(|one| one.status.as_str()).collect::<Vec<_>>(), ["Unrecoverable"], "{version}");
        assert_eq!(own[0].tablets, tablets, "{version}");
        let backends = survey::backends(&mut session, &BTreeMap::new(), true).await?;
        assert!(
            backends.iter().all(|backend| !backend.alive && backend.role.is_none() && backend.disks.len() == 1),
            "{version}: {backends:?}"
        );
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn switches_groups_queues_and_backups_are_read() -> Result<(), Error> {
    for version in VERSIONS {
        let (_transport, mut session) = with_table(version).await?;
        session.use_utc().await?;
        session.set_frontend_setting("disable_tablet_scheduler", "true").await?;
        let switches = survey::switches(&mut session).await?;
        assert!(switches.scheduler_off && !switches.balance_off && !switches.colocate_balance_off, "{version}");
        assert!(survey::colocate_groups(&mut session).await?.is_empty(), "{version}");
        assert!(session.running_backups("d1").await?.is_empty(), "{version}");
        for queue in [Queue::Pending, Queue::Running] {
            assert!(session.scheduled_tablets(queue).await?.is_empty(), "{version}");
        }
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn frontends_are_caught_up_with_the_journal_that_the_master_had_before() -> Result<(), Error> {
    for version in VERSIONS {
        let (transport, _session) = cluster(version).await?;
        let (mut journals, root) = (Journals::default(), login("root", ""));
        find_and_prove_master(&transport, &targets(), &root, &mut journals).await;
        seconds(11).await;
        let search = find_and_prove_master(&transport, &targets(), &root, &mut journals).await;
        let pod = FrontendPod { role: FrontendRole::Follower, stopped: false, done: true, steady_for: None, has_metadata_copy: false };
        let pods: BTreeMap<String, FrontendPod> = (0..3).map(|n| (host(n), pod.clone())).collect();
        let seen = survey::frontends(&transport, search.found(), &pods).await;
        let master = seen.master.as_ref().map(|master| (master.host.clone(), master.group.len()));
        assert_eq!(master, Ok((host(0), 3)), "{version}");
        assert!(seen.members.len() == 3 && seen.members.iter().all(|member| seen.is_caught_up(member)), "{version}: {seen:?}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn partitions_and_the_replicas_of_some_of_them_are_read() -> Result<(), Error> {
    for version in VERSIONS {
        let (transport, mut session) = cluster(version).await?;
        // Doris makes its own tables a while after its first backend lives.
        seconds(30).await;
        let databases = session.databases().await?;
        let internal = databases.iter().find(|database| database.name == "__internal_schema").map_or(0, |database| database.id);
        let tables = session.stored_tables(internal).await?;
        let log = tables.iter().find(|table| table.name == "audit_log").map_or(0, |table| table.id);
        let partitions = session.partitions(internal, log, false).await?;
        assert_eq!(partitions.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["p0", "p1", "p2", "p3"], "{version}");
        assert!(partitions.iter().all(|row| row.allocation == BTreeMap::from([("default".to_owned(), 1)])), "{version}: {partitions:?}");
        assert!(session.partitions(internal, log, true).await?.is_empty(), "{version}: no temporary ones");
        let all = session.replicas("__internal_schema", "audit_log", &[]).await?.len();
        let some = session.replicas("__internal_schema", "audit_log", &["p1", "p3"]).await?.len();
        assert_eq!((some * 2, some > 0), (all, true), "{version}");
        let unknown = session.replicas("__internal_schema", "audit_log", &["p1", "p9"]).await;
        assert!(matches!(&unknown, Err(Error::Refused { message, .. }) if message.contains("p9")), "{version}: {unknown:?}");
        drop(transport);
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn everything_that_the_restart_of_a_backend_is_judged_by_is_read() -> Result<(), Error> {
    use doris_api::rules::SafetyRule;
    use doris_safety::{Step, Terms, check, sole_server};
    for version in VERSIONS {
        let (_transport, mut session) = with_table(version).await?;
        let backends = session.backends().await?;
        let step = Step::RestartBackends { backends: backends.iter().map(|row| row.id).collect() };
        let observed = survey::for_step(&mut session, &step, None, &BTreeMap::new()).await?;
        let terms = Terms {
            operation: "test",
            unavailable_tables: doris_api::cluster::UnavailableTables::Refuse,
            overrides: &[],
            used: &[],
            now: "2026-11-23T03:00:00Z".parse().expect("a time"),
        };
        let refused = check(&observed, &step, &terms).expect_err("its tables have one replica");
        let rules: Vec<SafetyRule> = refused.blocked.iter().map(|blocked| blocked.rule).collect();
        assert_eq!(rules, [SafetyRule::ServeReplica, SafetyRule::LoadQuorum, SafetyRule::OneAtATime, SafetyRule::Fresh], "{version}");
        assert!(refused.blocked[0].sentence.contains("d1.t1"), "{version}: {refused}");
        assert!(sole_server(&observed, &step), "{version}");
    }
    Ok(())
}
