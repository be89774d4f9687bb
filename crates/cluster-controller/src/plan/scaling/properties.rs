//! Rules of every scale in, over random clusters in which steps are carried out at once.

use std::collections::BTreeMap;

use doris_api::Component;
use jiff::{SignedDuration, Timestamp};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, proptest};
use proptest::sample::select;
use proptest::test_runner::TestCaseError;

use super::{Admission, Claim, Leaver, Limits, Mark, Pod, Record, Row, Scene, Set, Stayer, Step, plan};

/// More steps than any of these takes.
const STEPS: usize = 800;
const KINDS: [Component; 5] = [Component::Fe, Component::FeObserver, Component::Be, Component::Cn, Component::Broker];

/// A cluster, and those that leave it.
#[derive(Clone, Debug)]
struct World {
    leavers: Vec<Leaver>,
    stayers: Vec<Stayer>,
    sets: BTreeMap<Component, Set>,
    record: Option<Record>,
    /// Followers that stay, and whether each of them works.
    staying: Vec<bool>,
    /// The master stays.
    master_stays: bool,
    /// So often the master that leaves is elected again.
    elected_again: u32,
    /// Doris drops backends that are empty.
    drops: bool,
    discards: bool,
    now: Timestamp,
    last_change: Option<Timestamp>,
}

fn leaver(component: Component, ordinal: u32, alive: bool, busy: Option<u64>) -> Leaver {
    let pod = format!("c-{component}-{ordinal}");
    let row =
        Row { alive, stores: component == Component::Be, tablets: if component == Component::Be { 9 } else { 0 }, busy, ..Row::default() };
    Leaver {
        component,
        ordinal,
        host: format!("{pod}.x"),
        row: Some(row),
        present: Some(Pod { uid: format!("{pod}-uid"), leaving: false, running: alive, serving: true }),
        slot: true,
        on_record: matches!(component, Component::Fe | Component::FeObserver | Component::Be),
        left_as: None,
        claims: vec![Claim { name: format!("v-{pod}"), uid: "u".into(), mark: None }],
        pod,
    }
}

fn world() -> impl Strategy<Value = World> {
    let followers = select(vec![(5_u32, 3_u32), (7, 3), (7, 5), (3, 3), (2, 1)]);
    let others = (vec((0_u32..3, 0_u32..4), 4), any::<bool>(), any::<bool>(), 0_u32..2);
    (
        followers,
        others,
        vec((proptest::bool::weighted(0.8), proptest::option::of(0_u64..2)), 40),
        vec(proptest::bool::weighted(0.9), 7),
        0_u32..7,
    )
        .prop_map(|((has, wanted), (others, drops, discards, elected_again), states, staying, master)| {
            let sizes: Vec<(u32, u32)> =
                std::iter::once((has, wanted)).chain(others.into_iter().map(|(wanted, more)| (wanted + more, wanted))).collect();
            let mut states = states.into_iter();
            let mut leavers = Vec::new();
            let mut sets = BTreeMap::new();
            for (component, (pods, wanted)) in KINDS.into_iter().zip(sizes) {
                sets.insert(component, Set { pods, wanted, specified: true });
                for ordinal in (wanted..pods).rev() {
                    let (alive, busy) = states.next().unwrap_or((true, Some(0)));
                    leavers.push(leaver(component, ordinal, alive, busy));
                }
            }
            let master = master % has;
            let mut staying: Vec<bool> = staying.into_iter().take(usize::try_from(wanted).unwrap_or(1)).collect();
            let leading = leavers.iter_mut().find(|leaver| leaver.component == Component::Fe && leaver.ordinal == master);
            let master_stays = leading.is_none();
            match leading {
                Some(leading) => {
                    let row = leading.row.as_mut().expect("it was just made");
                    (row.is_master, row.alive) = (true, true);
                    leading.present.iter_mut().for_each(|pod| pod.running = true);
                    staying.fill(true);
                }
                None => staying[usize::try_from(master).unwrap_or(0)] = true,
            }
            // The rules let nobody leave unless all that stay work and a majority of all does: the plan is only asked then.
            staying.fill(true);
            let dead = |leaver: &&mut Leaver| leaver.component == Component::Fe && leaver.row.as_ref().is_some_and(|row| !row.alive);
            for leaver in leavers.iter_mut().filter(dead).skip(1) {
                leaver.row.iter_mut().for_each(|row| row.alive = true);
                leaver.present.iter_mut().for_each(|pod| pod.running = true);
            }
            World {
                leavers,
                stayers: Vec::new(),
                sets,
                record: None,
                staying,
                master_stays,
                elected_again,
                drops,
                discards,
                now: Timestamp::UNIX_EPOCH,
                last_change: None,
            }
        })
}

impl World {
    fn step_of(&self, leavers: &[Leaver]) -> Step {
        let limits = Limits { drain: SignedDuration::from_secs(60), between_drops: SignedDuration::from_secs(15), held_by: None };
        let followers = self.staying.len() + self.voters().count();
        let scene = Scene {
            leavers,
            stayers: &self.stayers,
            sets: &self.sets,
            record: self.record.as_ref(),
            backends: Admission::Free,
            followers,
            one_follower_is_safe: true,
            one_follower_is_meant: true,
            progress: None,
            limits: &limits,
            now: self.now,
        };
        plan(&scene).step
    }

    fn step(&self) -> Step {
        self.step_of(&self.leavers)
    }

    fn voters(&self) -> impl Iterator<Item = &Row> {
        self.leavers.iter().filter(|leaver| leaver.component == Component::Fe).filter_map(|leaver| leaver.row.as_ref())
    }

    fn leaver(&mut self, pod_or_host: &str) -> &mut Leaver {
        let named = |leaver: &&mut Leaver| leaver.pod == pod_or_host || leaver.host == pod_or_host;
        self.leavers.iter_mut().find(named).expect("steps name members that leave")
    }

    fn row(&mut self, pod_or_host: &str) -> &mut Row {
        self.leaver(pod_or_host).row.as_mut().expect("it is registered")
    }

    /// Does what a step says, after it was judged.
    fn carry_out(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Begin { targets, focus } => {
                self.record = Some(Record { targets: targets.clone(), focus: Some(focus.clone()) });
            }
            Step::Decommission { hosts } => hosts.iter().for_each(|host| self.row(host).emptying = true),
            Step::Drain { hosts } => {
                for host in hosts {
                    let row = self.row(host);
                    (row.drained, row.drained_everywhere) = (true, true);
                }
            }
            Step::StopServing { pod } => self.leaver(pod).present.iter_mut().for_each(|pod| pod.serving = false),
            Step::RestartMaster { pod, uid } => self.restart_master(pod, uid)?,
            Step::DropFrontend { pod, .. } => self.drop_frontend(pod)?,
            Step::DropRow { host, .. } => {
                let leaver = self.leaver(host);
                let row = leaver.row.take().expect("it is registered");
                prop_assert!(leaver.present.is_none() && !leaver.slot && row.tablets == 0, "{leaver:?}, {row:?}");
            }
            Step::Mark { pods } => {
                let mark = if self.discards { Mark::Discarded } else { Mark::Kept };
                for pod in pods {
                    self.leaver(pod).claims.iter_mut().for_each(|claim| claim.mark = Some(mark));
                }
            }
            Step::Forget { hosts } => hosts.iter().for_each(|host| self.leaver(host).on_record = false),
            Step::Lower { component, to } => self.lower(*component, *to)?,
            Step::Discard { pod, claim, .. } => {
                let leaver = self.leaver(pod);
                prop_assert!(leaver.row.is_none() && leaver.present.is_none() && !leaver.slot && !leaver.on_record, "{leaver:?}");
                leaver.claims.retain(|one| one.name != *claim);
            }
            Step::Wait => self.pass_time(),
            Step::Done => self.record = None,
            Step::Cancel { hosts } => self.stayers.iter_mut().filter(|one| hosts.contains(&one.host)).for_each(|one| one.emptying = false),
            Step::Undrain { host } => self.stayers.iter_mut().filter(|one| one.host == *host).for_each(|one| one.drained = false),
            Step::Serve { pod } => self.stayers.iter_mut().filter(|one| one.pod == *pod).for_each(|one| one.silenced = false),
            Step::Rest => {}
        }
        // Whoever has nothing left is none of those that leave any more.
        self.leavers.retain(|leaver| {
            let has_claim = leaver.claims.iter().any(|claim| claim.mark == Some(Mark::Discarded));
            leaver.row.is_some() || leaver.slot || leaver.present.is_some() || leaver.on_record || has_claim
        });
        Ok(())
    }

    fn pass_time(&mut self) {
        self.now += SignedDuration::from_secs(20);
        let drops = self.drops;
        for leaver in &mut self.leavers {
            if leaver.component == Component::Broker {
                // Loads end.
                leaver.row.iter_mut().for_each(|row| row.busy = Some(0));
            }
            let Some(row) = leaver.row.as_mut().filter(|row| row.emptying) else { continue };
            row.tablets = row.tablets.saturating_sub(3);
            if row.tablets == 0 && drops {
                leaver.row = None;
            } else if row.tablets == 0 {
                row.overdue = true;
            }
        }
    }

    fn restart_master(&mut self, pod: &str, uid: &str) -> Result<(), TestCaseError> {
        let others: Vec<&Leaver> =
            self.leavers.iter().filter(|leaver| leaver.component == Component::Fe && leaver.row.is_some() && leaver.pod != pod).collect();
        prop_assert!(others.is_empty(), "the master leaves last, and {others:?} are there");
        prop_assert!(self.staying.iter().all(|works| *works), "those that stay work");
        let is_elected_again = self.elected_again > 0;
        self.elected_again = self.elected_again.saturating_sub(1);
        let leaver = self.leaver(pod);
        let present = leaver.present.as_mut().expect("a pod that is there");
        prop_assert_eq!(present.uid.as_str(), uid);
        *present = Pod { uid: format!("{uid}'"), leaving: false, running: true, serving: true };
        self.row(pod).is_master = is_elected_again;
        self.master_stays = !is_elected_again;
        Ok(())
    }

    fn drop_frontend(&mut self, pod: &str) -> Result<(), TestCaseError> {
        let (now, last) = (self.now, self.last_change);
        let leaver = self.leaver(pod);
        let row = leaver.row.take().expect("it is registered");
        prop_assert!(!row.is_master, "{pod} is the master");
        let silenced = leaver.present.as_ref().is_none_or(|pod| !pod.serving || !pod.running);
        prop_assert!(silenced, "clients are sent elsewhere before {pod} is dropped");
        prop_assert!(
            last.is_none_or(|last| now.duration_since(last) >= SignedDuration::from_secs(15)),
            "one change of the group at a time"
        );
        if leaver.component == Component::Fe {
            self.last_change = Some(now);
            let (alive, left) = (self.voters().filter(|row| row.alive).count(), self.voters().count());
            let (alive, left) = (alive + self.staying.iter().filter(|works| **works).count(), left + self.staying.len());
            prop_assert!(alive * 2 > left, "{alive} of {left} followers work once {pod} is dropped");
            prop_assert!(left % 2 == 1 || self.voters().count() > 0, "an even number stays");
        }
        Ok(())
    }

    fn lower(&mut self, component: Component, to: u32) -> Result<(), TestCaseError> {
        let set = self.sets.get_mut(&component).expect("there is a set");
        prop_assert!(to >= set.wanted && to < set.pods, "{component} from {} to {to}", set.pods);
        set.pods = to;
        for leaver in self.leavers.iter_mut().filter(|leaver| leaver.component == component && leaver.slot && leaver.ordinal >= to) {
            let may_go = match (&leaver.row, component) {
                (None, _) | (Some(_), Component::Broker) => true,
                (Some(_), Component::Fe | Component::FeObserver) => false,
                (Some(row), Component::Be) => row.tablets == 0 && row.emptying && row.overdue,
                (Some(row), Component::Cn) => row.drained || !row.alive,
            };
            prop_assert!(may_go, "the pod of {leaver:?} goes");
            prop_assert!(
                !leaver.on_record && leaver.claims.iter().all(|claim| claim.mark.is_some()),
                "{leaver:?} is forgotten, its volumes marked"
            );
            (leaver.slot, leaver.present) = (false, None);
            if let Some(row) = &mut leaver.row {
                row.alive = false;
                // Loads that a broker was used for have ended.
                row.busy = None;
            }
        }
        Ok(())
    }

    /// What is asked for again stays: those that leave and are registered become members as they are.
    fn take_back(&mut self) {
        for set in self.sets.values_mut() {
            set.wanted = set.pods;
        }
        let targets = self.record.iter().flat_map(|record| record.targets.iter());
        let targets: Vec<String> = targets.cloned().collect();
        for leaver in self.leavers.iter().filter(|leaver| leaver.slot && targets.contains(&leaver.pod)) {
            let row = leaver.row.clone().unwrap_or_default();
            self.stayers.push(Stayer {
                pod: leaver.pod.clone(),
                host: leaver.host.clone(),
                emptying: row.emptying,
                drained: row.drained,
                silenced: leaver.present.as_ref().is_some_and(|pod| !pod.serving),
                is_frontend: matches!(leaver.component, Component::Fe | Component::FeObserver),
            });
        }
        self.leavers.retain(|leaver| !leaver.slot);
    }

    fn run(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..STEPS {
            let step = self.step();
            if step == Step::Rest {
                return Ok(());
            }
            self.carry_out(&step)?;
        }
        prop_assert!(false, "it does not come to an end: {:?}, {:?}", self.step(), self.leavers);
        Ok(())
    }
}

proptest! {
    /// The master is never dropped, a majority of what stays works after each drop, no pod goes whose member could lose anything, and in
    /// the end exactly those that the spec asks for are left; a plan on that is empty.
    #[test]
    fn whoever_leaves_loses_nothing_and_all_of_them_leave(mut world in world()) {
        world.run()?;
        prop_assert_eq!(&world.leavers, &Vec::new());
        for (component, set) in &world.sets {
            prop_assert_eq!(set.pods, set.wanted, "{}", component);
        }
        prop_assert!(world.record.is_none() && world.master_stays);
    }

    /// Wherever it stands, members that are asked for again stay, and nothing that was done to them is left.
    #[test]
    fn a_scale_in_is_taken_back_at_any_step((mut world, steps) in (world(), 0_usize..80)) {
        for _ in 0..steps {
            let step = world.step();
            if step == Step::Rest {
                break;
            }
            world.carry_out(&step)?;
        }
        world.take_back();
        let pods: Vec<u32> = world.sets.values().map(|set| set.pods).collect();
        world.run()?;
        prop_assert_eq!(pods, world.sets.values().map(|set| set.pods).collect::<Vec<_>>());
        prop_assert!(world.stayers.iter().all(|stayer| !(stayer.emptying || stayer.drained || stayer.silenced && stayer.is_frontend)));
    }

    /// The order in which members are listed decides nothing.
    #[test]
    fn the_order_of_the_list_decides_nothing(
        (mut world, shuffled, steps) in world().prop_flat_map(|world| {
            let pods: Vec<String> = world.leavers.iter().map(|leaver| leaver.pod.clone()).collect();
            (Just(world), Just(pods).prop_shuffle(), 0_usize..80)
        }),
    ) {
        for _ in 0..steps {
            let step = world.step();
            let mut leavers = world.leavers.clone();
            leavers.sort_by_key(|leaver| shuffled.iter().position(|pod| *pod == leaver.pod));
            prop_assert_eq!(&world.step_of(&leavers), &step);
            if step == Step::Rest {
                break;
            }
            world.carry_out(&step)?;
        }
    }
}
