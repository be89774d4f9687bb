use std::time::Duration;

use doris_api::rules::SafetyRule;
use doris_safety::{BackupJob, NodeRole, Observed, Step, Token, applicable};

use super::fixtures::{allowed, be, changed, fe, restart_be, restart_fe, told, version, well};

fn job(is_restore: bool, label: &str) -> BackupJob {
    BackupJob { is_restore, database: "sales".to_owned(), label: label.to_owned(), state: "UPLOADING".to_owned() }
}

#[test]
fn one_at_a_time_tells_who_holds_the_lease() {
    let lease = |change: fn(&mut doris_safety::Lease)| changed(|all| change(all.lease.as_mut().expect("a Lease")));
    let cases = [
        ("somebody else", lease(|lease| lease.holder = Some("failover-watcher-x".to_owned())), restart_fe(1)),
        ("nobody", lease(|lease| lease.holder = None), restart_fe(1)),
        ("another token", lease(|lease| lease.token = Some(Token { uid: "l".to_owned(), transitions: 5 })), restart_fe(1)),
        ("never taken", lease(|lease| lease.taken = None), restart_fe(1)),
        ("renewed long ago", lease(|lease| lease.renewed_ago = Duration::from_secs(6)), restart_fe(1)),
        ("unread", Observed { lease: None, ..well() }, restart_fe(1)),
    ];
    insta::assert_snapshot!(told(SafetyRule::OneAtATime, cases));
    allowed(SafetyRule::OneAtATime, "ours", &well(), &restart_fe(1));
}

#[test]
fn fresh_names_what_is_behind() {
    let behind = |names: &[&str]| {
        changed(|all| {
            all.cache.as_mut().expect("a cache").behind = names.iter().map(|name| ((*name).to_owned(), Duration::from_secs(2))).collect();
        })
    };
    let cases = [
        ("one", behind(&["Pod ns/c-be-1"]), restart_fe(1)),
        ("two", behind(&["Pod ns/c-be-1", "StatefulSet ns/c-be"]), restart_fe(1)),
        ("unread", Observed { cache: None, ..well() }, restart_fe(1)),
    ];
    insta::assert_snapshot!(told(SafetyRule::Fresh, cases));
    allowed(SafetyRule::Fresh, "nothing is behind", &well(), &restart_fe(1));
}

#[test]
fn backup_idle_names_the_job_and_how_to_end_it() {
    let jobs = |list: Vec<BackupJob>| changed(|all| all.jobs.as_mut().expect("jobs").backups = list);
    let cases = [
        ("a backup", jobs(vec![job(false, "nightly_7")]), restart_be(&[1])),
        ("a restore and a backup", jobs(vec![job(true, "r1"), job(false, "b1")]), Step::DecommissionBackends { backends: [1].into() }),
        ("an upgrade", jobs(vec![job(false, "nightly_7")]), Step::ChangeVersion { to: version("3.0.3") }),
        ("unread", Observed { jobs: None, ..well() }, restart_be(&[1])),
    ];
    insta::assert_snapshot!(told(SafetyRule::BackupIdle, cases));
}

#[test]
fn backup_idle_minds_neither_compute_nodes_nor_frontends() {
    let running = changed(|all| {
        all.jobs.as_mut().expect("jobs").backups = vec![job(false, "nightly_7")];
        all.backends.as_mut().expect("backends")[0].role = Some(NodeRole::Computation);
    });
    allowed(SafetyRule::BackupIdle, "a compute node", &running, &restart_be(&[1]));
    allowed(SafetyRule::BackupIdle, "a frontend", &running, &restart_fe(1));
    let dead = changed(|all| {
        all.jobs.as_mut().expect("jobs").backups = vec![job(false, "nightly_7")];
        all.backends.as_mut().expect("backends")[0].alive = false;
    });
    allowed(SafetyRule::BackupIdle, "one that cannot run", &dead, &restart_be(&[1]));
}

#[test]
fn every_step_passes_the_rules_that_apply_in_a_fixed_order() {
    let backends = || [1].into();
    let steps = [
        restart_fe(1),
        restart_be(&[1]),
        Step::AddFrontend { host: fe(3), role: doris_safety::FrontendRole::Follower },
        Step::DropFrontend { host: fe(1) },
        Step::DecommissionBackends { backends: backends() },
        Step::DropBackend { backend: 1 },
        Step::DropComputeNode { backend: 1 },
        Step::RemovePod { host: be(1) },
        Step::DeleteFrontendClaim { host: fe(1), claim: "meta-c-fe-1".to_owned() },
        Step::DeleteBackendClaim { host: be(1), claim: "data-c-be-1".to_owned() },
        Step::ChangeVersion { to: version("3.0.3") },
        Step::Suspend,
    ];
    let table: Vec<String> = steps
        .iter()
        .map(|step| format!("{step}: {}", applicable(step).iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")))
        .collect();
    insta::assert_snapshot!(table.join("\n"));
}
