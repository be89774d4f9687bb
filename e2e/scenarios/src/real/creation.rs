//! The creation of a cluster on the real thing under a fault plan, and what has to be so at its end.

use std::collections::BTreeSet;
use std::time::Duration;

use doris_api::member::TICKET_ANNOTATION;
use doris_api::{Component, DorisCluster, names};
use doris_sim::{FrontendFacts, MemberFacts};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams};
use kube::{Client, ResourceExt as _};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use super::link::without_hash;
use super::place::{PATIENCE, PAUSE};
use super::plans::{NamedPlan, only_asks};
use super::replay::differences;
use super::{MortalController, Place};
use crate::demo::progress::{is_ready, why_not_ready};
use crate::lab::plans::{NEVER_REACHED, Trouble};
use crate::lab::{Fault, Faults, basic, cluster};

/// For this long caches are stale in a plan that says so.
const STALE: Duration = Duration::from_secs(15);
/// For this long nothing may be written once a cluster is ready.
const QUIET: Duration = Duration::from_mins(1);
/// Between two looks for the moment at which caches become stale.
const GLANCE: Duration = Duration::from_millis(2);
const NAME: &str = "demo";
/// Kinds that a cluster consists of.
const KINDS: [(&str, &str, &str); 8] = [
    ("", "v1", "Secret"),
    ("", "v1", "ConfigMap"),
    ("", "v1", "Service"),
    ("", "v1", "Pod"),
    ("", "v1", "PersistentVolumeClaim"),
    ("apps", "v1", "StatefulSet"),
    ("policy", "v1", "PodDisruptionBudget"),
    ("networking.k8s.io", "v1", "NetworkPolicy"),
];

/// How a creation ended.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// What was broken; empty if all is well.
    pub broken: Vec<String>,
    /// Every step of the controller.
    pub steps: Vec<String>,
    /// Time until Ready.
    pub took: Duration,
    /// Processes that the controller has been.
    pub lives: u32,
    /// Writes that were refused because they were decided on an older version.
    pub outdated: usize,
    /// Objects by kind and name, hashes left out.
    objects: BTreeSet<String>,
    /// Members as the master has them registered, the namespace left out.
    members: Vec<String>,
}

impl Outcome {
    /// One that could not begin.
    pub fn never_begun(why: impl std::fmt::Display) -> Self {
        Self { broken: vec![format!("plan: {why}")], ..Self::default() }
    }

    /// What was broken, and how the end differs from that without faults.
    pub fn judge(&self, calm: &Self) -> Vec<String> {
        let mut broken = self.broken.clone();
        broken.extend(calm.objects.difference(&self.objects).map(|object| format!("same-end: {object} is missing")));
        broken.extend(self.objects.difference(&calm.objects).map(|object| format!("same-end: {object} is there, and not without faults")));
        if self.members != calm.members {
            broken.push(format!("same-end: Doris' members are {:?}, and without faults {:?}", self.members, calm.members));
        }
        broken
    }
}

/// Creates the basic cluster in a namespace of its own. Only so many creations have a turn at once; idle ones need none.
pub async fn create(place: &Place<'_>, plan: Option<&NamedPlan>, turns: &Semaphore) -> Outcome {
    let faults = plan.map_or_else(Faults::none, NamedPlan::faults);
    let mut outcome = Outcome::default();
    // The semaphore is never closed.
    let turn = turns.acquire().await;
    let controller = match MortalController::start(place, faults.clone()).await {
        Ok(controller) => controller,
        Err(error) => return Outcome::never_begun(error),
    };
    if let Err(error) = place.apply(&cluster(NAME, basic("2.1.7"))).await {
        outcome.broken.push(format!("desired: the spec was not taken: {error}"));
    }
    let begun = Instant::now();
    let (stuck, was_reached) = tokio::join!(ready(place), stale_caches(&controller, &faults, plan));
    outcome.took = begun.elapsed();
    drop(turn);
    outcome.broken.extend(stuck);
    if faults.left() > 0 || !was_reached {
        outcome.broken.push(NEVER_REACHED.to_owned());
    }
    outcome.broken.extend(quiet(place, &faults, plan).await);
    if controller.is_over() {
        outcome.broken.push("plan: the controller can't be started any more".to_owned());
    }
    look(place, &mut outcome).await;
    outcome.lives = controller.lives();
    outcome.steps = faults.log();
    outcome.outdated = faults.outdated().len();
    outcome
}

/// `desired`: the sentence says why the cluster is not ready.
async fn ready(place: &Place<'_>) -> Option<String> {
    let clusters = place.api::<DorisCluster>();
    let end = Instant::now() + PATIENCE;
    let mut last = None;
    while Instant::now() < end {
        last = clusters.get_opt(NAME).await.unwrap_or(last);
        if last.as_ref().is_some_and(is_ready) {
            return None;
        }
        sleep(PAUSE).await;
    }
    let why = last.as_ref().map_or_else(|| "there is no such cluster".to_owned(), why_not_ready);
    Some(format!("desired: not ready within {PATIENCE:?}: {why}"))
}

/// Holds back what watches tell from the step of the plan on. False when it does not come.
async fn stale_caches(controller: &MortalController, faults: &Faults, plan: Option<&NamedPlan>) -> bool {
    let Some(NamedPlan { step, trouble: Trouble::Stale }) = plan else { return true };
    let end = Instant::now() + PATIENCE;
    let is_reached = || faults.log().iter().filter(|done| **done == step.what).count() >= step.occurrence;
    while !is_reached() {
        if Instant::now() > end {
            return false;
        }
        sleep(GLANCE).await;
    }
    controller.hold_watches(true);
    sleep(STALE).await;
    controller.hold_watches(false);
    true
}

/// `quiet`: a ready cluster is left alone, and stays ready. A write that the server refuses because it was decided on an older version
/// changes nothing. One whose answer was lost is sent again: where that was the word that the cluster is ready, it is ready by then.
async fn quiet(place: &Place<'_>, faults: &Faults, plan: Option<&NamedPlan>) -> Vec<String> {
    let clusters = place.api::<DorisCluster>();
    let (before, outdated, first) = (faults.log().len(), faults.outdated().len(), clusters.get(NAME).await);
    sleep(QUIET).await;
    let mut changes = faults.log().split_off(before);
    changes.retain(|step| !only_asks(step));
    for refused in faults.outdated().split_off(outdated) {
        if let Some(index) = changes.iter().position(|step| *step == refused) {
            changes.remove(index);
        }
    }
    let unanswered = plan.filter(|plan| matches!(plan.trouble, Trouble::Call(Fault::LoseAnswer | Fault::Late))).map(|plan| &plan.step.what);
    if let Some(index) = changes.iter().position(|step| Some(step) == unanswered) {
        changes.remove(index);
    }
    let mut broken: Vec<String> = changes.into_iter().map(|step| format!("quiet: {step} in a ready cluster")).collect();
    match clusters.get(NAME).await {
        Ok(cluster) if is_ready(&cluster) => {
            if let (false, Ok(first)) = (broken.is_empty(), first) {
                broken.extend(changes_of_status(&first, &cluster));
            }
        }
        Ok(cluster) => broken.push(format!("quiet: it was ready and is not any more: {}", why_not_ready(&cluster))),
        Err(error) => broken.push(format!("quiet: the cluster can't be read: {error}")),
    }
    broken
}

fn changes_of_status(before: &DorisCluster, after: &DorisCluster) -> Vec<String> {
    let status = |cluster: &DorisCluster| serde_json::to_value(&cluster.status).unwrap_or_default();
    let changes = differences(&status(before), &status(after));
    changes.into_iter().map(|(place, before, after)| format!("quiet: status{place} went from {before} to {after}")).collect()
}

/// Takes the state and holds it against the model of Doris.
async fn look(place: &Place<'_>, outcome: &mut Outcome) {
    match objects(&place.client, &place.namespace).await {
        Ok(objects) => {
            outcome.broken.extend(objects.iter().filter_map(left_ticket));
            outcome.objects = objects.iter().map(|(kind, object)| format!("{kind} {}", without_hash(&object.name_any()))).collect();
        }
        Err(error) => outcome.broken.push(format!("same-end: the objects can't be listed: {error}")),
    }
    let facts = place.stand.engine.world().members();
    let domain = names::members_domain(NAME, Component::Fe, &place.namespace, "cluster.local");
    let frontends = facts.iter().filter_map(MemberFacts::frontend).filter(|frontend| frontend.start.fqdn.ends_with(&domain));
    if outcome.broken.iter().any(|sentence| sentence.starts_with("desired:")) {
        let suffix = format!(".{}.svc.cluster.local", place.namespace);
        let own = facts.iter().filter(|member| member.fqdn().ends_with(&suffix));
        outcome.broken.extend(own.map(|member| format!("model: {member:?}")));
    }
    let foundings = frontends.clone().filter(|frontend| frontend.founded == Some(doris_sim::Founding::Cluster));
    let ids: BTreeSet<u32> = foundings.map(|frontend| frontend.cluster_id).collect();
    if ids.len() != 1 {
        outcome.broken.push(format!("one-cluster-id: clusters were founded with the ids {ids:?}"));
    }
    let running: BTreeSet<&str> = facts.iter().filter(|member| member.is_running()).map(MemberFacts::fqdn).collect();
    let masters: Vec<&FrontendFacts> =
        frontends.filter(|frontend| frontend.says_master && running.contains(frontend.start.fqdn.as_str())).collect();
    let [master] = masters.as_slice() else {
        outcome.broken.push(format!("desired: {} frontends say that they are the master", masters.len()));
        return;
    };
    let row = |row: &doris_sim::RegisteredMember| {
        let host = row.host.replace(&format!(".{}.", place.namespace), ".<namespace>.");
        format!("{:?} {host}:{} alive={} leaving={}", row.kind, row.port, row.alive, row.decommissioned)
    };
    outcome.members = master.registered.iter().map(row).collect();
    outcome.members.sort();
    if let Ok(cluster) = place.api::<DorisCluster>().get(NAME).await {
        let told = cluster.status.and_then(|status| status.master);
        if told.as_deref() != master.start.fqdn.split('.').next() {
            outcome.broken.push(format!("truthful: status names {told:?} as master, it is {}", master.start.fqdn));
        }
    }
}

/// `used-tickets-go`
fn left_ticket((kind, object): &(&str, DynamicObject)) -> Option<String> {
    let ticket = object.annotations().get(TICKET_ANNOTATION)?;
    ticket
        .starts_with("found:")
        .then(|| format!("used-tickets-go: {kind} {} still carries the ticket that founded the cluster", object.name_any()))
}

async fn objects(client: &Client, namespace: &str) -> kube::Result<Vec<(&'static str, DynamicObject)>> {
    let mut found = Vec::new();
    for (group, version, kind) in KINDS {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
        found.extend(api.list(&ListParams::default()).await?.into_iter().map(|object| (kind, object)));
    }
    Ok(found)
}
