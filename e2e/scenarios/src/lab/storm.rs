//! What clients of the API server do: every write counted, and faults made of it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kube_sim::{Audit, KubeSim};
use tokio::time::Instant;

use super::faults::{Fault, Faults, Verdict};

/// Prefix of the names that our controllers' clients have.
pub const CONTROLLER: &str = "controller-";

#[derive(Debug, Default)]
struct Log {
    writes: Vec<String>,
    denials: Vec<String>,
    refusals: Vec<(u16, String)>,
    rights: BTreeSet<Right>,
    deletions: Vec<(Instant, String)>,
    disturbances: Vec<(Instant, String)>,
}

/// A right that a controller used: verb, API group and resource.
pub type Right = (String, String, String);

/// Watches every request.
#[derive(Clone)]
pub struct Storm(Arc<Mutex<Log>>);

impl Storm {
    /// Puts itself before and behind every request of the server.
    pub fn watch(kube: &KubeSim, faults: Faults) -> Self {
        let log = Arc::new(Mutex::new(Log::default()));
        let answered = log.clone();
        kube.on_request(move |audit| {
            let mut log = answered.lock().unwrap_or_else(PoisonError::into_inner);
            if audit.status == 403 {
                log.denials.push(format!("{} {} {}", audit.user, audit.verb, audit.path));
            }
            if is_controller(audit) && !audit.resource.is_empty() {
                log.rights.insert((audit.verb.to_owned(), audit.group.clone(), audit.resource.clone()));
            }
            if is_controller(audit) && audit.status >= 400 && audit.status != 404 {
                log.refusals.push((audit.status, what(audit)));
            }
            if is_controller(audit) && audit.method == "DELETE" && audit.resource == "pods" && audit.status < 300 {
                log.deletions.push((Instant::now(), audit.name.clone()));
            }
            if is_step(audit) {
                log.writes.push(what(audit));
            }
        });
        kube.on_fault(move |audit| if is_controller(audit) { fault(audit, &faults) } else { kube_sim::Fault::Pass });
        Self(log)
    }

    pub fn writes(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).writes.clone()
    }

    pub fn rights(&self) -> BTreeSet<Right> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).rights.clone()
    }

    pub fn refusals(&self, code: u16) -> Vec<String> {
        let log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.refusals.iter().filter(|(found, _)| *found == code).map(|(_, what)| what.clone()).collect()
    }

    /// Pods that controllers deleted, with the time.
    pub fn deletions(&self) -> Vec<(Instant, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).deletions.clone()
    }

    /// Notes that somebody else takes a pod's member away now.
    pub fn disturbed(&self, pod: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).disturbances.push((Instant::now(), pod.to_owned()));
    }

    /// Whether somebody else took a member away within the last while.
    pub fn is_disturbed_for(&self, span: Duration) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).disturbances.iter().any(|(at, _)| at.elapsed() <= span)
    }

    /// Whether somebody else took this pod's member away since then.
    pub fn is_taken_since(&self, pod: &str, since: Instant) -> bool {
        let log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.disturbances.iter().any(|(at, taken)| *at >= since && taken == pod)
    }

    pub fn denials(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).denials.clone()
    }
}

fn is_controller(audit: &Audit) -> bool {
    audit.client.starts_with(CONTROLLER)
}

fn is_step(audit: &Audit) -> bool {
    is_controller(audit) && ["POST", "PUT", "PATCH", "DELETE"].contains(&audit.method.as_str()) && audit.resource != "leases"
}

fn what(audit: &Audit) -> String {
    format!("{} {}/{}", audit.method, audit.resource, audit.name)
}

/// Longer than any run: the dead wait for no answer.
const FOR_EVER: Duration = Duration::from_secs(1_000_000);

fn fault(audit: &Audit, faults: &Faults) -> kube_sim::Fault {
    if faults.is_dead(&audit.client) {
        return kube_sim::Fault::Delay(FOR_EVER);
    }
    if !is_step(audit) {
        return kube_sim::Fault::Pass;
    }
    match faults.step(what(audit)) {
        Verdict::Go => kube_sim::Fault::Pass,
        Verdict::Hit(Fault::CrashBefore) => {
            faults.kill(&audit.client);
            kube_sim::Fault::Delay(FOR_EVER)
        }
        Verdict::Hit(Fault::CrashAfter) => {
            faults.kill(&audit.client);
            kube_sim::Fault::DropAfter
        }
        Verdict::Hit(Fault::Refuse(code)) => kube_sim::Fault::Answer(refusal(code)),
        Verdict::Hit(Fault::LoseAnswer) => kube_sim::Fault::DropAfter,
        Verdict::Hit(Fault::Late) => kube_sim::Fault::Delay(Duration::from_secs(40)),
    }
}

fn refusal(code: u16) -> kube_sim::ApiStatus {
    let reason = match code {
        409 => "Conflict",
        429 => "TooManyRequests",
        504 => "Timeout",
        _ => "InternalError",
    };
    kube_sim::ApiStatus::new(code, reason, "the fault plan says so")
}
