//! Founding the first frontend, once in the life of a cluster.
//!
//! The start gate in the pod enforces it; this plan decides who gets the one ticket. Every row is
//! entered by what is observed, so a crash at any point is continued by the next reconcile.

use doris_api::member::{Ticket, exit};
use jiff::{SignedDuration, Timestamp};

use crate::identity::{Identity, Phase};
use crate::view::MemberPod;

/// Status with which a frontend gives up (its -1).
const DORIS_EXIT: i32 = 255;
/// A founding that shows no open port for this long is taken for half-founded.
const STUCK_AFTER: SignedDuration = SignedDuration::from_mins(2);

/// What the founding frontend says of itself, asked at its own address.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Founder {
    /// Its edit log port is open: the process is past the gate.
    pub port_open: bool,
    /// It says that it is the master, answers SQL, and its one frontend row is its own name.
    pub alone_and_master: bool,
    /// Its Doris cluster id.
    pub cluster_id: Option<String>,
}

/// The next step of founding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing is left to do.
    Done,
    /// Write phase Founding into the identity.
    Begin {
        /// Attempt, from 1.
        attempt: u32,
        /// Pod chosen.
        pod_uid: String,
        /// Its claim.
        claim_uid: String,
        /// Restarts of its container until now.
        restarts: i32,
    },
    /// Annotate the founding pod with this ticket.
    Ticket {
        /// Pod name.
        pod: String,
        /// Pod uid, a precondition of the write.
        uid: String,
        /// Attempt of the identity.
        attempt: u32,
    },
    /// The frontend runs: set up accounts, then write phase Founded.
    Finish {
        /// Pod name.
        pod: String,
        /// Doris' cluster id.
        cluster_id: String,
    },
    /// Take the used ticket off the pod and note its incarnation.
    RemoveTicket {
        /// Pod name.
        pod: String,
        /// Pod uid, a precondition of the write.
        uid: String,
    },
    /// Wait; the sentence names object and reason.
    Wait(String),
    /// Only a person can go on.
    Halt(String),
}

/// Decides the next step from the identity, the followers' pods and the founder's own words.
pub fn plan(identity: &Identity, followers: &[MemberPod], founder: &Founder, now: Timestamp) -> Step {
    match &identity.phase {
        Phase::Founded { .. } => used_ticket(followers),
        Phase::Unfounded => begin(followers),
        Phase::Founding { attempt, pod_uid, claim_uid, since, restarts } => {
            let current = Attempt { number: *attempt, pod_uid, claim_uid, since: *since, restarts: *restarts };
            go_on(&current, followers, founder, now)
        }
    }
}

fn used_ticket(followers: &[MemberPod]) -> Step {
    followers
        .iter()
        .find(|pod| !pod.deleting && matches!(pod.own_ticket(), Some(Ticket::Found { .. })))
        .map_or(Step::Done, |pod| Step::RemoveTicket { pod: pod.name.clone(), uid: pod.uid.clone() })
}

fn begin(followers: &[MemberPod]) -> Step {
    if let Some(halt) = foreign_metadata(followers) {
        return halt;
    }
    match ready_to_found(followers) {
        Ok((pod, claim_uid)) => Step::Begin { attempt: 1, pod_uid: pod.uid.clone(), claim_uid, restarts: pod.restarts },
        Err(wait) => wait,
    }
}

/// The attempt that the identity records.
struct Attempt<'a> {
    number: u32,
    pod_uid: &'a str,
    claim_uid: &'a str,
    since: Timestamp,
    restarts: i32,
}

fn go_on(current: &Attempt<'_>, followers: &[MemberPod], founder: &Founder, now: Timestamp) -> Step {
    let attempt = current.number;
    let others: Vec<MemberPod> = followers.iter().filter(|pod| pod.ordinal != 0).cloned().collect();
    if let Some(halt) = foreign_metadata(&others) {
        return halt;
    }
    let (pod, claim) = match founding_pod(followers) {
        Ok(found) => found,
        Err(wait) => return wait,
    };
    if founder.alone_and_master
        && let Some(cluster_id) = &founder.cluster_id
    {
        return Step::Finish { pod: pod.name.clone(), cluster_id: cluster_id.clone() };
    }
    let again = |attempt| Step::Begin { attempt, pod_uid: pod.uid.clone(), claim_uid: claim.clone(), restarts: pod.restarts };
    if pod.uid != current.pod_uid || claim != current.claim_uid {
        // The ticket died with its pod. The same empty or complete volume needs no new attempt.
        let half_founded = pod.inspection.as_ref().is_some_and(|seen| !seen.is_empty() && !seen.is_complete());
        return again(if claim != current.claim_uid || half_founded { attempt + 1 } else { attempt });
    }
    if is_stuck(pod, current, founder, now) {
        return again(attempt + 1);
    }
    let wanted = Ticket::Found { pod_uid: pod.uid.clone(), attempt };
    if pod.own_ticket().as_ref() != Some(&wanted) {
        return Step::Ticket { pod: pod.name.clone(), uid: pod.uid.clone(), attempt };
    }
    Step::Wait(format!("waiting for {} to found the cluster (attempt {attempt}): it has to answer as master on its SQL port", pod.name))
}

/// Metadata on a volume of a cluster that never founded belongs to somebody else.
fn foreign_metadata(pods: &[MemberPod]) -> Option<Step> {
    let (pod, seen) = pods
        .iter()
        .filter_map(|pod| pod.inspection.as_ref().map(|seen| (pod, seen)))
        .find(|(_, seen)| seen.role || seen.version || seen.bdb)?;
    Some(Step::Halt(format!(
        "the metadata volume of {} already holds frontend metadata (cluster id {}), but this cluster never founded one; nothing is started on it. \
         Delete the claim if its data is not wanted, or restore the Secret of the cluster it belongs to",
        pod.name,
        if seen.cluster_id.is_empty() { "unknown" } else { &seen.cluster_id }
    )))
}

/// Ordinal 0 with its claim, whatever its volume holds.
fn founding_pod(followers: &[MemberPod]) -> Result<(&MemberPod, String), Step> {
    let Some(pod) = followers.iter().find(|pod| pod.ordinal == 0) else {
        return Err(Step::Wait("waiting for the first frontend's pod to be created".into()));
    };
    if pod.deleting {
        return Err(Step::Wait(format!("waiting for pod {} to be replaced: it is being deleted", pod.name)));
    }
    let Some(seen) = &pod.inspection else {
        let reason = pod.waiting.as_deref().unwrap_or("its volume was not inspected yet");
        return Err(Step::Wait(format!("waiting for pod {} to start: {reason}", pod.name)));
    };
    if !seen.mounted {
        return Err(Step::Wait(format!(
            "pod {} has no metadata volume mounted; nothing is founded on a container's own file system",
            pod.name
        )));
    }
    match &pod.claim_uid {
        Some(uid) => Ok((pod, uid.clone())),
        None => Err(Step::Wait(format!("waiting for the claim of pod {} to be seen", pod.name))),
    }
}

fn ready_to_found(followers: &[MemberPod]) -> Result<(&MemberPod, String), Step> {
    let (pod, claim_uid) = founding_pod(followers)?;
    if pod.running {
        Ok((pod, claim_uid))
    } else {
        let reason = pod.waiting.as_deref().unwrap_or("its container does not run yet");
        Err(Step::Wait(format!("waiting for pod {} to reach its start gate: {reason}", pod.name)))
    }
}

/// Half-founded metadata: Doris keeps exiting on it, or hangs with all ports closed.
fn is_stuck(pod: &MemberPod, current: &Attempt<'_>, founder: &Founder, now: Timestamp) -> bool {
    if founder.port_open {
        return false;
    }
    let gave_up = pod.restarts >= current.restarts + 2
        && pod.ended.as_ref().is_some_and(|ended| [DORIS_EXIT, exit::BDB_LOST, exit::DORIS_FAILED].contains(&ended.code));
    let silent = pod.own_ticket().is_some()
        && pod.running
        && pod.started_at.is_some_and(|started| now.duration_since(started.max(current.since)) > STUCK_AFTER);
    gave_up || silent
}

#[cfg(test)]
mod tests {
    use super::{Founder, Step, plan};
    use crate::identity::{Identity, Phase};
    use crate::view::{Ended, MemberPod, fixtures::waiting_pod};
    use doris_api::member::{Inspection, exit};
    use jiff::{SignedDuration, Timestamp};

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn founding(attempt: u32) -> Identity {
        let phase = Phase::Founding { attempt, pod_uid: "uid-0".into(), claim_uid: "claim-0".into(), since: NOW, restarts: 0 };
        Identity { phase, ..Identity::default() }
    }

    fn with_ticket(mut pod: MemberPod, attempt: u32) -> MemberPod {
        pod.ticket = Some(format!("found:{}:{attempt}", pod.uid));
        pod
    }

    fn complete(mut pod: MemberPod) -> MemberPod {
        let seen = Inspection { mounted: true, role: true, version: true, bdb: true, cluster_id: "9".into(), ..Inspection::default() };
        pod.inspection = Some(seen);
        pod
    }

    #[test]
    fn nothing_is_founded_before_the_first_pod_waits_in_its_gate() {
        let mut starting = waiting_pod(0);
        starting.running = false;
        starting.waiting = Some("ImagePullBackOff: no such image".into());
        let mut unmounted = waiting_pod(0);
        unmounted.inspection = Some(Inspection::default());
        let mut uninspected = waiting_pod(0);
        uninspected.inspection = None;
        let mut leaving = waiting_pod(0);
        leaving.deleting = true;
        let mut unclaimed = waiting_pod(0);
        unclaimed.claim_uid = None;
        for pods in [vec![], vec![waiting_pod(1)], vec![starting], vec![unmounted], vec![uninspected], vec![leaving], vec![unclaimed]] {
            let step = plan(&Identity::default(), &pods, &Founder::default(), NOW);
            assert!(matches!(step, Step::Wait(_)), "{step:?} for {pods:?}");
        }
    }

    #[test]
    fn the_intent_is_written_before_the_ticket_is_issued() {
        let pods = [waiting_pod(0), waiting_pod(1)];
        let begin = Step::Begin { attempt: 1, pod_uid: "uid-0".into(), claim_uid: "claim-0".into(), restarts: 0 };
        assert_eq!(plan(&Identity::default(), &pods, &Founder::default(), NOW), begin);
        let ticket = Step::Ticket { pod: "c-fe-0".into(), uid: "uid-0".into(), attempt: 1 };
        assert_eq!(plan(&founding(1), &pods, &Founder::default(), NOW), ticket);
        let pods = [with_ticket(waiting_pod(0), 1), waiting_pod(1)];
        assert!(matches!(plan(&founding(1), &pods, &Founder::default(), NOW), Step::Wait(_)));
    }

    #[test]
    fn a_founder_that_answers_as_the_only_master_is_recorded() {
        let founder = Founder { port_open: true, alone_and_master: true, cluster_id: Some("42".into()) };
        let step = plan(&founding(1), &[with_ticket(waiting_pod(0), 1)], &founder, NOW);
        assert_eq!(step, Step::Finish { pod: "c-fe-0".into(), cluster_id: "42".into() });
    }

    #[test]
    fn metadata_on_a_volume_of_an_unfounded_cluster_halts() {
        for pods in [[complete(waiting_pod(0)), waiting_pod(1)], [waiting_pod(0), complete(waiting_pod(1))]] {
            let step = plan(&Identity::default(), &pods, &Founder::default(), NOW);
            assert!(matches!(&step, Step::Halt(message) if message.contains("cluster id 9")), "{step:?}");
        }
        let step = plan(&founding(1), &[waiting_pod(0), complete(waiting_pod(1))], &Founder::default(), NOW);
        assert!(matches!(step, Step::Halt(_)));
    }

    #[test]
    fn a_ticket_dies_with_its_pod_and_a_new_pod_is_named_first() {
        let mut replaced = waiting_pod(0);
        replaced.uid = "uid-0b".into();
        let again = |attempt, claim: &str| Step::Begin { attempt, pod_uid: "uid-0b".into(), claim_uid: claim.into(), restarts: 0 };
        assert_eq!(plan(&founding(1), &[replaced.clone()], &Founder::default(), NOW), again(1, "claim-0"));
        assert_eq!(plan(&founding(1), &[complete(replaced.clone())], &Founder::default(), NOW), again(1, "claim-0"));
        let mut half = replaced.clone();
        half.inspection = Some(Inspection { mounted: true, role: true, ..Inspection::default() });
        assert_eq!(plan(&founding(1), &[half], &Founder::default(), NOW), again(2, "claim-0"));
        replaced.claim_uid = Some("claim-0b".into());
        assert_eq!(plan(&founding(1), &[replaced], &Founder::default(), NOW), again(2, "claim-0b"));
    }

    #[test]
    fn half_founded_metadata_gets_a_higher_attempt() {
        for code in [255, exit::BDB_LOST, exit::DORIS_FAILED] {
            let mut pod = with_ticket(waiting_pod(0), 1);
            pod.ended = Some(Ended { code, message: String::new() });
            pod.restarts = 1;
            assert!(matches!(plan(&founding(1), &[pod.clone()], &Founder::default(), NOW), Step::Wait(_)), "one restart is no verdict");
            pod.restarts = 2;
            let step = plan(&founding(1), &[pod], &Founder::default(), NOW);
            assert_eq!(step, Step::Begin { attempt: 2, pod_uid: "uid-0".into(), claim_uid: "claim-0".into(), restarts: 2 });
        }
    }

    #[test]
    fn a_founding_that_stays_silent_is_repeated_and_one_with_an_open_port_is_not() {
        let pod = with_ticket(waiting_pod(0), 1);
        let late = NOW + SignedDuration::from_secs(121);
        assert!(matches!(plan(&founding(1), std::slice::from_ref(&pod), &Founder::default(), late), Step::Begin { attempt: 2, .. }));
        let slow = Founder { port_open: true, ..Founder::default() };
        assert!(matches!(plan(&founding(1), &[pod], &slow, late), Step::Wait(_)));
    }

    #[test]
    fn nothing_ever_founds_in_a_founded_cluster() {
        let founded = Identity { phase: Phase::Founded { cluster_id: "42".into() }, ..Identity::default() };
        assert_eq!(plan(&founded, &[waiting_pod(0)], &Founder::default(), NOW), Step::Done);
        let step = plan(&founded, &[with_ticket(waiting_pod(0), 1)], &Founder::default(), NOW);
        assert_eq!(step, Step::RemoveTicket { pod: "c-fe-0".into(), uid: "uid-0".into() });
    }
}
