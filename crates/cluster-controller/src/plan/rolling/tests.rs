//! Rolls in tables: a scene and the step that follows.

use doris_api::Component;
use jiff::{SignedDuration, Timestamp};

use super::{Health, Limits, Member, Order, Pod, Record, Scene, Step, Switch, plan};

const START: &str = "2026-06-01 00:00:00";

fn pod(name: &str) -> Pod {
    Pod {
        uid: format!("{name}-old"),
        outdated: true,
        worn_out: None,
        leaving: false,
        running: true,
        ready: true,
        serving: true,
        trouble: None,
        started_at: Some(Timestamp::UNIX_EPOCH),
        domain: None,
    }
}

fn member(component: Component, ordinal: u32) -> Member {
    let name = format!("c-{}-{ordinal}", component.name());
    Member {
        component,
        pod: Some(pod(&name)),
        name,
        ordinal,
        registered: true,
        alive: true,
        process_start: Some(START.into()),
        is_master: false,
        caught_up: true,
        query_off: Switch::default(),
        load_off: Switch::default(),
        busy: Some(0),
        reported: true,
    }
}

fn cluster() -> Vec<Member> {
    let mut members: Vec<Member> = (0..3).map(|ordinal| member(Component::Fe, ordinal)).collect();
    members[1].is_master = true;
    members.extend((0..2).map(|ordinal| member(Component::FeObserver, ordinal)));
    members.extend((0..3).map(|ordinal| member(Component::Be, ordinal)));
    members.push(member(Component::Cn, 0));
    members.push(member(Component::Broker, 0));
    members
}

/// What a test changes about an ordinary scene.
struct Given {
    members: Vec<Member>,
    record: Option<Record>,
    health: Health,
    held_by: Option<String>,
    partition: u32,
    let_go: bool,
    hold_is_specified: bool,
    seconds: i64,
    order: Order,
}

impl Given {
    fn new(members: Vec<Member>) -> Self {
        let health = Health { unhealthy: Some(0), hold: Some(false) };
        Self {
            members,
            record: None,
            health,
            held_by: None,
            partition: 0,
            let_go: false,
            hold_is_specified: false,
            seconds: 1,
            order: Order::Usual,
        }
    }

    /// It is this member's turn since a second ago.
    fn under_work(mut self, name: &str) -> Self {
        self.record = Some(Record {
            pod: name.into(),
            uid: format!("{name}-old"),
            since: Timestamp::UNIX_EPOCH,
            process_start: Some(START.into()),
            keeps_queries: false,
            cut_short: false,
        });
        self
    }

    fn recorded(mut self, change: impl FnOnce(&mut Record)) -> Self {
        change(self.record.as_mut().expect("a member is under work"));
        self
    }

    fn after(mut self, seconds: i64) -> Self {
        self.seconds = seconds;
        self
    }

    fn with(mut self, name: &str, change: impl FnOnce(&mut Member)) -> Self {
        change(self.members.iter_mut().find(|member| member.name == name).expect("a member of the cluster"));
        self
    }

    fn healthy(mut self, unhealthy: Option<u64>, hold: bool) -> Self {
        self.health = Health { unhealthy, hold: Some(hold) };
        self
    }

    fn plan(&self) -> Step {
        let seconds = SignedDuration::from_secs;
        let limits = Limits {
            drain: seconds(120),
            frontend: seconds(1800),
            backend: seconds(900),
            held_by: self.held_by.clone(),
            partition: self.partition,
            avoided: seconds(120),
            only: None,
        };
        plan(&Scene {
            members: &self.members,
            order: self.order,
            record: self.record.as_ref(),
            health: self.health,
            let_go: self.let_go,
            hold_is_specified: self.hold_is_specified,
            limits: &limits,
            now: Timestamp::UNIX_EPOCH + seconds(self.seconds),
        })
    }
}

fn renew(member: &mut Member) {
    let pod = member.pod.as_mut().expect("a pod");
    (pod.outdated, pod.uid) = (false, format!("{}-new", member.name));
    member.process_start = Some("2026-06-01 00:10:00".into());
}

fn drained(member: &mut Member) {
    let on = Switch { on: true, on_everywhere: true };
    (member.query_off, member.load_off) = (on, on);
}

fn broken(member: &mut Member) {
    let pod = member.pod.as_mut().expect("a pod");
    (pod.running, pod.ready, pod.trouble) = (false, false, Some("ImagePullBackOff: no such image".into()));
    member.alive = false;
}

fn wait(step: &Step) -> &str {
    match step {
        Step::Wait(message) => message,
        other => panic!("no wait: {other:?}"),
    }
}

#[test]
fn backends_come_before_compute_nodes_brokers_observers_followers_and_the_master() {
    let mut given = Given::new(cluster());
    let mut order = Vec::new();
    while let Step::Begin { pod, .. } = given.plan() {
        given = given.with(&pod, renew);
        order.push(pod);
    }
    assert_eq!(order, ["c-be-2", "c-be-1", "c-be-0", "c-cn-0", "c-broker-0", "c-fe-ob-1", "c-fe-ob-0", "c-fe-2", "c-fe-0", "c-fe-1"]);
    assert_eq!(given.plan(), Step::Rest);
}

#[test]
fn a_backend_is_drained_held_restarted_released_undrained_and_healed_before_it_is_done() {
    let name = "c-be-2";
    let at = || Given::new(cluster()).under_work(name);
    assert_eq!(at().plan(), Step::Drain { pod: name.into() });
    let given = at().with(name, |be| (be.query_off.on, be.load_off.on) = (true, true));
    assert_eq!(given.plan(), Step::Drain { pod: name.into() }, "a frontend does not know yet");
    let given = at().with(name, drained).with(name, |be| be.busy = Some(4));
    assert!(wait(&given.plan()).contains("4 statements and loads still run"));
    assert_eq!(at().with(name, drained).plan(), Step::HoldScheduler);
    let restart = Step::Restart { pod: name.into(), uid: "c-be-2-old".into() };
    assert_eq!(at().with(name, drained).healthy(Some(0), true).plan(), restart);
    let gone = at().healthy(None, true).with(name, |be| (be.pod, be.alive) = (None, false));
    assert!(wait(&gone.plan()).contains("made anew"));
    let back = || at().with(name, drained).with(name, renew);
    let unseen = back().healthy(None, true).with(name, |be| be.process_start = Some(START.into()));
    assert!(wait(&unseen.plan()).contains("heartbeat"), "the row is the old process' still");
    assert_eq!(back().healthy(None, true).plan(), Step::ReleaseScheduler);
    assert_eq!(back().plan(), Step::Undrain { pod: name.into() });
    let open = || at().with(name, renew);
    assert!(wait(&open().with(name, |be| be.reported = false).plan()).contains("which tablets"));
    assert!(wait(&open().healthy(Some(7), false).plan()).contains("7 tablets"));
    assert!(wait(&open().healthy(None, false).plan()).contains("being asked"));
    assert_eq!(open().plan(), Step::Done { pod: name.into() });
}

#[test]
fn a_drain_that_takes_too_long_ends_in_the_restart_and_that_is_written_down_before() {
    let cut = Step::CutShort { pod: "c-be-2".into() };
    let restart = Step::Restart { pod: "c-be-2".into(), uid: "c-be-2-old".into() };
    let at = || Given::new(cluster()).under_work("c-be-2").healthy(Some(0), true).after(120);
    let busy = || at().with("c-be-2", drained).with("c-be-2", |be| be.busy = Some(9));
    assert_eq!((busy().plan(), busy().recorded(|record| record.cut_short = true).plan()), (cut.clone(), restart.clone()));
    let deaf = || at().with("c-be-2", |be| (be.query_off.on, be.load_off.on) = (true, true));
    assert_eq!((deaf().plan(), deaf().recorded(|record| record.cut_short = true).plan()), (cut, restart));
    let mute = Given::new(cluster()).under_work("c-be-2").healthy(Some(0), true).with("c-be-2", drained);
    assert!(wait(&mute.with("c-be-2", |be| be.busy = None).plan()).contains("cannot be told"));
}

#[test]
fn the_next_backend_waits_until_frontends_are_over_the_calls_that_failed() {
    let back = || Given::new(cluster()).under_work("c-be-2").with("c-be-2", renew).recorded(|record| record.cut_short = true);
    assert!(wait(&back().after(119).plan()).contains("leave it alone for 120 s"));
    let done = Step::Done { pod: "c-be-2".into() };
    assert_eq!(back().after(120).plan(), done);
    let current = |be: &mut Member| be.pod.as_mut().expect("a pod").outdated = false;
    assert_eq!(back().with("c-be-0", current).with("c-be-1", current).plan(), done, "there is no next one");
}

#[test]
fn a_backend_that_alone_serves_a_table_answers_queries_until_it_stops() {
    let at = || Given::new(cluster()).under_work("c-be-2").recorded(|record| record.keeps_queries = true);
    assert_eq!(at().plan(), Step::Drain { pod: "c-be-2".into() });
    let no_loads = |be: &mut Member| be.load_off = Switch { on: true, on_everywhere: true };
    assert!(wait(&at().with("c-be-2", no_loads).with("c-be-2", |be| be.busy = Some(2)).plan()).contains("2 statements"));
    assert_eq!(at().with("c-be-2", no_loads).plan(), Step::CutShort { pod: "c-be-2".into() }, "queries may come at any time");
}

#[test]
fn a_member_whose_restart_is_refused_is_opened_again_and_struck_off() {
    let refused = |given: Given| Given { let_go: true, ..given };
    let at = |name: &str| refused(Given::new(cluster()).under_work(name));
    assert_eq!(at("c-be-2").with("c-be-2", drained).healthy(None, true).plan(), Step::ReleaseScheduler);
    assert_eq!(at("c-be-2").with("c-be-2", drained).plan(), Step::Undrain { pod: "c-be-2".into() });
    assert_eq!(at("c-be-2").plan(), Step::LetGo { pod: "c-be-2".into() });
    let silent = |fe: &mut Member| fe.pod.as_mut().expect("a pod").serving = false;
    assert_eq!(at("c-fe-2").with("c-fe-2", silent).plan(), Step::Serve { pod: "c-fe-2".into() });
    assert_eq!(at("c-fe-2").plan(), Step::LetGo { pod: "c-fe-2".into() });
}

#[test]
fn a_compute_node_holds_nothing_and_is_healed_of_nothing() {
    let given = || Given::new(cluster()).under_work("c-cn-0");
    assert_eq!(given().with("c-cn-0", drained).plan(), Step::Restart { pod: "c-cn-0".into(), uid: "c-cn-0-old".into() });
    let back = given().with("c-cn-0", renew).with("c-cn-0", |cn| cn.reported = false).healthy(None, false);
    assert_eq!(back.plan(), Step::Done { pod: "c-cn-0".into() });
}

#[test]
fn a_frontend_sends_its_clients_away_first_unless_it_is_the_only_one() {
    let name = "c-fe-2";
    let given = || Given::new(cluster()).under_work(name);
    let restart = Step::Restart { pod: name.into(), uid: "c-fe-2-old".into() };
    assert_eq!(given().plan(), Step::StopServing { pod: name.into() });
    let silent = |fe: &mut Member| fe.pod.as_mut().expect("a pod").serving = false;
    assert!(wait(&given().with(name, silent).with(name, |fe| fe.busy = Some(1)).plan()).contains("takes no new clients"));
    assert_eq!(given().with(name, silent).plan(), restart);
    assert_eq!(given().with(name, silent).with(name, |fe| fe.busy = Some(1)).after(120).plan(), restart);
    assert_eq!(Given::new(vec![member(Component::Fe, 2)]).under_work(name).plan(), restart);
    let behind = given().with(name, renew).with(name, |fe| fe.caught_up = false);
    assert!(wait(&behind.plan()).contains("catch up"));
    assert_eq!(given().with(name, renew).plan(), Step::Done { pod: name.into() });
}

#[test]
fn a_member_that_does_not_come_back_stops_the_roll_and_repair_is_let_go() {
    let given = || Given::new(cluster()).under_work("c-be-2").with("c-be-2", renew).with("c-be-2", broken);
    assert!(wait(&given().after(60).plan()).contains("no such image"));
    assert_eq!(given().after(1020).healthy(None, true).plan(), Step::ReleaseScheduler);
    let Step::Stop { pod, message } = given().after(1020).plan() else { panic!("not stopped") };
    assert_eq!(pod, "c-be-2");
    insta::assert_snapshot!(message, @"c-be-2 did not come back within 1020 s: ImagePullBackOff: no such image. No other member is restarted. Put the spec back to what it was, or mend what keeps the pod: the roll goes on by itself once the member works");
}

#[test]
fn a_broken_pod_that_the_spec_has_overtaken_is_replaced_without_waiting_for_it() {
    let overtaken = |member: &mut Member| member.pod.as_mut().expect("a pod").outdated = true;
    let given = Given::new(cluster()).under_work("c-be-2").with("c-be-2", renew).with("c-be-2", broken).with("c-be-2", overtaken);
    assert_eq!(given.plan(), Step::Restart { pod: "c-be-2".into(), uid: "c-be-2-new".into() });
}

#[test]
fn tablets_are_not_waited_for_that_another_backend_has_which_cannot_run() {
    let name = "c-be-2";
    let back = || Given::new(cluster()).under_work(name).with(name, renew).healthy(Some(7), false);
    assert!(wait(&back().plan()).contains("7 tablets"));
    assert_eq!(back().with("c-be-1", broken).plan(), Step::Done { pod: name.into() }, "making it anew is what heals them");
    let as_wanted = back().with("c-be-1", broken).with("c-be-1", |be| be.pod.as_mut().expect("a pod").outdated = false);
    assert!(wait(&as_wanted.plan()).contains("7 tablets"), "no template of ours mends it");
}

#[test]
fn what_cannot_run_is_restarted_first_and_needs_nobody_else_to_be_well() {
    let given = Given::new(cluster()).with("c-fe-0", broken).with("c-be-1", |be| be.alive = false);
    assert!(matches!(given.plan(), Step::Begin { pod, .. } if pod == "c-fe-0"));
}

#[test]
fn nobody_is_restarted_while_another_member_is_away() {
    let given = Given::new(cluster()).with("c-fe-ob-0", |observer| observer.alive = false);
    assert!(wait(&given.plan()).starts_with("c-fe-ob-0 is not there"));
}

#[test]
fn a_spec_that_goes_back_while_a_member_is_drained_opens_it_again() {
    let current = |be: &mut Member| be.pod.as_mut().expect("a pod").outdated = false;
    let given = || Given::new(cluster()).under_work("c-be-2").with("c-be-2", current);
    assert_eq!(given().with("c-be-2", drained).healthy(Some(0), true).plan(), Step::ReleaseScheduler);
    assert_eq!(given().with("c-be-2", drained).plan(), Step::Undrain { pod: "c-be-2".into() });
    assert_eq!(given().plan(), Step::Done { pod: "c-be-2".into() });
}

#[test]
fn switches_that_nobody_wants_are_taken_back_whoever_left_them() {
    assert_eq!(Given::new(cluster()).healthy(Some(0), true).plan(), Step::ReleaseScheduler);
    let mut specified = Given::new(Vec::new()).healthy(Some(0), true);
    specified.hold_is_specified = true;
    assert_eq!(specified.plan(), Step::Rest);
    let given = Given::new(cluster()).under_work("c-be-2").with("c-be-0", |be| be.load_off.on = true);
    assert_eq!(given.plan(), Step::Undrain { pod: "c-be-0".into() });
    let given = Given::new(cluster()).with("c-fe-0", |fe| fe.pod.as_mut().expect("a pod").serving = false);
    assert_eq!(given.plan(), Step::Serve { pod: "c-fe-0".into() });
    let given = Given::new(cluster()).under_work("c-fe-0").healthy(Some(0), true);
    assert_eq!(given.plan(), Step::ReleaseScheduler, "no backend is away on purpose");
}

#[test]
fn a_roll_that_is_held_says_by_whom_and_finishes_the_member_under_work() {
    let mut given = Given::new(cluster());
    given.held_by = Some("update.paused is true".into());
    assert_eq!(given.plan(), Step::Held("update.paused is true".into()));
    given = given.under_work("c-be-2");
    assert_eq!(given.plan(), Step::Drain { pod: "c-be-2".into() });
}

#[test]
fn a_member_that_was_scaled_away_is_struck_off() {
    assert_eq!(Given::new(Vec::new()).under_work("c-be-2").plan(), Step::Done { pod: "c-be-2".into() });
}

#[test]
fn a_partition_keeps_low_ordinals_and_everything_that_comes_after() {
    let mut given = Given::new(cluster());
    given.partition = 2;
    assert!(matches!(given.plan(), Step::Begin { pod, .. } if pod == "c-be-2"));
    given = given.with("c-be-2", renew);
    let Step::Held(why) = given.plan() else { panic!("not held") };
    insta::assert_snapshot!(why, @"update.partition is 2, so c-be-0, c-be-1 keep what they run until it is lowered, and so does everything that comes after");
    given.partition = 1;
    assert!(matches!(given.plan(), Step::Begin { pod, .. } if pod == "c-be-1"));
    assert!(matches!(given.with("c-be-0", broken).plan(), Step::Begin { pod, .. } if pod == "c-be-0"), "what cannot run is replaced");
    let mut frontends = Given::new((0..3).map(|ordinal| member(Component::Fe, ordinal)).collect()).with("c-fe-2", |fe| fe.is_master = true);
    frontends.partition = 1;
    assert!(matches!(frontends.plan(), Step::Begin { pod, .. } if pod == "c-fe-1"));
    let held = frontends.with("c-fe-1", renew).plan();
    assert!(matches!(&held, Step::Held(why) if why.contains("c-fe-0")), "the master is not before the last follower: {held:?}");
}

#[test]
fn one_failure_domain_is_finished_before_the_next() {
    let mut given = Given::new((0..4).map(|ordinal| member(Component::Be, ordinal)).collect());
    for (ordinal, zone) in ["a", "b", "b", "a"].into_iter().enumerate() {
        given = given.with(&format!("c-be-{ordinal}"), |be| be.pod.as_mut().expect("a pod").domain = Some(zone.into()));
    }
    let mut order = Vec::new();
    while let Step::Begin { pod, .. } = given.plan() {
        given = given.with(&pod, renew);
        order.push(pod);
    }
    assert_eq!(order, ["c-be-3", "c-be-0", "c-be-2", "c-be-1"]);
}

#[test]
fn no_frontend_is_restarted_while_another_follower_lags_behind() {
    let mut members: Vec<Member> = (0..3).map(|ordinal| member(Component::Fe, ordinal)).collect();
    members[0].is_master = true;
    let given = || Given::new(members.clone());
    assert!(wait(&given().with("c-fe-1", |fe| fe.caught_up = false).plan()).starts_with("c-fe-1 has to catch up"));
    assert!(matches!(given().with("c-fe-2", |fe| fe.caught_up = false).plan(), Step::Begin { pod, .. } if pod == "c-fe-2"));
}

#[test]
fn for_a_disk_only_its_component_is_restarted_and_from_the_lowest_ordinal_upward() {
    let mut given = Given::new(cluster());
    given.order = Order::Upward(Component::Be);
    assert!(matches!(given.plan(), Step::Begin { pod, .. } if pod == "c-be-0"));
    let current = |be: &mut Member| be.pod.as_mut().expect("a pod").outdated = false;
    given = given.with("c-be-0", current);
    assert!(matches!(given.plan(), Step::Begin { pod, .. } if pod == "c-be-1"));
    given = given.with("c-be-1", current).with("c-be-2", current);
    assert_eq!(given.plan(), Step::Rest, "others are left alone");
}

#[test]
fn a_pod_that_is_worn_out_is_restarted_for_its_own_reason() {
    let current = |member: &mut Member| member.pod.as_mut().expect("a pod").outdated = false;
    let mut members = cluster();
    members.iter_mut().for_each(current);
    let worn_out = |be: &mut Member| {
        let pod = be.pod.as_mut().expect("a pod");
        (pod.outdated, pod.worn_out) = (true, Some("its file system waits".into()));
    };
    let given = Given::new(members).with("c-be-1", worn_out);
    assert_eq!(given.plan(), Step::Begin { pod: "c-be-1".into(), reason: "its file system waits".into() });
}
