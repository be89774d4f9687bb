//! Rules of every roll, over random clusters whose members come back when they are restarted.

use std::time::Duration;

use doris_api::Component;
use doris_api::cluster::UnavailableTables;
use doris_api::rules::SafetyRule;
use doris_safety::{
    CacheLag, Frontend, FrontendRole, Frontends, Lease, Master, Observed, Step as SafeStep, Terms, Token, check as ask_rules,
};
use jiff::{SignedDuration, Timestamp};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, proptest};
use proptest::sample::select;
use proptest::test_runner::TestCaseError;

use super::{Health, Limits, Member, Order, Pod, Record, Scene, Step, Switch, plan};

/// More steps than any of these rolls takes.
const STEPS: usize = 600;

/// A member as it is drawn.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Clone, Debug)]
struct Drawn {
    outdated: bool,
    down: bool,
    busy: Option<u64>,
    domain: Option<usize>,
    drained: bool,
    silenced: bool,
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let often = || proptest::bool::weighted(0.6);
    let rarely = || proptest::bool::weighted(0.1);
    let busy = proptest::option::of(0_u64..3);
    let domain = proptest::option::of(0_usize..3);
    (often(), rarely(), busy, domain, rarely(), rarely()).prop_map(|(outdated, down, busy, domain, drained, silenced)| Drawn {
        outdated,
        down,
        busy,
        domain,
        drained,
        silenced,
    })
}

fn member(component: Component, ordinal: u32, drawn: &Drawn) -> Member {
    let name = format!("c-{}-{ordinal}", component.name());
    let is_worker = matches!(component, Component::Be | Component::Cn);
    let up = !drawn.down;
    let switch = Switch { on: is_worker && drawn.drained, on_everywhere: is_worker && drawn.drained };
    Member {
        component,
        ordinal,
        pod: Some(Pod {
            uid: format!("{name}-0"),
            outdated: drawn.outdated || drawn.down,
            worn_out: None,
            leaving: false,
            running: up,
            ready: up,
            serving: !drawn.silenced,
            trouble: drawn.down.then(|| "its image is missing".to_owned()),
            started_at: Some(Timestamp::UNIX_EPOCH),
            domain: drawn.domain.map(|domain| format!("zone-{domain}")),
        }),
        name,
        registered: true,
        alive: up,
        process_start: Some("0".into()),
        is_master: false,
        caught_up: up,
        query_off: switch,
        load_off: switch,
        busy: drawn.busy,
        reported: true,
    }
}

/// A cluster, and what a roll made of it.
#[derive(Clone, Debug)]
struct World {
    members: Vec<Member>,
    record: Option<Record>,
    hold: bool,
    keeps_queries: bool,
    now: Timestamp,
    partition: u32,
    order: Order,
    /// Members in the order in which they were restarted, with whether they worked then.
    restarted: Vec<(String, bool)>,
}

fn world() -> impl Strategy<Value = World> {
    let followers = select(vec![1_usize, 3, 5, 7]).prop_flat_map(|count| (vec(drawn(), count), 0..count));
    let others = (vec(drawn(), 0..3), vec(drawn(), 1..6), vec(drawn(), 0..3), vec(drawn(), 0..2));
    (followers, others, any::<bool>(), any::<bool>()).prop_map(
        |((followers, master), (observers, backends, nodes, brokers), hold, keeps)| {
            let mut members = Vec::new();
            let kinds = [
                (Component::Fe, followers),
                (Component::FeObserver, observers),
                (Component::Be, backends),
                (Component::Cn, nodes),
                (Component::Broker, brokers),
            ];
            for (component, drawn) in kinds {
                members.extend((0..).zip(&drawn).map(|(ordinal, drawn)| member(component, ordinal, drawn)));
            }
            // A master works; without one there is no roll.
            members[master] = member(Component::Fe, members[master].ordinal, &Drawn { outdated: true, down: false, ..Drawn::calm() });
            members[master].is_master = true;
            World {
                members,
                record: None,
                hold,
                keeps_queries: keeps,
                now: Timestamp::UNIX_EPOCH,
                partition: 0,
                order: Order::Usual,
                restarted: Vec::new(),
            }
        },
    )
}

impl Drawn {
    const fn calm() -> Self {
        Self { outdated: false, down: false, busy: Some(0), domain: None, drained: false, silenced: false }
    }
}

impl World {
    fn step_of(&self, members: &[Member]) -> Step {
        let limits = Limits {
            drain: SignedDuration::from_secs(10),
            frontend: SignedDuration::from_mins(30),
            backend: SignedDuration::from_mins(15),
            held_by: None,
            partition: self.partition,
            avoided: SignedDuration::from_secs(120),
            only: None,
        };
        plan(&Scene {
            members,
            order: self.order,
            record: self.record.as_ref(),
            health: Health { unhealthy: Some(0), hold: Some(self.hold) },
            let_go: false,
            hold_is_specified: false,
            limits: &limits,
            now: self.now,
        })
    }

    fn step(&self) -> Step {
        self.step_of(&self.members)
    }

    fn member(&mut self, name: &str) -> &mut Member {
        self.members.iter_mut().find(|member| member.name == name).expect("steps name members")
    }

    fn pod(&mut self, name: &str) -> &mut Pod {
        self.member(name).pod.as_mut().expect("every member has a pod")
    }

    /// Does what a step says. A restart is judged first.
    fn carry_out(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Begin { pod, .. } => {
                prop_assert!(self.record.is_none(), "one member at a time");
                self.rules_agree(pod)?;
                let (since, keeps_queries) = (self.now, self.keeps_queries);
                let member = self.member(pod);
                let (uid, process_start) = (member.pod.as_ref().map(|pod| pod.uid.clone()), member.process_start.clone());
                self.record =
                    Some(Record { pod: pod.clone(), uid: uid.unwrap_or_default(), since, process_start, keeps_queries, cut_short: false });
            }
            Step::Drain { pod } => {
                let on = Switch { on: true, on_everywhere: true };
                let keeps_queries = self.keeps_queries;
                let member = self.member(pod);
                member.load_off = on;
                if !keeps_queries {
                    member.query_off = on;
                }
            }
            Step::Undrain { pod } => {
                let member = self.member(pod);
                (member.query_off, member.load_off) = (Switch::default(), Switch::default());
            }
            Step::StopServing { pod } => self.pod(pod).serving = false,
            Step::Serve { pod } => self.pod(pod).serving = true,
            Step::HoldScheduler => self.hold = true,
            Step::ReleaseScheduler => self.hold = false,
            Step::CutShort { .. } => {
                self.record.iter_mut().for_each(|record| record.cut_short = true);
            }
            Step::Restart { pod, uid } => {
                self.judge_restart(pod)?;
                self.restart(pod, uid)?;
            }
            Step::Done { pod } => {
                prop_assert_eq!(self.record.take().map(|record| record.pod), Some(pod.clone()));
            }
            Step::Wait(_) => self.now += SignedDuration::from_secs(30),
            other => prop_assert!(false, "{other:?}"),
        }
        Ok(())
    }

    /// What the rules about frontends say when it is a frontend's turn: the plan waits for all that they would wait for, so they speak
    /// only of what changes between that and the restart.
    fn rules_agree(&self, name: &str) -> Result<(), TestCaseError> {
        const JOURNAL: u64 = 100;
        let member = self.members.iter().find(|member| member.name == name).expect("steps name members");
        let is_frontend = |member: &&Member| matches!(member.component, Component::Fe | Component::FeObserver);
        if !is_frontend(&member) || member.is_down() {
            return Ok(());
        }
        let frontends = self.members.iter().filter(is_frontend).map(|member| Frontend {
            host: member.name.clone(),
            role: if member.component == Component::Fe { FrontendRole::Follower } else { FrontendRole::Observer },
            joined: member.registered,
            alive: member.alive,
            stopped: member.pod.as_ref().is_none_or(|pod| !pod.running),
            journal: member.alive.then_some(if member.caught_up { JOURNAL } else { JOURNAL - 1 }),
            done: member.pod.as_ref().is_some_and(|pod| !pod.outdated),
            steady_for: None,
            checkpoint: None,
            has_metadata_copy: false,
        });
        let members: Vec<Frontend> = frontends.collect();
        let group = members.iter().map(|member| member.host.clone()).collect();
        let master = self.members.iter().find(|member| member.is_master).expect("there is always one");
        let master = Ok(Master { host: master.name.clone(), journal: JOURNAL, group });
        let token = Token { uid: "l".to_owned(), transitions: 1 };
        let lease = Lease {
            identity: "us".to_owned(),
            holder: Some("us".to_owned()),
            operation: None,
            token: Some(token.clone()),
            taken: Some(token),
            renewed_ago: Duration::ZERO,
            duration: Duration::from_secs(15),
        };
        let observed = Observed {
            frontends: Some(Frontends { members, master }),
            lease: Some(lease),
            cache: Some(CacheLag::default()),
            ..Observed::default()
        };
        let terms = Terms {
            operation: "RollingRestart",
            unavailable_tables: UnavailableTables::Refuse,
            overrides: &[],
            used: &[],
            now: Timestamp::UNIX_EPOCH,
        };
        let step = SafeStep::RestartFrontend { host: name.to_owned(), onto: None };
        let against: Vec<SafetyRule> =
            ask_rules(&observed, &step, &terms).err().into_iter().flat_map(|refusal| refusal.blocked).map(|one| one.rule).collect();
        prop_assert_eq!(against, [] as [SafetyRule; 0], "{} would be begun with and refused", name);
        Ok(())
    }

    fn judge_restart(&self, name: &str) -> Result<(), TestCaseError> {
        let member = self.members.iter().find(|member| member.name == name).expect("steps name members");
        prop_assert_eq!(self.record.as_ref().map(|record| record.pod.as_str()), Some(name), "it is written down before");
        let is_outdated = |other: &&Member| other.pod.as_ref().is_some_and(|pod| pod.outdated);
        let others = || self.members.iter().filter(|other| other.name != name);
        if !member.is_down() {
            let away: Vec<&str> = others().filter(|other| other.is_away()).map(|other| other.name.as_str()).collect();
            prop_assert!(away.is_empty(), "{name} is restarted while {away:?} are away");
            let turn = |member: &Member| match member.component {
                Component::Be => 0,
                Component::Cn => 1,
                Component::Broker => 2,
                Component::FeObserver => 3,
                Component::Fe => 4 + u8::from(member.is_master),
            };
            let early: Vec<&str> =
                others().filter(is_outdated).filter(|other| turn(other) < turn(member)).map(|other| other.name.as_str()).collect();
            prop_assert!(early.is_empty() || self.order != Order::Usual, "{name} is restarted before {early:?}");
        }
        let voters: Vec<&Member> = self.members.iter().filter(|member| member.component == Component::Fe).collect();
        let left = voters.iter().filter(|voter| voter.name != name && voter.alive).count();
        if member.component == Component::Fe && member.alive && voters.len() >= 3 {
            prop_assert!(left * 2 > voters.len(), "{left} of {} followers are left", voters.len());
        }
        if member.component == Component::Be && member.alive {
            prop_assert!(self.hold && member.load_off.on_everywhere, "{name} is held and drained before");
        }
        Ok(())
    }

    fn restart(&mut self, name: &str, uid: &str) -> Result<(), TestCaseError> {
        let now = self.now;
        let member = self.member(name);
        let (was_master, worked) = (std::mem::take(&mut member.is_master), member.alive);
        let pod = member.pod.as_mut().expect("every member has a pod");
        prop_assert_eq!(pod.uid.as_str(), uid);
        *pod = Pod {
            uid: format!("{uid}'"),
            outdated: false,
            running: true,
            ready: true,
            serving: true,
            trouble: None,
            started_at: Some(now),
            ..pod.clone()
        };
        (member.alive, member.caught_up) = (true, true);
        member.process_start = member.process_start.take().map(|start| format!("{start}'"));
        self.restarted.push((name.to_owned(), worked));
        if was_master {
            let other = self.members.iter().position(|member| member.component == Component::Fe && member.alive && member.name != name);
            match other {
                Some(other) => self.members[other].is_master = true,
                None => self.member(name).is_master = true,
            }
        }
        Ok(())
    }

    /// Carries steps out until nothing is left to do; the step that says so.
    fn run(&mut self) -> Result<Step, TestCaseError> {
        for _ in 0..STEPS {
            let step = self.step();
            if matches!(step, Step::Rest | Step::Held(_)) {
                return Ok(step);
            }
            self.carry_out(&step)?;
        }
        prop_assert!(false, "it does not come to an end: {:?}", self.step());
        Ok(Step::Rest)
    }
}

proptest! {
    /// One member at a time, nobody while another one is away, in the order of components, the master last, never below a majority of
    /// the followers; and a plan on what it has made of a cluster is empty.
    #[test]
    fn a_roll_disturbs_one_member_at_a_time_and_ends(mut world in world()) {
        prop_assert_eq!(world.run()?, Step::Rest);
        prop_assert!(world.record.is_none() && !world.hold);
        for member in &world.members {
            let is_done = !member.is_away() && !member.is_drained_in_part() && member.pod.as_ref().is_some_and(|pod| pod.serving && !pod.outdated);
            prop_assert!(is_done, "{member:?}");
        }
        let mut names: Vec<&String> = world.restarted.iter().map(|(name, _)| name).collect();
        names.sort();
        names.dedup();
        prop_assert_eq!(names.len(), world.restarted.len(), "nobody twice: {:?}", &world.restarted);
        prop_assert_eq!(world.step(), Step::Rest);
    }

    /// What cannot run comes before everybody that works.
    #[test]
    fn what_cannot_run_is_replaced_first(mut world in world()) {
        world.run()?;
        prop_assert!(world.restarted.is_sorted_by_key(|(_, worked)| *worked), "{:?}", world.restarted);
    }

    /// Members below the limit keep what they run, unless they cannot run; what comes after them waits.
    #[test]
    fn a_partition_is_kept(mut world in world(), partition in 1_u32..4) {
        world.partition = partition;
        let cannot_run: Vec<String> = world.members.iter().filter(|member| member.is_down()).map(|member| member.name.clone()).collect();
        world.run()?;
        for member in world.members.iter().filter(|member| member.ordinal < partition && !cannot_run.contains(&member.name)) {
            prop_assert!(!world.restarted.iter().any(|(name, _)| *name == member.name), "{} is restarted", member.name);
        }
    }

    /// For a disk a component's members are restarted from ordinal 0 upward, and nobody else.
    #[test]
    fn a_roll_for_a_disk_goes_upward(mut world in world()) {
        world.order = Order::Upward(Component::Be);
        for member in &mut world.members {
            if member.is_down() {
                *member = self::member(member.component, member.ordinal, &Drawn::calm());
            }
        }
        world.run()?;
        let restarted: Vec<String> = world.restarted.iter().map(|(name, _)| name.clone()).collect();
        prop_assert!(restarted.is_sorted() && restarted.iter().all(|name| name.starts_with("c-be-")), "{restarted:?}");
    }

    /// The order in which members are listed decides nothing, wherever a roll stands.
    #[test]
    fn the_order_of_the_list_decides_nothing(
        (mut world, shuffled, steps) in world().prop_flat_map(|world| {
            let numbers: Vec<usize> = (0..world.members.len()).collect();
            (Just(world), Just(numbers).prop_shuffle(), 0_usize..60)
        }),
        partition in 0_u32..3,
    ) {
        world.partition = partition;
        for _ in 0..steps {
            let step = world.step();
            let members: Vec<Member> = shuffled.iter().map(|number| world.members[*number].clone()).collect();
            prop_assert_eq!(&world.step_of(&members), &step);
            if matches!(step, Step::Rest | Step::Held(_)) {
                break;
            }
            world.carry_out(&step)?;
        }
    }
}
