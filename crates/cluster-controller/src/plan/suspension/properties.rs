//! Rules of every suspension and resumption, over random clusters and flags that are flipped at any moment.

use std::time::Duration;

use doris_api::Component;
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};
use proptest::sample::select;
use proptest::test_runner::TestCaseError;

use super::{Direction, Scene, Set, Step, plan};

/// A cluster whose pods come and go one by one.
#[derive(Clone, Debug)]
struct World {
    suspend: bool,
    direction: Option<Direction>,
    sets: Vec<Set>,
    master: u32,
    serving: bool,
    held: bool,
    busy: u64,
    elapsed: Duration,
}

fn world() -> impl Strategy<Value = World> {
    let sizes = (select(vec![1_i32, 3, 5]), 0_i32..3, 1_i32..4, 0_i32..3, 0_i32..2);
    (sizes, 0_u32..5, 0_u64..3).prop_map(|((fe, observers, be, cn, brokers), master, busy)| {
        let sizes = [
            (Component::Fe, fe),
            (Component::FeObserver, observers),
            (Component::Be, be),
            (Component::Cn, cn),
            (Component::Broker, brokers),
        ];
        let set = |(component, wanted)| Set { component, replicas: wanted, wanted, pods: usize::try_from(wanted).unwrap_or(0) };
        let master = master % u32::try_from(fe).unwrap_or(1);
        let sets = sizes.into_iter().filter(|(_, wanted)| *wanted > 0).map(set).collect();
        World { suspend: false, direction: None, sets, master, serving: true, held: false, busy, elapsed: Duration::ZERO }
    })
}

impl World {
    fn of(&self, component: Component) -> Option<Set> {
        self.sets.iter().find(|set| set.component == component).copied()
    }

    fn pods(&self, component: Component) -> usize {
        self.of(component).map_or(0, |set| set.pods)
    }

    /// There is one as long as a majority runs.
    fn leader(&self) -> Option<u32> {
        let fe = self.of(Component::Fe)?;
        let has_majority = fe.pods * 2 > usize::try_from(fe.wanted).unwrap_or(0);
        // Whoever is there is elected if the master is not.
        let highest = u32::try_from(fe.pods).unwrap_or(1).saturating_sub(1);
        has_majority.then_some(self.master.min(highest))
    }

    fn step(&self) -> Step {
        let frontends: Vec<String> = (0..self.pods(Component::Fe) + self.pods(Component::FeObserver)).map(|n| format!("fe-{n}")).collect();
        let backends = self.of(Component::Be).filter(|be| be.pods < usize::try_from(be.wanted).unwrap_or(0));
        let missing: Vec<String> = backends.iter().map(|_| "be-0".to_owned()).collect();
        let leader = self.leader();
        plan(&Scene {
            suspend: self.suspend,
            is_founded: true,
            direction: self.direction,
            elapsed: self.elapsed,
            drain: Duration::from_secs(60),
            sets: &self.sets,
            master: leader,
            behind: &[],
            serving: if self.serving { &frontends } else { &[] },
            silent: if self.serving { &[] } else { &frontends },
            busy: self.busy,
            held: leader.map(|_| self.held),
            missing: &missing,
        })
    }

    fn carry_out(&mut self) -> Result<Step, TestCaseError> {
        let step = self.step();
        match &step {
            Step::Begin(direction) => (self.direction, self.elapsed) = (Some(*direction), Duration::ZERO),
            Step::Silence => self.serving = false,
            Step::Serve => {
                prop_assert!(!self.held, "clients come when all is as it was");
                self.serving = true;
            }
            Step::Hold => self.held = true,
            Step::Release => {
                prop_assert!(self.is_complete(Component::Be), "tablets are copied only when all backends are there");
                self.held = false;
            }
            Step::Resize(component, replicas) => {
                self.judge(*component, *replicas)?;
                let set = self.sets.iter_mut().find(|set| set.component == *component).expect("there is such a set");
                set.replicas = *replicas;
            }
            Step::Done => self.direction = None,
            Step::Rest | Step::Suspended | Step::Wait(_) => {}
        }
        self.elapsed += Duration::from_secs(20);
        self.move_pods();
        Ok(step)
    }

    fn is_complete(&self, component: Component) -> bool {
        self.of(component).is_none_or(|set| set.pods == usize::try_from(set.wanted).unwrap_or(0))
    }

    /// A pod of each set comes or goes.
    fn move_pods(&mut self) {
        for set in &mut self.sets {
            let wanted = usize::try_from(set.replicas).unwrap_or(0);
            set.pods = if set.pods > wanted { set.pods - 1 } else { wanted.min(set.pods + 1) };
        }
        if self.pods(Component::Fe) == 0 {
            // Pods that are made anew serve, and settings of processes are forgotten.
            (self.serving, self.held) = (true, false);
        }
    }

    fn judge(&self, component: Component, replicas: i32) -> Result<(), TestCaseError> {
        let before = self.of(component).map_or(0, |set| set.replicas);
        if component == Component::Be && replicas == 0 {
            prop_assert_eq!(self.pods(Component::Fe) + self.pods(Component::FeObserver), 0, "backends stop when no frontend is left");
        }
        if component == Component::Fe && replicas < before {
            let others: usize = [Component::Cn, Component::Broker, Component::FeObserver].map(|one| self.pods(one)).into_iter().sum();
            prop_assert_eq!(others, 0, "followers stop after all that need them");
            prop_assert!(!self.serving, "clients are sent to nobody that stops");
            if let Some(master) = self.leader().filter(|_| replicas == 0) {
                let above = self.pods(Component::Fe).saturating_sub(usize::try_from(master).unwrap_or(0) + 1);
                prop_assert_eq!(above, 0, "followers above the master stop before it");
            }
        }
        if component != Component::Fe && replicas > before {
            prop_assert!(self.leader().is_some(), "{} starts when a master answers", component);
        }
        if component == Component::Be && replicas > before {
            prop_assert!(self.held, "Doris copies nothing while backends start");
        }
        Ok(())
    }

    fn settle(&mut self) -> Result<Step, TestCaseError> {
        let mut step = Step::Rest;
        for _ in 0..200 {
            step = self.carry_out()?;
        }
        Ok(step)
    }
}

proptest! {
    /// Wherever the flag is flipped, each order is kept, and it ends as the flag says, with nothing left switched.
    #[test]
    fn a_flag_may_be_flipped_at_any_moment(mut world in world(), flips in vec(1_usize..30, 1..6), last in any::<bool>()) {
        for steps in flips {
            world.suspend = !world.suspend;
            for _ in 0..steps {
                world.carry_out()?;
            }
        }
        world.suspend = last;
        let step = world.settle()?;
        prop_assert!(world.direction.is_none());
        if last {
            prop_assert_eq!(step, Step::Suspended);
            prop_assert!(world.sets.iter().all(|set| set.pods == 0));
        } else {
            prop_assert_eq!(step, Step::Rest);
            prop_assert!(world.sets.iter().all(|set| set.replicas == set.wanted));
            prop_assert!(!world.held && world.serving);
        }
    }
}
