//! Adding a disk to backends or compute nodes.
//!
//! A set with a further claim template cannot make pods anew while pods of lower ordinals lack the
//! disk, for it stops at each of those. So the templates are swapped only while every pod is there,
//! the pods are replaced from ordinal 0 upward with nothing else between, and when a pod is lost
//! meanwhile that the set cannot make again, the former templates come back until it is there.

/// A pod that the set is to have.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskPod {
    /// Its name.
    pub name: String,
    /// Its ordinal.
    pub ordinal: u32,
    /// There is such a pod, and it is not on its way out.
    pub is_there: bool,
    /// It works: ready, and alive in Doris.
    pub works: bool,
    /// It was made from the set's present template.
    pub is_current: bool,
    /// It has every disk that the set's templates name.
    pub has_disks: bool,
}

/// All that the plan looks at.
#[derive(Clone, Debug)]
pub struct Scene<'a> {
    /// The set is there. While it is made anew nothing is decided.
    pub set_is_there: bool,
    /// Disks of the spec that the set lacks.
    pub missing: &'a [String],
    /// Pods by ordinal.
    pub pods: &'a [DiskPod],
    /// The operation is written down, on the server.
    pub is_recorded: bool,
    /// The pod that is being restarted by it.
    pub under_work: Option<&'a str>,
    /// Why it may not begin now.
    pub held_by: Option<&'a str>,
}

/// The next thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// No disk is to be added.
    Rest,
    /// Write the operation down.
    Begin,
    /// Make the set anew with the further templates.
    Forward,
    /// Make the set anew with the former templates: a pod is lost.
    Back(String),
    /// Replace pods, upward.
    Restart,
    /// All pods have the disks.
    Done,
    /// Something takes its time.
    Wait(String),
    /// It stands before its beginning.
    Held(String),
}

/// What is to be done next.
pub fn plan(scene: &Scene<'_>) -> Step {
    if !scene.set_is_there {
        return if scene.is_recorded { Step::Wait("its StatefulSet is being made anew".to_owned()) } else { Step::Rest };
    }
    let lacking = scene.pods.iter().find(|pod| pod.is_there && !pod.has_disks);
    match (scene.missing.is_empty(), lacking) {
        (true, Some(lacking)) => among_pods(scene, lacking),
        (true, None) if !scene.is_recorded => Step::Rest,
        (true, None) if scene.pods.iter().all(|pod| pod.is_current && pod.works) => Step::Done,
        (true, None) => Step::Restart,
        (false, _) => before(scene),
    }
}

/// The set names disks that pods lack.
fn among_pods(scene: &Scene<'_>, lacking: &DiskPod) -> Step {
    let is_lost = |pod: &&DiskPod| !pod.is_there && pod.ordinal > lacking.ordinal && scene.under_work != Some(pod.name.as_str());
    if let Some(lost) = scene.pods.iter().find(is_lost) {
        return Step::Back(lost.name.clone());
    }
    if scene.is_recorded { Step::Restart } else { Step::Begin }
}

/// The set has the former templates.
fn before(scene: &Scene<'_>) -> Step {
    if !scene.is_recorded
        && let Some(why) = scene.held_by
    {
        return Step::Held(why.to_owned());
    }
    if let Some(away) = scene.pods.iter().find(|pod| !pod.is_there || !pod.works) {
        return Step::Wait(format!("{} has to work first: while disks are added, its StatefulSet could not make it anew", away.name));
    }
    // Pods that have the disk already are from a first try; others are restarted for something else first.
    if !scene.is_recorded
        && let Some(outdated) = scene.pods.iter().find(|pod| !pod.is_current)
    {
        return Step::Wait(format!("{} has to be restarted for the rest of the spec first", outdated.name));
    }
    if scene.is_recorded { Step::Forward } else { Step::Begin }
}

#[cfg(test)]
mod tests {
    use super::{DiskPod, Scene, Step, plan};

    fn pods(count: u32) -> Vec<DiskPod> {
        (0..count)
            .map(|ordinal| DiskPod {
                name: format!("be-{ordinal}"),
                ordinal,
                is_there: true,
                works: true,
                is_current: true,
                has_disks: true,
            })
            .collect()
    }

    struct Given {
        missing: Vec<String>,
        pods: Vec<DiskPod>,
        is_recorded: bool,
        under_work: Option<&'static str>,
        held_by: Option<&'static str>,
    }

    impl Given {
        fn step(&self) -> Step {
            plan(&Scene {
                set_is_there: true,
                missing: &self.missing,
                pods: &self.pods,
                is_recorded: self.is_recorded,
                under_work: self.under_work,
                held_by: self.held_by,
            })
        }
    }

    fn wanted() -> Given {
        Given { missing: vec!["d2".into()], pods: pods(4), is_recorded: false, under_work: None, held_by: None }
    }

    /// The set has the disk, and so have the pods below an ordinal.
    fn halfway(done: usize) -> Given {
        let mut given = Given { missing: Vec::new(), is_recorded: true, ..wanted() };
        for pod in &mut given.pods[done..] {
            (pod.has_disks, pod.is_current) = (false, false);
        }
        given
    }

    #[test]
    fn it_is_written_down_then_swapped_then_the_pods_are_restarted_and_then_it_is_done() {
        let mut given = wanted();
        assert_eq!(given.step(), Step::Begin);
        given.is_recorded = true;
        assert_eq!(given.step(), Step::Forward);
        for done in 0..4 {
            assert_eq!(halfway(done).step(), Step::Restart, "{done}");
        }
        assert_eq!(halfway(4).step(), Step::Done);
        assert_eq!(Given { is_recorded: false, ..halfway(4) }.step(), Step::Rest);
    }

    #[test]
    fn it_does_not_begin_while_a_pod_is_away_or_old_or_somebody_holds_it() {
        let mut away = wanted();
        away.pods[2].is_there = false;
        assert!(matches!(away.step(), Step::Wait(why) if why.starts_with("be-2")));
        let mut sick = wanted();
        sick.pods[1].works = false;
        assert!(matches!(sick.step(), Step::Wait(why) if why.starts_with("be-1")));
        let mut old = wanted();
        old.pods[0].is_current = false;
        assert!(matches!(old.step(), Step::Wait(why) if why.starts_with("be-0")));
        assert_eq!(Given { held_by: Some("paused"), ..wanted() }.step(), Step::Held("paused".into()));
        assert_eq!(Given { held_by: Some("paused"), is_recorded: true, ..wanted() }.step(), Step::Forward, "what began is finished");
    }

    #[test]
    fn a_pod_that_is_lost_above_one_without_the_disk_brings_the_former_templates_back() {
        let mut given = halfway(1);
        given.under_work = Some("be-1");
        given.pods[1].is_there = false;
        assert_eq!(given.step(), Step::Restart, "it is the turn of this one");
        given.pods[3].is_there = false;
        // be-2 still lacks the disk: the set stops there.
        assert_eq!(given.step(), Step::Back("be-3".into()));
        let mut low = halfway(2);
        low.pods[0].is_there = false;
        assert_eq!(low.step(), Step::Restart, "the set makes it anew by itself");
    }

    #[test]
    fn back_on_the_former_templates_it_waits_for_the_lost_pod_and_goes_on() {
        let mut given = Given { is_recorded: true, ..wanted() };
        // Those that got the disk before are older than the present, former template.
        (given.pods[0].is_current, given.pods[3].is_there) = (false, false);
        assert!(matches!(given.step(), Step::Wait(why) if why.starts_with("be-3")));
        given.pods[3].is_there = true;
        assert_eq!(given.step(), Step::Forward);
    }

    #[test]
    fn a_set_whose_pods_lack_a_disk_is_recognised_without_a_record() {
        let given = Given { is_recorded: false, ..halfway(0) };
        assert_eq!(given.step(), Step::Begin);
    }
}
