use std::collections::BTreeMap;

use doris_api::Component;
use jiff::{SignedDuration, Timestamp};

use super::{Admission, Claim, Focus, Leaver, Limits, Mark, Outcome, Pod, Record, Row, Scene, Set, Stayer, Step, plan};

/// A cluster from which members leave.
struct Stage {
    leavers: Vec<Leaver>,
    stayers: Vec<Stayer>,
    sets: BTreeMap<Component, Set>,
    record: Option<Record>,
    backends: Admission,
    followers: usize,
    one_follower_is_safe: bool,
    one_follower_is_meant: bool,
    held_by: Option<String>,
    now: Timestamp,
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
}

fn leaver(component: Component, ordinal: u32) -> Leaver {
    let pod = format!("c-{component}-{ordinal}");
    Leaver {
        component,
        ordinal,
        host: format!("{pod}.x"),
        row: Some(Row { alive: true, ..Row::default() }),
        present: Some(Pod { uid: format!("uid-{ordinal}"), leaving: false, running: true, serving: true }),
        slot: true,
        on_record: matches!(component, Component::Fe | Component::FeObserver | Component::Be),
        left_as: None,
        claims: Vec::new(),
        pod,
    }
}

impl Stage {
    fn of(component: Component, wanted: u32, ordinals: &[u32]) -> Self {
        let leavers: Vec<Leaver> = ordinals.iter().rev().map(|ordinal| leaver(component, *ordinal)).collect();
        let pods = ordinals.iter().max().map_or(wanted, |highest| highest + 1);
        Self {
            followers: 5,
            leavers,
            stayers: Vec::new(),
            sets: [(component, Set { pods, wanted, specified: true })].into(),
            record: None,
            backends: Admission::Free,
            one_follower_is_safe: true,
            one_follower_is_meant: false,
            held_by: None,
            now: at(1000),
        }
    }

    fn plan(&self) -> Outcome {
        let limits =
            Limits { drain: SignedDuration::from_secs(120), between_drops: SignedDuration::from_secs(15), held_by: self.held_by.clone() };
        plan(&Scene {
            leavers: &self.leavers,
            stayers: &self.stayers,
            sets: &self.sets,
            record: self.record.as_ref(),
            backends: self.backends.clone(),
            followers: self.followers,
            one_follower_is_safe: self.one_follower_is_safe,
            one_follower_is_meant: self.one_follower_is_meant,
            progress: Some("progress".into()),
            limits: &limits,
            now: self.now,
        })
    }

    fn step(&self) -> Step {
        self.plan().step
    }

    /// Takes what the plan writes down as written.
    fn begun(mut self) -> Self {
        let Step::Begin { targets, focus } = self.step() else { panic!("{:?}", self.step()) };
        self.record = Some(Record { targets, focus: Some(focus) });
        self
    }

    fn focus(&self) -> &Focus {
        self.record.as_ref().and_then(|record| record.focus.as_ref()).expect("it is somebody's turn")
    }

    fn member(&mut self, pod: &str) -> &mut Leaver {
        self.leavers.iter_mut().find(|leaver| leaver.pod == pod).expect("it leaves")
    }

    fn row(&mut self, pod: &str) -> &mut Row {
        self.member(pod).row.as_mut().expect("it is registered")
    }

    fn silence(&mut self, pod: &str) {
        self.member(pod).present.as_mut().expect("it has a pod").serving = false;
    }

    /// The set asks for so many pods from now on.
    fn lower(&mut self, component: Component, to: u32) {
        self.sets.get_mut(&component).expect("it has a set").pods = to;
        for leaver in self.leavers.iter_mut().filter(|leaver| leaver.component == component) {
            leaver.slot = leaver.ordinal < to;
        }
    }

    fn wait(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
    }
}

fn host(pod: &str) -> String {
    format!("{pod}.x")
}

#[test]
fn nothing_is_done_where_everybody_is_asked_for() {
    assert_eq!(Stage::of(Component::Be, 3, &[]).step(), Step::Rest);
}

#[test]
fn who_leaves_is_written_down_before_anything_is_done() {
    let stage = Stage::of(Component::Be, 3, &[3, 4]);
    let Step::Begin { targets, focus } = stage.step() else { panic!("{:?}", stage.step()) };
    assert_eq!(targets, ["c-be-3".to_owned(), "c-be-4".to_owned()].into());
    assert_eq!((focus.pod.as_str(), focus.since), ("c-be-4", at(1000)));
}

#[test]
fn backends_are_emptied_by_one_statement_and_leave_when_doris_has_dropped_them() {
    let mut stage = Stage::of(Component::Be, 3, &[3, 4]).begun();
    let both = vec![host("c-be-4"), host("c-be-3")];
    assert_eq!(stage.step(), Step::Decommission { hosts: both });
    for pod in ["c-be-3", "c-be-4"] {
        *stage.row(pod) = Row { alive: true, emptying: true, tablets: 7, ..Row::default() };
    }
    let outcome = stage.plan();
    assert_eq!((outcome.step, outcome.told), (Step::Wait, vec!["progress".to_owned()]));
    // The lower one is done first: its pod stays, for a set loses its highest.
    stage.member("c-be-3").row = None;
    stage.member("c-be-3").on_record = false;
    assert_eq!(stage.step(), Step::Wait);
    stage.member("c-be-4").row = None;
    stage.member("c-be-4").claims = vec![Claim { name: "data-c-be-4".into(), uid: "v".into(), mark: None }];
    assert_eq!(stage.step(), Step::Mark { pods: vec!["c-be-4".into()] });
    stage.member("c-be-4").claims[0].mark = Some(Mark::Kept);
    assert_eq!(stage.step(), Step::Forget { hosts: vec![host("c-be-4")] });
    stage.member("c-be-4").on_record = false;
    assert_eq!(stage.step(), Step::Lower { component: Component::Be, to: 3 });
    stage.leavers.clear();
    assert_eq!(stage.step(), Step::Done);
}

#[test]
fn a_backend_that_doris_keeps_loses_its_pod_first_and_its_row_after_it() {
    let mut stage = Stage::of(Component::Be, 3, &[3]).begun();
    *stage.row("c-be-3") = Row { alive: true, emptying: true, overdue: true, tablets: 1, ..Row::default() };
    assert_eq!(stage.step(), Step::Wait, "it is not empty");
    stage.row("c-be-3").tablets = 0;
    assert_eq!(stage.step(), Step::Forget { hosts: vec![host("c-be-3")] });
    stage.member("c-be-3").on_record = false;
    assert_eq!(stage.step(), Step::Lower { component: Component::Be, to: 3 });
    stage.lower(Component::Be, 3);
    assert_eq!(stage.step(), Step::Wait, "its pod is still there");
    stage.member("c-be-3").present = None;
    assert_eq!(stage.step(), Step::DropRow { host: host("c-be-3"), component: Component::Be });
}

#[test]
fn what_is_in_the_way_of_backends_holds_nobody_else_up() {
    let mut stage = Stage::of(Component::Be, 3, &[3]);
    stage.backends = Admission::Blocked("a table".into());
    let outcome = stage.plan();
    assert_eq!((outcome.step, outcome.told), (Step::Wait, vec!["a table".to_owned()]), "nothing is written down");
    stage.leavers.push(leaver(Component::Cn, 0));
    stage.sets.insert(Component::Cn, Set { pods: 1, wanted: 0, specified: true });
    let stage = stage.begun();
    assert_eq!(stage.record.as_ref().map(|record| record.targets.clone()), Some(["c-cn-0".to_owned()].into()));
    assert_eq!(stage.step(), Step::Drain { hosts: vec![host("c-cn-0")] });
}

#[test]
fn backends_that_are_asked_for_again_are_taken_back_first_of_all() {
    let mut stage = Stage::of(Component::Be, 3, &[3, 4]).begun();
    stage.row("c-be-4").emptying = true;
    stage.leavers.remove(0);
    stage.stayers = vec![Stayer { pod: "c-be-4".into(), host: host("c-be-4"), emptying: true, ..Stayer::default() }];
    assert_eq!(stage.step(), Step::Cancel { hosts: vec![host("c-be-4")] });
    stage.stayers[0].emptying = false;
    stage.stayers[0].drained = true;
    assert_eq!(stage.step(), Step::Undrain { host: host("c-be-4") });
    stage.stayers[0] = Stayer { pod: "c-fe-3".into(), silenced: true, is_frontend: true, ..Stayer::default() };
    assert_eq!(stage.step(), Step::Serve { pod: "c-fe-3".into() });
}

#[test]
fn frontends_leave_observers_first_then_the_dead_then_the_others_and_the_master_last() {
    let mut stage = Stage::of(Component::Fe, 1, &[1, 2, 3, 4]);
    stage.one_follower_is_meant = true;
    stage.leavers.push(leaver(Component::FeObserver, 0));
    stage.sets.insert(Component::FeObserver, Set { pods: 1, wanted: 0, specified: true });
    stage.row("c-fe-4").is_master = true;
    stage.row("c-fe-2").alive = false;
    let mut order = Vec::new();
    while let Step::Begin { targets, focus } = stage.step() {
        order.push(focus.pod.clone());
        let pod = focus.pod.clone();
        stage.record = Some(Record { targets, focus: Some(focus) });
        stage.member(&pod).row = None;
        stage.member(&pod).on_record = false;
        stage.member(&pod).slot = true;
        if stage.leavers.iter().all(|leaver| leaver.row.is_none()) {
            break;
        }
        // What is left of it is not of interest here.
        stage.leavers.retain(|leaver| leaver.pod != pod);
    }
    assert_eq!(order, ["c-fe-ob-0", "c-fe-2", "c-fe-3", "c-fe-1", "c-fe-4"]);
}

#[test]
fn a_frontend_is_drained_dropped_and_only_then_loses_its_pod() {
    let mut stage = Stage::of(Component::Fe, 3, &[3, 4]).begun();
    assert_eq!(stage.focus().pod, "c-fe-4");
    assert_eq!(stage.step(), Step::StopServing { pod: "c-fe-4".into() });
    stage.silence("c-fe-4");
    stage.row("c-fe-4").busy = Some(2);
    assert!(stage.plan().told[0].contains("2 statements still run"), "{:?}", stage.plan());
    stage.row("c-fe-4").busy = Some(0);
    assert!(stage.plan().told[0].contains("one change of the group at a time"), "{:?}", stage.plan());
    stage.wait(15);
    assert_eq!(stage.step(), Step::DropFrontend { pod: "c-fe-4".into(), host: host("c-fe-4"), component: Component::Fe });
    stage.member("c-fe-4").row = None;
    let mut stage = stage.begun();
    assert_eq!(stage.focus().pod, "c-fe-3", "the next one's turn begins with the row");
    assert_eq!(stage.step(), Step::Forget { hosts: vec![host("c-fe-4")] });
    stage.member("c-fe-4").on_record = false;
    assert_eq!(stage.step(), Step::Lower { component: Component::Fe, to: 4 });
}

#[test]
fn a_pod_below_the_master_stays_until_the_master_has_left() {
    let mut stage = Stage::of(Component::Fe, 3, &[3, 4]);
    stage.row("c-fe-4").is_master = true;
    let mut stage = stage.begun();
    assert_eq!(stage.focus().pod, "c-fe-3");
    stage.member("c-fe-3").row = None;
    let mut stage = stage.begun();
    stage.member("c-fe-3").on_record = false;
    stage.silence("c-fe-4");
    stage.wait(15);
    assert_eq!(stage.step(), Step::RestartMaster { pod: "c-fe-4".into(), uid: "uid-4".into() });
}

#[test]
fn a_master_that_is_elected_again_is_restarted_twice_more_and_then_a_person_is_asked() {
    let mut stage = Stage::of(Component::Fe, 3, &[3]);
    stage.row("c-fe-3").is_master = true;
    let mut stage = stage.begun();
    for restarts in 1..3 {
        stage.member("c-fe-3").present.as_mut().expect("a pod").uid = format!("again-{restarts}");
        stage = stage.begun();
        assert_eq!((stage.focus().restarts, stage.focus().uid.clone()), (restarts, format!("again-{restarts}")));
    }
    stage.member("c-fe-3").present.as_mut().expect("a pod").uid = "last".into();
    let outcome = stage.plan();
    assert!(outcome.stopped.is_some_and(|told| told.contains("elected again each time")), "{:?}", stage.plan());
}

#[test]
fn one_follower_alone_has_to_be_meant() {
    let mut stage = Stage::of(Component::Fe, 1, &[1, 2]);
    stage.followers = 3;
    let outcome = stage.plan();
    assert_eq!(outcome.step, Step::Wait);
    assert!(outcome.told[0].contains("override.doris-operator.dev/FeQuorum"), "{outcome:?}");
    stage.one_follower_is_meant = true;
    let mut stage = stage.begun();
    // The time of the annotation passes, and what has begun goes on.
    stage.one_follower_is_meant = false;
    assert_eq!(stage.step(), Step::StopServing { pod: "c-fe-2".into() });
    stage.followers = 2;
    stage.leavers.remove(0);
    stage.record = None;
    assert!(matches!(stage.step(), Step::Begin { .. }), "two followers protect no more than one");
    stage.one_follower_is_safe = false;
    stage.one_follower_is_meant = true;
    let outcome = stage.plan();
    assert_eq!(outcome.step, Step::Wait, "whoever confirms it");
    assert!(outcome.told[0].contains("Set fe.replicas to 3"), "{outcome:?}");
}

#[test]
fn compute_nodes_are_drained_together_and_their_rows_go_after_their_pods() {
    let mut stage = Stage::of(Component::Cn, 0, &[0, 1]).begun();
    assert_eq!(stage.step(), Step::Drain { hosts: vec![host("c-cn-1"), host("c-cn-0")] });
    for pod in ["c-cn-0", "c-cn-1"] {
        *stage.row(pod) = Row { alive: true, drained: true, busy: Some(0), ..Row::default() };
    }
    assert!(stage.plan().told[0].contains("once every frontend knows it"), "{:?}", stage.plan());
    for pod in ["c-cn-0", "c-cn-1"] {
        stage.row(pod).drained_everywhere = true;
    }
    stage.row("c-cn-0").busy = Some(1);
    assert_eq!(stage.step(), Step::Lower { component: Component::Cn, to: 1 }, "from the top");
    stage.wait(120);
    assert_eq!(stage.step(), Step::Lower { component: Component::Cn, to: 0 }, "the time is over");
    stage.lower(Component::Cn, 0);
    for pod in ["c-cn-0", "c-cn-1"] {
        stage.member(pod).present = None;
    }
    assert_eq!(stage.step(), Step::DropRow { host: host("c-cn-1"), component: Component::Cn });
}

#[test]
fn a_compute_node_with_tablets_is_a_backend_and_stays() {
    let mut stage = Stage::of(Component::Cn, 0, &[0]).begun();
    for (row, words) in [
        (Row { alive: true, tablets: 3, ..Row::default() }, "3 tablets lie on it"),
        (Row { alive: true, stores: true, ..Row::default() }, "stores tablets"),
        (Row { alive: false, tablets: 3, ..Row::default() }, "3 tablets lie on it"),
    ] {
        *stage.row("c-cn-0") = row;
        let outcome = stage.plan();
        assert_eq!(outcome.step, Step::Wait);
        assert!(outcome.told[0].contains(words), "{outcome:?}");
    }
}

#[test]
fn a_broker_goes_when_no_load_may_need_it() {
    let mut stage = Stage::of(Component::Broker, 0, &[0]).begun();
    stage.row("c-broker-0").busy = Some(1);
    assert!(stage.plan().told[0].contains("1 load or export runs"), "{:?}", stage.plan());
    stage.row("c-broker-0").busy = Some(0);
    assert_eq!(stage.step(), Step::Lower { component: Component::Broker, to: 0 });
    stage.lower(Component::Broker, 0);
    stage.member("c-broker-0").present = None;
    assert_eq!(stage.step(), Step::DropRow { host: host("c-broker-0"), component: Component::Broker });
}

#[test]
fn a_set_that_the_spec_has_not_any_more_goes_as_a_whole() {
    let mut stage = Stage::of(Component::FeObserver, 0, &[0, 1]);
    stage.sets.insert(Component::FeObserver, Set { pods: 2, wanted: 0, specified: false });
    let mut stage = stage.begun();
    stage.member("c-fe-ob-1").row = None;
    stage.member("c-fe-ob-1").on_record = false;
    let mut stage = stage.begun();
    assert_eq!(stage.step(), Step::StopServing { pod: "c-fe-ob-0".into() }, "not lowered to one");
    stage.member("c-fe-ob-0").row = None;
    stage.member("c-fe-ob-0").on_record = false;
    let stage = stage.begun();
    assert_eq!(stage.step(), Step::Lower { component: Component::FeObserver, to: 0 });
}

#[test]
fn a_volume_is_deleted_when_row_and_pod_are_gone() {
    let mut stage = Stage::of(Component::Be, 3, &[3]).begun();
    let claim = Claim { name: "data-c-be-3".into(), uid: "v".into(), mark: Some(Mark::Discarded) };
    let whole = stage.member("c-be-3").clone();
    *stage.member("c-be-3") = Leaver { row: None, on_record: false, claims: vec![claim], ..whole };
    stage.lower(Component::Be, 3);
    assert_eq!(stage.step(), Step::Wait, "the pod is there");
    stage.member("c-be-3").present = None;
    assert_eq!(stage.step(), Step::Discard { pod: "c-be-3".into(), claim: "data-c-be-3".into(), uid: "v".into() });
    stage.member("c-be-3").claims[0].mark = Some(Mark::Kept);
    assert_eq!(stage.step(), Step::Wait, "one that is kept is left alone");
}

#[test]
fn whoever_asks_for_the_lease_goes_before_those_that_have_not_begun() {
    let mut stage = Stage::of(Component::Be, 3, &[3]);
    stage.held_by = Some("the failover-watcher asked".into());
    assert_eq!(stage.step(), Step::Wait);
    stage.row("c-be-3").emptying = true;
    assert!(matches!(stage.step(), Step::Begin { .. }), "one that is being emptied leaves");
}
