//! Stopping every member and keeping all data, and starting them again.
//!
//! Nothing is dropped from Doris: with the same names and volumes the same members come back. Where it
//! stands is seen from the sets and their pods, so a flag that is flipped midway simply turns it round.
//!
//! Backends stop after the last frontend, or it would copy the tablets of those that are gone; and they
//! are there before it may copy again.

use std::time::Duration;

use doris_api::Component;

/// Backends that do not come back within this time are told, and the others go on.
pub const BACKENDS_WITHIN: Duration = Duration::from_mins(15);

/// A component's set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Set {
    /// The component.
    pub component: Component,
    /// Pods that the set is to have now.
    pub replicas: i32,
    /// Pods that it has when the cluster runs.
    pub wanted: i32,
    /// Pods that are there.
    pub pods: usize,
}

/// Which way it goes, as written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Members are being stopped.
    Down,
    /// Members are being started.
    Up,
}

/// All that the plan looks at.
#[derive(Clone, Debug)]
pub struct Scene<'a> {
    /// What the spec says.
    pub suspend: bool,
    /// The cluster was founded: there is an order to keep.
    pub is_founded: bool,
    /// What is written down.
    pub direction: Option<Direction>,
    /// How long ago it was written down.
    pub elapsed: Duration,
    /// For running statements.
    pub drain: Duration,
    /// Sets that are there.
    pub sets: &'a [Set],
    /// Ordinal of the master, if one is proven.
    pub master: Option<u32>,
    /// Followers that are alive and lag behind it.
    pub behind: &'a [String],
    /// Frontends that clients are sent to.
    pub serving: &'a [String],
    /// Frontends that clients are not sent to.
    pub silent: &'a [String],
    /// Statements that run on frontends.
    pub busy: u64,
    /// Doris is kept from copying tablets; `None` if it could not be asked.
    pub held: Option<bool>,
    /// Backends on record that are not alive, or did not tell of their tablets yet.
    pub missing: &'a [String],
}

/// The next thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The cluster runs, and is to run.
    Rest,
    /// All members are stopped, as wanted.
    Suspended,
    /// Write down which way it goes.
    Begin(Direction),
    /// Send no clients to the frontends any more, or not yet.
    Silence,
    /// Give a set this many pods.
    Resize(Component, i32),
    /// Keep Doris from copying tablets.
    Hold,
    /// Let Doris copy tablets again.
    Release,
    /// Send clients to the frontends.
    Serve,
    /// It is done: strike it off.
    Done,
    /// Something takes its time.
    Wait(String),
}

/// What is to be done next.
pub fn plan(scene: &Scene<'_>) -> Step {
    match (scene.suspend, scene.direction) {
        (true, _) if scene.sets.iter().all(|set| set.replicas == 0 && set.pods == 0) => match scene.direction {
            Some(_) => Step::Done,
            None => Step::Suspended,
        },
        (true, Some(Direction::Down)) => down(scene),
        (true, _) => Step::Begin(Direction::Down),
        (false, Some(Direction::Up)) => up(scene),
        (false, Some(Direction::Down)) => Step::Begin(Direction::Up),
        (false, None) if set(scene, Component::Fe).is_some_and(|fe| fe.replicas == 0) => Step::Begin(Direction::Up),
        (false, None) => Step::Rest,
    }
}

fn set(scene: &Scene<'_>, component: Component) -> Option<Set> {
    scene.sets.iter().find(|set| set.component == component).copied()
}

/// Lets a set have no pods; `None` once they are gone.
fn stop(scene: &Scene<'_>, component: Component) -> Option<Step> {
    let set = set(scene, component)?;
    if set.replicas > 0 {
        return Some(Step::Resize(component, 0));
    }
    (set.pods > 0).then(|| Step::Wait(format!("{} {component} members stop", set.pods)))
}

fn down(scene: &Scene<'_>) -> Step {
    let frontends = set(scene, Component::Fe);
    let is_serving = frontends.is_some_and(|fe| fe.replicas > 0);
    if scene.is_founded && is_serving {
        if !scene.serving.is_empty() {
            return Step::Silence;
        }
        let workers_run = [Component::Cn, Component::Broker].into_iter().any(|one| set(scene, one).is_some_and(|set| set.replicas > 0));
        let is_first = workers_run || frontends.is_some_and(|fe| fe.replicas >= fe.wanted);
        if is_first && scene.elapsed < scene.drain {
            if scene.busy > 0 {
                return Step::Wait(format!(
                    "{} statements still run; members stop after {} s at the latest",
                    scene.busy,
                    scene.drain.as_secs()
                ));
            }
            if let Some(behind) = scene.behind.first() {
                return Step::Wait(format!("{behind} has to catch up with the master before it stops"));
            }
        }
    }
    let first = [Component::Cn, Component::Broker, Component::FeObserver].into_iter().find_map(|component| stop(scene, component));
    first
        .or_else(|| followers(scene, frontends?))
        .or_else(|| stop(scene, Component::Be))
        .unwrap_or_else(|| Step::Wait("the last members stop".to_owned()))
}

/// The followers above the master stop before it; those below stop with it, since a set has no gaps.
fn followers(scene: &Scene<'_>, frontends: Set) -> Option<Step> {
    if let Some(master) = scene.master.filter(|_| frontends.replicas > 0 && scene.is_founded) {
        let up_to_master = i32::try_from(master).unwrap_or(i32::MAX - 1) + 1;
        if frontends.replicas > up_to_master {
            return Some(Step::Resize(Component::Fe, up_to_master));
        }
        let above = frontends.pods.saturating_sub(usize::try_from(up_to_master).unwrap_or(0));
        if above > 0 {
            return Some(Step::Wait(format!("{above} followers stop before the master")));
        }
    }
    stop(scene, Component::Fe)
}

fn up(scene: &Scene<'_>) -> Step {
    let start = |component| set(scene, component).filter(|set| set.replicas < set.wanted).map(|set| Step::Resize(component, set.wanted));
    if let Some(step) = start(Component::Fe) {
        return step;
    }
    if !scene.is_founded {
        // There was nothing to keep an order in.
        return Step::Done;
    }
    let are_backends_there = scene.missing.is_empty() || scene.elapsed >= BACKENDS_WITHIN;
    let starts_workers = [Component::FeObserver, Component::Be].into_iter().find_map(start);
    let is_open = starts_workers.is_none() && are_backends_there;
    if !is_open && !scene.serving.is_empty() {
        return Step::Silence;
    }
    if scene.master.is_none() {
        return Step::Wait("the frontends elect a master".to_owned());
    }
    if !is_open && scene.held == Some(false) {
        return Step::Hold;
    }
    if let Some(step) = starts_workers {
        return step;
    }
    if !are_backends_there {
        return Step::Wait(format!("backends come back: {} are not alive, or did not tell of their tablets yet", scene.missing.join(", ")));
    }
    if let Some(step) = [Component::Cn, Component::Broker].into_iter().find_map(start) {
        return step;
    }
    if scene.held == Some(true) {
        return Step::Release;
    }
    if !scene.silent.is_empty() {
        return Step::Serve;
    }
    Step::Done
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use doris_api::Component;

    use super::{Direction, Scene, Set, Step, plan};

    /// A cluster that every step is carried out in at once.
    struct World {
        suspend: bool,
        direction: Option<Direction>,
        sets: Vec<Set>,
        master: u32,
        serving: Vec<String>,
        silent: Vec<String>,
        held: bool,
        elapsed: Duration,
    }

    const WANTED: [(Component, i32); 5] =
        [(Component::Fe, 3), (Component::FeObserver, 1), (Component::Be, 3), (Component::Cn, 2), (Component::Broker, 1)];

    fn frontends() -> Vec<String> {
        (0..3).map(|n| format!("fe-{n}")).collect()
    }

    impl World {
        fn running(master: u32) -> Self {
            let sets =
                WANTED.map(|(component, wanted)| Set { component, replicas: wanted, wanted, pods: usize::try_from(wanted).unwrap() });
            Self {
                suspend: false,
                direction: None,
                sets: sets.to_vec(),
                master,
                serving: frontends(),
                silent: Vec::new(),
                held: false,
                elapsed: Duration::ZERO,
            }
        }

        fn of(&self, component: Component) -> Set {
            *self.sets.iter().find(|set| set.component == component).unwrap()
        }

        fn step(&self) -> Step {
            let leads = self.of(Component::Fe).pods > 1;
            let missing = if self.of(Component::Be).pods < 3 { vec!["be-0".to_owned()] } else { Vec::new() };
            plan(&Scene {
                suspend: self.suspend,
                is_founded: true,
                direction: self.direction,
                elapsed: self.elapsed,
                drain: Duration::from_secs(10),
                sets: &self.sets,
                master: leads.then_some(self.master),
                behind: &[],
                serving: if self.of(Component::Fe).pods > 0 { &self.serving } else { &[] },
                silent: &self.silent,
                busy: 0,
                held: leads.then_some(self.held),
                missing: &missing,
            })
        }

        /// Does what the step says; tells the sets that were resized.
        fn run(&mut self, steps: usize) -> Vec<Step> {
            let mut done = Vec::new();
            for _ in 0..steps {
                let step = self.step();
                match &step {
                    Step::Begin(direction) => self.direction = Some(*direction),
                    Step::Silence => (self.serving, self.silent) = (Vec::new(), frontends()),
                    Step::Serve => (self.serving, self.silent) = (frontends(), Vec::new()),
                    Step::Resize(component, replicas) => {
                        let set = self.sets.iter_mut().find(|set| set.component == *component).unwrap();
                        (set.replicas, set.pods) = (*replicas, usize::try_from(*replicas).unwrap());
                        if *component == Component::Fe && *replicas == 0 {
                            // Pods that are made anew serve, and their settings are forgotten.
                            (self.serving, self.silent, self.held) = (frontends(), Vec::new(), false);
                        }
                    }
                    Step::Hold => self.held = true,
                    Step::Release => self.held = false,
                    Step::Done => self.direction = None,
                    Step::Rest | Step::Suspended => return done,
                    Step::Wait(why) => panic!("nothing would end this: {why}"),
                }
                done.push(step);
            }
            done
        }
    }

    #[test]
    fn members_stop_in_order_and_start_in_the_other() {
        let mut world = World::running(0);
        assert_eq!(world.run(9), []);
        world.suspend = true;
        let resize = |component, replicas| Step::Resize(component, replicas);
        let down = [
            Step::Begin(Direction::Down),
            Step::Silence,
            resize(Component::Cn, 0),
            resize(Component::Broker, 0),
            resize(Component::FeObserver, 0),
            resize(Component::Fe, 1),
            resize(Component::Fe, 0),
            resize(Component::Be, 0),
            Step::Done,
        ];
        assert_eq!(world.run(20), down);
        assert_eq!(world.step(), Step::Suspended);
        world.suspend = false;
        let up = [
            Step::Begin(Direction::Up),
            resize(Component::Fe, 3),
            Step::Silence,
            Step::Hold,
            resize(Component::FeObserver, 1),
            resize(Component::Be, 3),
            resize(Component::Cn, 2),
            resize(Component::Broker, 1),
            Step::Release,
            Step::Serve,
            Step::Done,
        ];
        assert_eq!(world.run(20), up);
        assert_eq!(world.step(), Step::Rest);
    }

    #[test]
    fn the_master_stops_after_the_followers_above_it() {
        for (master, steps) in [(0, vec![1, 0]), (1, vec![2, 0]), (2, vec![0])] {
            let mut world = World::running(master);
            world.suspend = true;
            let done = world.run(20);
            let sizes: Vec<i32> = done
                .iter()
                .filter_map(|step| if let Step::Resize(Component::Fe, replicas) = step { Some(*replicas) } else { None })
                .collect();
            assert_eq!(sizes, steps, "{master}");
        }
    }

    #[test]
    fn a_flag_that_is_flipped_midway_turns_it_round_from_anywhere() {
        for begun in 0..9 {
            let mut world = World::running(0);
            world.suspend = true;
            world.run(begun);
            world.suspend = false;
            world.run(20);
            assert_eq!(world.step(), Step::Rest, "down for {begun} steps");
            let all_run = world.sets.iter().all(|set| set.replicas == set.wanted);
            assert!(all_run && !world.held && world.silent.is_empty(), "down for {begun} steps");
        }
        for begun in 0..11 {
            let mut world = World::running(0);
            world.suspend = true;
            world.run(20);
            world.suspend = false;
            world.run(begun);
            world.suspend = true;
            world.run(20);
            assert_eq!(world.step(), Step::Suspended, "up for {begun} steps");
        }
    }

    #[test]
    fn backends_that_stay_away_do_not_keep_the_others_for_ever() {
        let mut world = World::running(0);
        world.direction = Some(Direction::Up);
        let be = world.sets.iter_mut().find(|set| set.component == Component::Be).unwrap();
        be.pods = 2;
        world.serving.clear();
        world.held = true;
        assert!(matches!(world.step(), Step::Wait(why) if why.contains("be-0")));
        world.elapsed = Duration::from_mins(16);
        assert_eq!(world.step(), Step::Release);
    }
}
