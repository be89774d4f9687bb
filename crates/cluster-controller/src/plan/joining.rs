//! Joining: the controller registers a member by its own FQDN and then lets it in.
//!
//! An empty frontend starts only after a registration made for it: the ticket carries the name
//! that Doris gave with it, which is new each time. Followers join one at a time, since between
//! one and two followers the loss of either stops writes; observers, backends, compute nodes and
//! brokers join in batches.

use std::collections::BTreeSet;

use doris_api::member::{Ticket, exit};

use crate::view::MemberPod;

/// A frontend as the master lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrontendRow {
    /// Registered host: an FQDN.
    pub host: String,
    /// Registered edit log port.
    pub port: u16,
    /// Doris' node name.
    pub name: String,
    /// `FOLLOWER` or `OBSERVER`.
    pub role: String,
    /// It has been in the replication group once.
    pub joined: bool,
    /// It answered the last heartbeat.
    pub alive: bool,
    /// By its own journal it follows the master.
    pub follows: bool,
}

/// A step of joining frontends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// `ALTER SYSTEM ADD <role> "<fqdn>:<port>"`.
    Add {
        /// The pod's own name.
        fqdn: String,
        /// `FOLLOWER` or `OBSERVER`.
        role: String,
        /// The pod's address: nobody may answer there before it is registered.
        pod: String,
    },
    /// Annotate the pod with this ticket.
    Ticket {
        /// Pod name.
        pod: String,
        /// Pod uid, a precondition of the write.
        uid: String,
        /// The ticket.
        ticket: Ticket,
    },
    /// A registered member came back with an empty volume. It must not join under its old name:
    /// its earlier acknowledgements are gone while its vote would count.
    LostVolume {
        /// The member's name.
        fqdn: String,
        /// `FOLLOWER` or `OBSERVER`.
        role: String,
        /// The pod that waits.
        pod: String,
    },
    /// Wait; the sentence names object and reason.
    Wait(String),
}

/// What the plan looks at.
#[derive(Clone, Copy, Debug)]
pub struct Frontends<'a> {
    /// Pods of the followers' StatefulSet.
    pub followers: &'a [MemberPod],
    /// Pods of the observers' StatefulSet.
    pub observers: &'a [MemberPod],
    /// The master's list.
    pub rows: &'a [FrontendRow],
    /// Edit log port of all frontends.
    pub port: u16,
}

/// Decides who is registered and who is let in next.
pub fn plan(seen: Frontends<'_>) -> Vec<Step> {
    let mut steps = followers(seen);
    for pod in seen.observers.iter().filter(|pod| !pod.deleting) {
        steps.extend(step_for(pod, "OBSERVER", seen));
    }
    steps
}

fn followers(seen: Frontends<'_>) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut busy = unsettled_follower(seen);
    for pod in seen.followers.iter().filter(|pod| !pod.deleting) {
        let Some(step) = step_for(pod, "FOLLOWER", seen) else { continue };
        let is_add = matches!(step, Step::Add { .. });
        match &busy {
            Some(other) if is_add && *other != pod.fqdn => {
                steps.push(Step::Wait(format!("{} joins after {other} has caught up: followers join one at a time", pod.name)));
            }
            _ => {
                if is_add {
                    busy = Some(pod.fqdn.clone());
                }
                steps.push(step);
            }
        }
    }
    steps
}

/// A registered follower that is not yet a voter at the master's journal: nobody else may join.
fn unsettled_follower(seen: Frontends<'_>) -> Option<String> {
    seen.rows.iter().find(|row| row.role == "FOLLOWER" && (!row.joined || !row.alive || !row.follows)).map(|row| row.host.clone())
}

fn step_for(pod: &MemberPod, role: &str, seen: Frontends<'_>) -> Option<Step> {
    let row = seen.rows.iter().find(|row| row.host == pod.fqdn && row.port == seen.port);
    let Some(inspection) = &pod.inspection else {
        let reason = pod.waiting.as_deref().unwrap_or("its volume was not inspected yet");
        return row.is_none().then(|| Step::Wait(format!("waiting for pod {} to start: {reason}", pod.name)));
    };
    let Some(row) = row else {
        return Some(register(pod, role));
    };
    if row.role != role {
        return Some(Step::Wait(format!(
            "{} is registered as {} and should be {role}; it has to be dropped and joined anew",
            pod.name, row.role
        )));
    }
    if row.joined && !row.alive && pod.has_lost_metadata() {
        return Some(Step::LostVolume { fqdn: pod.fqdn.clone(), role: role.to_owned(), pod: pod.name.clone() });
    }
    let founded_here = matches!(pod.own_ticket(), Some(Ticket::Found { .. }));
    if founded_here || pod.admitted_as().as_deref() == Some(row.name.as_str()) {
        return None;
    }
    match (row.joined, inspection.is_complete()) {
        (true, true) => None,
        (true, false) => Some(Step::LostVolume { fqdn: pod.fqdn.clone(), role: role.to_owned(), pod: pod.name.clone() }),
        // Complete metadata of a member that has not joined yet is of a former registration: the
        // ticket of the new one makes the gate move it aside.
        (false, _) => Some(let_in(pod, row, seen)),
    }
}

/// Whatever the volume holds: metadata of a member that is not registered is of a dropped
/// incarnation, and the join ticket of the new registration makes the gate move it aside.
fn register(pod: &MemberPod, role: &str) -> Step {
    // A gate that found no journal ends its container again and again until there is a ticket.
    let is_in_gate = pod.running || pod.ended.as_ref().is_some_and(|ended| ended.code == exit::BDB_LOST);
    if !is_in_gate || pod.ip.is_none() {
        let reason = pod.waiting.as_deref().unwrap_or("its container does not run yet");
        return Step::Wait(format!("waiting for pod {} to reach its start gate: {reason}", pod.name));
    }
    Step::Add { fqdn: pod.fqdn.clone(), role: role.to_owned(), pod: pod.name.clone() }
}

fn let_in(pod: &MemberPod, row: &FrontendRow, seen: Frontends<'_>) -> Step {
    let helpers: BTreeSet<String> = seen
        .rows
        .iter()
        .filter(|other| other.alive && other.joined && other.role == "FOLLOWER" && other.host != pod.fqdn)
        .map(|other| format!("{}:{}", other.host, other.port))
        .collect();
    if helpers.is_empty() {
        return Step::Wait(format!("{} is registered and waits for a living frontend that can help it join", pod.name));
    }
    let ticket = Ticket::Join {
        pod_uid: pod.uid.clone(),
        incarnation: row.name.clone(),
        role: row.role.clone(),
        helpers: helpers.into_iter().collect(),
    };
    Step::Ticket { pod: pod.name.clone(), uid: pod.uid.clone(), ticket }
}

#[cfg(test)]
mod tests {
    use super::{FrontendRow, Frontends, Step, plan};
    use crate::view::{Ended, MemberPod, fixtures::waiting_pod};
    use doris_api::member::{Inspection, Ticket, exit};

    fn row(ordinal: u32, joined: bool) -> FrontendRow {
        FrontendRow {
            host: format!("c-fe-{ordinal}.x"),
            port: 9010,
            name: format!("fe_{ordinal}"),
            role: "FOLLOWER".into(),
            joined,
            alive: joined,
            follows: joined,
        }
    }

    fn founder() -> MemberPod {
        let mut pod = waiting_pod(0);
        pod.incarnation = Some("fe_0".into());
        pod
    }

    fn with_metadata(mut pod: MemberPod) -> MemberPod {
        pod.inspection = Some(Inspection { mounted: true, role: true, version: true, bdb: true, ..Inspection::default() });
        pod
    }

    fn steps(followers: &[MemberPod], rows: &[FrontendRow]) -> Vec<Step> {
        plan(Frontends { followers, observers: &[], rows, port: 9010 })
    }

    #[test]
    fn followers_are_registered_one_at_a_time() {
        let steps = steps(&[founder(), waiting_pod(1), waiting_pod(2)], &[row(0, true)]);
        assert_eq!(steps[0], Step::Add { fqdn: "c-fe-1.x".into(), role: "FOLLOWER".into(), pod: "c-fe-1".into() });
        assert!(matches!(&steps[1], Step::Wait(message) if message.contains("c-fe-2")), "{steps:?}");
        assert_eq!(steps.len(), 2);
    }

    #[test]
    fn a_registered_follower_gets_a_ticket_with_the_name_of_its_registration() {
        let steps = steps(&[founder(), waiting_pod(1)], &[row(0, true), row(1, false)]);
        let ticket = Ticket::Join {
            pod_uid: "uid-1".into(),
            incarnation: "fe_1".into(),
            role: "FOLLOWER".into(),
            helpers: vec!["c-fe-0.x:9010".into()],
        };
        assert_eq!(steps, [Step::Ticket { pod: "c-fe-1".into(), uid: "uid-1".into(), ticket }]);
    }

    #[test]
    fn no_ticket_ever_names_its_own_pod_as_a_helper() {
        let mut again = row(1, false);
        again.alive = true;
        for step in steps(&[founder(), waiting_pod(1)], &[row(0, true), again]) {
            let Step::Ticket { ticket: Ticket::Join { helpers, .. }, .. } = step else { panic!("{step:?}") };
            assert_eq!(helpers, ["c-fe-0.x:9010"]);
        }
    }

    #[test]
    fn nobody_else_joins_before_the_last_one_follows_the_master() {
        let mut behind = row(1, true);
        behind.follows = false;
        let mut second = waiting_pod(1);
        second.ticket = Some("join:uid-1:fe_1:FOLLOWER:c-fe-0.x:9010".into());
        let steps = steps(&[founder(), second, waiting_pod(2)], &[row(0, true), behind]);
        assert!(matches!(steps.as_slice(), [Step::Wait(message)] if message.contains("c-fe-1.x")), "{steps:?}");
    }

    #[test]
    fn members_that_are_in_are_left_alone() {
        let mut joined = waiting_pod(1);
        joined.ticket = Some("join:uid-1:fe_1:FOLLOWER:c-fe-0.x:9010".into());
        let restarted = with_metadata(waiting_pod(2));
        assert_eq!(steps(&[founder(), joined, restarted], &[row(0, true), row(1, true), row(2, true)]), []);
    }

    #[test]
    fn a_founder_whose_ticket_is_still_there_is_no_lost_volume() {
        let mut pod = waiting_pod(0);
        pod.ticket = Some("found:uid-0:1".into());
        assert_eq!(steps(&[pod], &[row(0, true)]), []);
    }

    #[test]
    fn a_member_that_lost_its_volume_never_rejoins_under_its_old_name() {
        let lost = Step::LostVolume { fqdn: "c-fe-1.x".into(), role: "FOLLOWER".into(), pod: "c-fe-1".into() };
        assert_eq!(steps(&[founder(), waiting_pod(1)], &[row(0, true), row(1, true)]), std::slice::from_ref(&lost));
        let mut without_journal = with_metadata(waiting_pod(1));
        if let Some(seen) = &mut without_journal.inspection {
            seen.bdb = false;
        }
        assert_eq!(steps(&[founder(), without_journal], &[row(0, true), row(1, true)]), [lost]);
    }

    #[test]
    fn a_member_whose_gate_finds_no_journal_has_lost_it_although_it_was_let_in_once() {
        let mut pod = waiting_pod(1);
        pod.ticket = Some("join:uid-1:fe_1:FOLLOWER:c-fe-0.x:9010".into());
        pod.running = false;
        pod.ended = Some(Ended { code: exit::BDB_LOST, message: "bdb lost".into() });
        let dead = FrontendRow { alive: false, follows: false, ..row(1, true) };
        let lost = Step::LostVolume { fqdn: "c-fe-1.x".into(), role: "FOLLOWER".into(), pod: "c-fe-1".into() };
        assert_eq!(steps(&[founder(), pod.clone()], &[row(0, true), dead]), [lost]);
        // Dropped, it is registered though its container is down; let in, it is left alone.
        assert!(matches!(steps(&[founder(), pod.clone()], &[row(0, true)])[0], Step::Add { .. }));
        assert_eq!(steps(&[founder(), pod], &[row(0, true), row(1, true)]), []);
    }

    #[test]
    fn metadata_of_a_dropped_registration_is_replaced_by_a_new_ticket() {
        let stale = with_metadata(waiting_pod(1));
        assert!(matches!(steps(&[founder(), stale.clone()], &[row(0, true)])[0], Step::Add { .. }));
        assert!(matches!(steps(&[founder(), stale], &[row(0, true), row(1, false)])[0], Step::Ticket { .. }));
    }

    #[test]
    fn observers_join_together_and_beside_a_follower() {
        let observer =
            |ordinal| MemberPod { name: format!("c-fe-ob-{ordinal}"), fqdn: format!("c-fe-ob-{ordinal}.x"), ..waiting_pod(ordinal) };
        let observers = [observer(0), observer(1)];
        let steps = plan(Frontends { followers: &[founder(), waiting_pod(1)], observers: &observers, rows: &[row(0, true)], port: 9010 });
        let added: Vec<_> = steps.iter().filter(|step| matches!(step, Step::Add { .. })).collect();
        assert_eq!(added.len(), 3, "{steps:?}");
    }

    #[test]
    fn a_pod_that_does_not_run_yet_is_not_registered() {
        let mut pod = waiting_pod(1);
        pod.running = false;
        pod.waiting = Some("CreateContainerConfigError: secret x not found".into());
        let steps = steps(&[founder(), pod], &[row(0, true)]);
        assert!(matches!(&steps[0], Step::Wait(message) if message.contains("secret x not found")), "{steps:?}");
    }
}
