use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use doris_api::rules::SafetyRule;
use doris_safety::{BackupJob, Health, Observed, OverrideUse, Step, Terms, Unhealthy, annotation, check, overrides_of};
use jiff::Timestamp;

use super::fixtures::{changed, fe, now, restart_be, restart_fe, tables, terms, version, well, with_backends, with_frontends};

fn annotations(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(rule, value)| (format!("override.doris-operator.dev/{rule}"), (*value).to_owned())).collect()
}

fn soon() -> String {
    (now() + Duration::from_secs(600)).to_string()
}

/// A step that exactly one rule refuses, for each rule that a person may override.
fn soft() -> Vec<(SafetyRule, Observed, Step)> {
    let job = BackupJob { is_restore: false, database: "d".to_owned(), label: "l".to_owned(), state: "UPLOADING".to_owned() };
    let sick = Unhealthy { database: "d".to_owned(), status: "ReplicaMissing".to_owned(), tablets: vec![7] };
    vec![
        (SafetyRule::FeQuorum, with_frontends(3, |all| (all.members[2].alive, all.members[2].journal) = (false, None)), restart_fe(1)),
        (SafetyRule::MasterLast, with_frontends(3, |all| all.members[2].done = false), restart_fe(0)),
        (SafetyRule::ServeReplica, with_backends(3, tables(&[("t", 1, &[&[3]])]), |_| ()), restart_be(&[3])),
        (SafetyRule::LoadQuorum, with_backends(3, tables(&[("t", 2, &[&[2, 3]])]), |_| ()), restart_be(&[3])),
        (SafetyRule::TabletHealth, changed(|all| all.health = Some(Health { unhealthy: vec![sick], tablets: 9 })), restart_be(&[3])),
        (SafetyRule::DecommissionFeasible, well(), Step::DecommissionBackends { backends: [3].into() }),
        (SafetyRule::BackupIdle, changed(|all| all.jobs.as_mut().expect("jobs").backups = vec![job]), restart_be(&[3])),
        (SafetyRule::VersionPath, well(), Step::ChangeVersion { to: version("4.0.1") }),
        (SafetyRule::NoReturn, well(), Step::RestartFrontend { host: fe(1), onto: Some(version("3.0.3")) }),
    ]
}

#[test]
fn every_soft_rule_is_overridden_by_its_own_annotation_and_by_no_other() {
    for (rule, observed, step) in soft() {
        // A single-replica table refuses loads as well.
        let beside: &[SafetyRule] = if rule == SafetyRule::ServeReplica { &[SafetyRule::LoadQuorum] } else { &[] };
        let own: Vec<(String, String)> = std::iter::once(&rule).chain(beside).map(|rule| (annotation(*rule), soon())).collect();
        let (overrides, wrong) = overrides_of(&own.into_iter().collect(), now());
        assert!(wrong.is_empty(), "{wrong:?}");
        assert!(check(&observed, &step, &terms()).is_err(), "{rule} does not refuse");
        let passed = check(&observed, &step, &Terms { overrides: &overrides, ..terms() }).expect("overridden");
        assert!(passed.used.iter().any(|record| record.rule == rule && record.value == soon()), "{rule}");
        assert!(passed.overridden.iter().any(|blocked| blocked.rule == rule), "{rule}");

        let others = SafetyRule::ALL.into_iter().filter(|other| *other != rule).map(|other| (annotation(other), soon()));
        let (overrides, _) = overrides_of(&others.collect(), now());
        assert!(
            check(&observed, &step, &Terms { overrides: &overrides, ..terms() }).is_err(),
            "{rule} is overridden by another's annotation"
        );
    }
}

/// A step that a rule refuses whatever a person says, for each rule that has such refusals.
fn hard() -> Vec<(SafetyRule, Observed, Step)> {
    let dead = |all: &mut Vec<doris_safety::Backend>| all[2].alive = false;
    vec![
        (SafetyRule::KeepReplica, with_backends(3, tables(&[("t", 1, &[&[3]])]), dead), Step::DropBackend { backend: 3 }),
        (SafetyRule::OneAtATime, changed(|all| all.lease.as_mut().expect("a Lease").holder = None), restart_fe(1)),
        (SafetyRule::Fresh, Observed { cache: None, ..well() }, restart_fe(1)),
        (SafetyRule::FeQuorum, with_frontends(3, |all| all.members[2].journal = Some(60)), Step::DropFrontend { host: fe(1) }),
        (
            SafetyRule::FeQuorum,
            Observed { frontends: None, ..well() },
            Step::DeleteFrontendClaim { host: fe(1), claim: "meta-c-fe-1".to_owned() },
        ),
        (SafetyRule::MasterLast, well(), Step::DropFrontend { host: fe(0) }),
        (SafetyRule::VersionPath, well(), Step::ChangeVersion { to: version("2.0.15") }),
        (SafetyRule::NoReturn, well(), Step::RestartFrontend { host: fe(1), onto: Some(version("2.0.15")) }),
    ]
}

#[test]
fn every_rule_is_tried_with_an_override() {
    let tried: BTreeSet<SafetyRule> = soft().into_iter().chain(hard()).map(|(rule, _, _)| rule).collect();
    let left: Vec<SafetyRule> = SafetyRule::ALL.into_iter().filter(|rule| !tried.contains(rule)).collect();
    assert_eq!(left, [SafetyRule::FoundOnce], "which the pods' own start script keeps");
}

#[test]
fn hard_refusals_stand_whatever_anybody_says() {
    let (all, _) = overrides_of(&SafetyRule::ALL.into_iter().map(|rule| (annotation(rule), soon())).collect(), now());
    for (rule, observed, step) in hard() {
        let refusal = check(&observed, &step, &Terms { overrides: &all, ..terms() }).expect_err("hard");
        assert_eq!(refusal.blocked.iter().map(|blocked| blocked.rule).collect::<Vec<_>>(), [rule], "{step}");
        assert!(refusal.to_string().contains("cannot be overridden"), "{refusal}");
    }
}

#[test]
fn annotations_that_override_nothing_are_told_apart() {
    let given = annotations(&[
        ("FeQuorum", "2026-11-23T03:00:01Z"),
        ("MasterLast", "2026-11-23T03:00:00Z"),
        ("BackupIdle", "2027-11-23T03:00:00Z"),
        ("LoadQuorum", "tomorrow"),
        ("Everything", "2026-11-23T03:10:00Z"),
    ]);
    let mut all = given.clone();
    all.insert("somebody.else/annotation".to_owned(), "x".to_owned());
    let (overrides, refused) = overrides_of(&all, now());
    assert_eq!(overrides.iter().map(|one| one.rule).collect::<Vec<_>>(), [SafetyRule::FeQuorum]);
    insta::assert_snapshot!(refused.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
}

#[test]
fn an_override_is_used_for_one_step_and_lives_through_a_crash() {
    let (rule, observed, step) = soft().swap_remove(0);
    let (overrides, _) = overrides_of(&annotations(&[("FeQuorum", &soon())]), now());
    let ask = |step: &Step, operation: &'static str, used: &[OverrideUse], now: Timestamp| {
        check(&observed, step, &Terms { operation, overrides: &overrides, used, now, ..terms() })
    };
    let used = ask(&step, "Upgrade 1", &[], now()).expect("overridden").used;
    assert_eq!((used.len(), used[0].rule), (1, rule));
    assert!(ask(&step, "Upgrade 1", &used, now()).is_ok(), "the controller died between the record and the deed");
    assert!(ask(&step, "Upgrade 2", &used, now()).is_err(), "the same step of another operation");
    let other = Step::RestartFrontend { host: fe(0), onto: None };
    assert!(ask(&other, "Upgrade 1", &used, now()).is_err(), "another step");
    assert!(ask(&step, "Upgrade 1", &used, now() + Duration::from_secs(600)).is_err(), "its time has passed");
}

#[test]
fn an_override_that_is_not_needed_is_not_used() {
    let (overrides, _) = overrides_of(&annotations(&[("FeQuorum", &soon())]), now());
    let passed = check(&well(), &restart_fe(1), &Terms { overrides: &overrides, ..terms() }).expect("allowed");
    assert!(passed.used.is_empty() && passed.overridden.is_empty());
}

#[test]
fn all_rules_are_heard_in_their_order() {
    let mut observed = with_backends(3, tables(&[("t", 1, &[&[3]])]), |_| ());
    observed.lease = None;
    observed.cache = None;
    observed.jobs = None;
    let refusal = check(&observed, &restart_be(&[3]), &terms()).expect_err("refused");
    let rules: Vec<&str> = refusal.blocked.iter().map(|blocked| blocked.rule.name()).collect();
    assert_eq!(rules, ["ServeReplica", "LoadQuorum", "OneAtATime", "BackupIdle", "Fresh"]);
    assert_eq!(refusal.status().len(), 5);
    assert!(refusal.status().iter().all(|blocked| !blocked.object.is_empty() && !blocked.message.is_empty()));
}
