//! What the plans see of a member's pod: the few facts of a Pod object that decide something.

use std::collections::BTreeMap;
use std::net::IpAddr;

use doris_api::member::{Inspection, Ticket, exit};
use jiff::Timestamp;

/// How the member's container last ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Exit code.
    pub code: i32,
    /// Termination message: the start script's sentence.
    pub message: String,
}

/// A member's pod.
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberPod {
    /// Pod name.
    pub name: String,
    /// Pod uid: a ticket names it.
    pub uid: String,
    /// Ordinal in its StatefulSet.
    pub ordinal: u32,
    /// The one name it may be registered under.
    pub fqdn: String,
    /// Address, once it has one.
    pub ip: Option<IpAddr>,
    /// It has a deletion timestamp.
    pub deleting: bool,
    /// The member's container runs (perhaps still in the gate).
    pub running: bool,
    /// Kubernetes' readiness.
    pub ready: bool,
    /// When the pod was made.
    pub made_at: Option<Timestamp>,
    /// Names of its volumes that are claims, and of the claims.
    pub volumes: BTreeMap<String, String>,
    /// Revision of its StatefulSet that it was made from.
    pub revision: Option<String>,
    /// ConfigMaps that its configuration is put together from.
    pub configs: Vec<String>,
    /// Image of the member's container, as the pod asks for it.
    pub image: Option<String>,
    /// Why only a pod made anew goes on, whatever its revision.
    pub worn_out: Option<String>,
    /// When the container last started.
    pub started_at: Option<Timestamp>,
    /// How often the container was restarted.
    pub restarts: i32,
    /// How it last ended, if it did.
    pub ended: Option<Ended>,
    /// The access Service sends clients to it.
    pub serving: bool,
    /// Why it does not run: the kubelet's or the scheduler's words.
    pub waiting: Option<String>,
    /// No node takes it.
    pub unscheduled: bool,
    /// Uid of the claim that holds its metadata or first storage root.
    pub claim_uid: Option<String>,
    /// The ticket annotation.
    pub ticket: Option<String>,
    /// The incarnation that we noted on a founder once its ticket was used.
    pub incarnation: Option<String>,
    /// What the `inspect` container saw when the pod began (frontends and backends).
    pub inspection: Option<Inspection>,
    /// The inspection is not older than the present run of the member's container.
    pub inspected_this_run: bool,
    /// It has been ready in the present run of its container.
    pub was_ready: bool,
    /// Where it runs, as far as the pod itself tells: the zone if the server notes it on pods (from 1.35), else the node.
    pub domain: Option<String>,
}

impl MemberPod {
    /// The ticket, if the annotation is one and names this pod.
    pub fn own_ticket(&self) -> Option<Ticket> {
        let ticket: Ticket = self.ticket.as_deref()?.parse().ok()?;
        let uid = match &ticket {
            Ticket::Found { pod_uid, .. } | Ticket::Join { pod_uid, .. } | Ticket::BlankOk { pod_uid } => pod_uid,
        };
        (*uid == self.uid).then_some(ticket)
    }

    /// Its container cannot run, and not for lack of a node: another image may be what helps.
    pub fn is_broken(&self) -> bool {
        !self.running && !self.deleting && !self.unscheduled && self.waiting.is_some()
    }

    /// The incarnation under which this pod was let in, by founding or by joining.
    pub fn admitted_as(&self) -> Option<String> {
        match self.own_ticket() {
            Some(Ticket::Join { incarnation, .. }) => Some(incarnation),
            _ => self.incarnation.clone(),
        }
    }

    /// Its metadata volume is there and holds nothing that it could start on, by its own inspection or
    /// by the gate's refusal, and nobody let it start anew.
    pub fn has_lost_metadata(&self) -> bool {
        let was_let_in = self.incarnation.is_some() || matches!(self.own_ticket(), Some(Ticket::Found { .. } | Ticket::Join { .. }));
        let was_refused = !self.ready && self.ended.as_ref().is_some_and(|ended| ended.code == exit::BDB_LOST);
        was_refused || (!was_let_in && self.inspection.as_ref().is_some_and(|seen| seen.mounted && !seen.is_complete()))
    }

    /// Storage roots that its gate found empty in this run, and that it did not start on since.
    pub fn empty_roots(&self) -> &[String] {
        let is_in_gate = self.running && !self.ready && !self.was_ready && self.inspected_this_run;
        let has_leave = matches!(self.own_ticket(), Some(Ticket::BlankOk { .. }));
        self.inspection.as_ref().filter(|_| is_in_gate && !has_leave).map_or(&[], |seen| &seen.blank_roots)
    }
}

#[cfg(test)]
pub(crate) mod fixtures {
    use super::MemberPod;
    use doris_api::member::Inspection;
    use jiff::Timestamp;

    /// A frontend's pod that waits in the gate on an empty volume.
    pub fn waiting_pod(ordinal: u32) -> MemberPod {
        MemberPod {
            name: format!("c-fe-{ordinal}"),
            uid: format!("uid-{ordinal}"),
            ordinal,
            fqdn: format!("c-fe-{ordinal}.x"),
            ip: Some(std::net::IpAddr::from([10, 0, 0, u8::try_from(ordinal).unwrap_or(0) + 1])),
            deleting: false,
            running: true,
            ready: false,
            made_at: None,
            volumes: std::collections::BTreeMap::new(),
            revision: None,
            configs: Vec::new(),
            image: None,
            worn_out: None,
            started_at: Some(Timestamp::UNIX_EPOCH),
            restarts: 0,
            ended: None,
            serving: true,
            waiting: None,
            unscheduled: false,
            claim_uid: Some(format!("claim-{ordinal}")),
            ticket: None,
            incarnation: None,
            inspection: Some(Inspection { mounted: true, ..Inspection::default() }),
            inspected_this_run: true,
            was_ready: false,
            domain: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::MemberPod;
    use super::fixtures::waiting_pod;

    #[test]
    fn what_no_node_takes_is_not_broken() {
        let stuck = MemberPod { running: false, waiting: Some("ErrImagePull: not found".into()), ..waiting_pod(0) };
        assert!(stuck.is_broken());
        let cases = [
            ("no node", MemberPod { unscheduled: true, ..stuck.clone() }),
            ("it runs", MemberPod { running: true, ..stuck.clone() }),
            ("it goes", MemberPod { deleting: true, ..stuck.clone() }),
            ("it begins", MemberPod { waiting: None, ..stuck.clone() }),
        ];
        for (name, pod) in cases {
            assert!(!pod.is_broken(), "{name}");
        }
    }
}
