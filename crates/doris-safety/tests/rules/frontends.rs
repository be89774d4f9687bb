use std::time::Duration;

use doris_api::rules::SafetyRule;
use doris_safety::{Frontend, FrontendRole, Frontends, Observed, Step};

use super::fixtures::{allowed, fe, frontend, restart_fe, told, well, with_frontends};

fn dead(member: &mut Frontend) {
    (member.alive, member.journal) = (false, None);
}

fn no_master(frontends: &mut Frontends) {
    frontends.master = Err("2 of 3 frontends say that they are the master".to_owned());
}

fn drop_fe(index: usize) -> Step {
    Step::DropFrontend { host: fe(index) }
}

#[test]
fn fe_quorum_says_who_is_missing() {
    let add = Step::AddFrontend { host: fe(3), role: FrontendRole::Follower };
    let claim = Step::DeleteFrontendClaim { host: fe(2), claim: "meta-c-fe-2".to_owned() };
    let cases = [
        ("restart beside a dead one", with_frontends(3, |all| dead(&mut all.members[2])), restart_fe(1)),
        ("restart beside one that lags", with_frontends(3, |all| all.members[2].journal = Some(119)), restart_fe(1)),
        ("restart beside one that tells nothing", with_frontends(3, |all| all.members[2].journal = None), restart_fe(1)),
        (
            "restart of five beside two",
            with_frontends(5, |all| {
                dead(&mut all.members[2]);
                all.members[3].journal = Some(60);
            }),
            restart_fe(1),
        ),
        ("restart without a master", with_frontends(3, no_master), restart_fe(1)),
        ("restart while a second one joins", with_frontends(2, |all| all.members[1].joined = false), restart_fe(0)),
        (
            "add beside one that does not run",
            with_frontends(3, |all| {
                dead(&mut all.members[1]);
                all.members[1].stopped = true;
            }),
            add.clone(),
        ),
        ("add while another joins", with_frontends(3, |all| all.members[1].joined = false), add),
        ("drop a live one beside a dead one", with_frontends(3, |all| dead(&mut all.members[2])), drop_fe(1)),
        ("drop beside a stale peer", with_frontends(3, |all| all.members[2].journal = Some(60)), drop_fe(1)),
        ("drop soon after a start", with_frontends(3, |all| all.members[2].steady_for = Some(Duration::from_secs(20))), drop_fe(1)),
        ("drop without a master", with_frontends(3, no_master), drop_fe(1)),
        ("pod of a registered one", well(), Step::RemovePod { host: fe(2) }),
        ("claim of a registered one", with_frontends(3, |all| dead(&mut all.members[2])), claim),
        (
            "claim of one that no proven list has",
            with_frontends(0, no_master),
            Step::DeleteFrontendClaim { host: fe(2), claim: "meta-c-fe-2".to_owned() },
        ),
        ("restart of one that no proven list has", with_frontends(0, no_master), restart_fe(1)),
        ("unread", Observed { frontends: None, ..well() }, restart_fe(1)),
    ];
    insta::assert_snapshot!(told(SafetyRule::FeQuorum, cases));
}

#[test]
fn fe_quorum_allows_what_leaves_a_majority_or_takes_nothing_away() {
    let rule = SafetyRule::FeQuorum;
    let observer = |all: &mut Frontends| {
        all.members.push(Frontend { role: FrontendRole::Observer, ..frontend(9) });
    };
    let stopped = |member: &mut Frontend| {
        dead(member);
        member.stopped = true;
    };
    let cases = [
        ("one of three", well(), restart_fe(1)),
        ("the only one", with_frontends(1, |_| ()), restart_fe(0)),
        ("one of two", with_frontends(2, |_| ()), restart_fe(1)),
        (
            "one that does not run, without any majority",
            with_frontends(3, |all| {
                no_master(all);
                stopped(&mut all.members[1]);
            }),
            restart_fe(1),
        ),
        (
            "an observer, without a master",
            with_frontends(3, |all| {
                observer(all);
                no_master(all);
            }),
            restart_fe(9),
        ),
        ("drop a dead one of three", with_frontends(3, |all| dead(&mut all.members[2])), drop_fe(2)),
        (
            "drop one that a recovery left out of the group",
            with_frontends(3, |all| {
                (1..3).for_each(|index| dead(&mut all.members[index]));
                all.master.as_mut().expect("a master").group = [fe(0)].into();
            }),
            drop_fe(2),
        ),
        ("drop an observer", with_frontends(3, observer), drop_fe(9)),
        ("add a second", with_frontends(1, |_| ()), Step::AddFrontend { host: fe(1), role: FrontendRole::Follower }),
        ("pod of one that is not registered", well(), Step::RemovePod { host: fe(7) }),
        ("claim of one that is not registered", well(), Step::DeleteFrontendClaim { host: fe(7), claim: "meta-c-fe-7".to_owned() }),
    ];
    for (name, observed, step) in cases {
        allowed(rule, name, &observed, &step);
    }
}

#[test]
fn master_last_names_those_that_come_first() {
    let undone = |index: usize| with_frontends(3, move |all| all.members[index].done = false);
    let cases = [
        ("a follower waits", undone(2), restart_fe(0)),
        ("a follower lags", with_frontends(3, |all| all.members[1].journal = Some(100)), restart_fe(0)),
        (
            "an observer waits",
            with_frontends(1, |all| {
                all.members.push(Frontend { role: FrontendRole::Observer, done: false, ..frontend(9) });
            }),
            restart_fe(0),
        ),
        ("drop of the master", well(), drop_fe(0)),
        ("unread", Observed { frontends: None, ..well() }, restart_fe(0)),
    ];
    insta::assert_snapshot!(told(SafetyRule::MasterLast, cases));
}

#[test]
fn master_last_lets_others_pass_and_waits_for_none_that_does_not_run() {
    let rule = SafetyRule::MasterLast;
    allowed(rule, "all are done", &well(), &restart_fe(0));
    allowed(rule, "a follower", &with_frontends(3, |all| all.members[2].done = false), &restart_fe(1));
    let broken = with_frontends(3, |all| {
        dead(&mut all.members[2]);
        (all.members[2].stopped, all.members[2].done) = (true, false);
    });
    allowed(rule, "a broken one is replaced with what is wanted", &broken, &restart_fe(0));
    allowed(rule, "the only frontend", &with_frontends(1, |_| ()), &restart_fe(0));
}
