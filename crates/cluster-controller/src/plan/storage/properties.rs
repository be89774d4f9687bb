//! Rules of growth and of added disks, over random volumes and pods that are lost on the way.

use std::collections::BTreeSet;

use doris_api::Component;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};

use super::disks::{self, DiskPod};
use super::growth::{self, Claim, Growth, Volumes};
use super::{COMPONENTS, compare};
use crate::build::{ClaimShape, bytes};

fn size(number: u32) -> Quantity {
    Quantity(format!("{number}Gi"))
}

fn claim(name: String, template: &str, asked: u32, has: u32) -> Claim {
    let (uid, template) = (format!("u-{name}"), template.to_owned());
    Claim { name, uid, template, asked: size(asked), has: Some(size(has)), class: None, error: None, waits_for_pod: None }
}

/// Volumes of every component: claims that ask for at most what is wanted, some of them growing.
fn volumes() -> impl Strategy<Value = Vec<Volumes>> {
    let of = |component: Component| {
        let claims = vec((1_u32..5, 0_u32..3), 0..4);
        (claims, 1_u32..5, any::<bool>()).prop_map(move |(claims, wanted, template_is_behind)| {
            let claim = |(number, (asked, less)): (usize, (u32, u32))| {
                claim(format!("{component}-{number}"), "data", asked, asked.saturating_sub(less).max(1))
            };
            let claims = claims.into_iter().enumerate().map(claim).collect();
            Volumes { component, claims, wanted: vec![("data".into(), size(wanted))], template_is_behind }
        })
    };
    let [fe, observers, be, cn] = COMPONENTS.map(of);
    (fe, observers, be, cn).prop_map(|(fe, observers, be, cn)| vec![fe, observers, be, cn])
}

fn is_growing(claim: &Claim) -> bool {
    claim.has.as_ref().is_some_and(|has| bytes(has) < bytes(&claim.asked))
}

proptest! {
    /// No claim is asked for less, of the frontends one volume grows at a time, a component waits for the one before, a template comes
    /// after all claims of its component, and a plan on what grew is empty.
    #[test]
    fn claims_grow_in_order_and_templates_come_last(mut all in volumes()) {
        let mut is_over = false;
        for _ in 0..200 {
            let growth = growth::plan(&all, &|_, _| None);
            for ask in &growth.asks {
                let claim = all.iter_mut().flat_map(|volumes| &mut volumes.claims).find(|claim| claim.name == ask.claim).expect("a claim");
                prop_assert!(bytes(&ask.size) > bytes(&claim.asked) && ask.uid == claim.uid);
                claim.asked = ask.size.clone();
            }
            for volumes in all.iter().filter(|volumes| matches!(volumes.component, Component::Fe | Component::FeObserver)) {
                let asked = growth.asks.iter().filter(|ask| volumes.claims.iter().any(|claim| claim.name == ask.claim)).count();
                let growing = volumes.claims.iter().filter(|claim| is_growing(claim)).count();
                prop_assert!(asked == 0 || growing == 1, "{growing} volumes of {} grow at once", volumes.component);
            }
            let parts: BTreeSet<&str> = growth.asks.iter().filter_map(|ask| ask.claim.rsplit_once('-')).map(|(part, _)| part).collect();
            prop_assert!(parts.len() <= 1, "{parts:?} at once");
            if let Some(component) = growth.template {
                let volumes = all.iter_mut().find(|volumes| volumes.component == component).expect("a component");
                let wanted = bytes(&volumes.wanted[0].1);
                prop_assert!(volumes.claims.iter().all(|claim| bytes(&claim.asked) >= wanted && !is_growing(claim)), "{component}");
                volumes.template_is_behind = false;
            }
            if growth == Growth::default() {
                is_over = true;
                break;
            }
            // The first that grows has grown.
            if let Some(claim) = all.iter_mut().flat_map(|volumes| &mut volumes.claims).find(|claim| is_growing(claim)) {
                claim.has = Some(claim.asked.clone());
            }
        }
        prop_assert!(is_over, "it comes to an end");
        let is_done = |volumes: &Volumes| {
            !volumes.template_is_behind && volumes.claims.iter().all(|claim| bytes(&claim.asked) >= bytes(&volumes.wanted[0].1))
        };
        prop_assert!(all.iter().all(is_done));
    }

    /// A set keeps its templates, whatever is asked; what is asked beyond them is either added, outgrown or refused.
    #[test]
    fn a_set_keeps_its_templates(there in vec((0_usize..4, 1_u32..4), 1..4), wanted in vec((0_usize..6, 1_u32..4), 0..5)) {
        let shapes = |drawn: &[(usize, u32)]| -> Vec<ClaimShape> {
            let mut seen = BTreeSet::new();
            let fresh = drawn.iter().filter(|(name, _)| seen.insert(*name));
            fresh.map(|(name, number)| ClaimShape { name: format!("d{name}"), size: size(*number), class: None, medium: None }).collect()
        };
        let (there, wanted) = (shapes(&there), shapes(&wanted));
        let layout = compare(Component::Be, &wanted, Some(&there));
        prop_assert_eq!(&layout.in_force, &there);
        let known = |name: &str| there.iter().any(|shape| shape.name == name);
        prop_assert!(layout.added.iter().all(|shape| !known(&shape.name)));
        prop_assert_eq!(layout.added.len(), wanted.iter().filter(|shape| !known(&shape.name)).count());
        let smaller = |old: &&ClaimShape| wanted.iter().find(|new| new.name == old.name).is_none_or(|new| bytes(&new.size) < bytes(&old.size));
        prop_assert_eq!(layout.refused.len(), there.iter().filter(smaller).count());
        let again = compare(Component::Be, &layout.in_force, Some(&there));
        prop_assert!(again.added.is_empty() && again.outgrown.is_empty() && again.refused.is_empty());
    }

    /// Pods may be lost at any moment: the set is made anew with the further disk only while every pod is there, and it comes to an end.
    #[test]
    fn a_disk_is_added_whoever_is_lost_on_the_way(count in 1_u32..6, losses in vec(proptest::option::weighted(0.2, 0_usize..6), 200)) {
        let mut world = Disks::new(count);
        for lost in losses {
            world.turn()?;
            if let Some(pod) = lost.and_then(|number| world.pods.get_mut(number)) {
                (pod.is_there, pod.works) = (false, false);
            }
        }
        for _ in 0..100 {
            world.turn()?;
        }
        prop_assert_eq!(world.step(), disks::Step::Rest);
        prop_assert!(world.pods.iter().all(|pod| pod.works && pod.has_disks && pod.is_current), "{:?}", world.pods);
    }
}

/// Members that get a disk. A set makes pods anew from ordinal 0 upward and stops at the first one that lacks a disk of its templates.
struct Disks {
    pods: Vec<DiskPod>,
    set_has_disk: bool,
    is_recorded: bool,
    under_work: Option<String>,
}

impl Disks {
    fn new(count: u32) -> Self {
        let pod =
            |ordinal| DiskPod { name: format!("be-{ordinal}"), ordinal, is_there: true, works: true, is_current: true, has_disks: false };
        Self { pods: (0..count).map(pod).collect(), set_has_disk: false, is_recorded: false, under_work: None }
    }

    /// Pods as the plan sees them: without the templates nobody lacks a disk.
    fn step(&self) -> disks::Step {
        let missing = if self.set_has_disk { Vec::new() } else { vec!["more".to_owned()] };
        let seen = |pod: &DiskPod| DiskPod {
            is_current: pod.is_there && pod.has_disks == self.set_has_disk,
            has_disks: pod.has_disks || !self.set_has_disk,
            ..pod.clone()
        };
        let pods: Vec<DiskPod> = self.pods.iter().map(seen).collect();
        disks::plan(&disks::Scene {
            set_is_there: true,
            missing: &missing,
            pods: &pods,
            is_recorded: self.is_recorded,
            under_work: self.under_work.as_deref(),
            held_by: None,
        })
    }

    fn turn(&mut self) -> Result<(), proptest::test_runner::TestCaseError> {
        match self.step() {
            disks::Step::Begin => self.is_recorded = true,
            disks::Step::Forward => {
                prop_assert!(self.pods.iter().all(|pod| pod.is_there && pod.works), "every pod is there: {:?}", self.pods);
                self.set_has_disk = true;
            }
            disks::Step::Back(_) => self.set_has_disk = false,
            disks::Step::Restart => {
                let next = self.pods.iter_mut().find(|pod| pod.is_there && !pod.has_disks);
                if let Some(next) = next {
                    self.under_work = Some(next.name.clone());
                    (next.is_there, next.works) = (false, false);
                }
            }
            disks::Step::Done => (self.is_recorded, self.under_work) = (false, None),
            disks::Step::Rest | disks::Step::Wait(_) | disks::Step::Held(_) => {}
        }
        self.make_pods();
        Ok(())
    }

    fn make_pods(&mut self) {
        let with_disk = self.set_has_disk;
        for pod in &mut self.pods {
            if !pod.is_there {
                (pod.is_there, pod.works, pod.has_disks) = (true, true, with_disk);
            } else if with_disk && !pod.has_disks {
                return;
            }
        }
    }
}
