//! Every version of every object that the API server told of, and the rules about them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use doris_api::member::{TICKET_ANNOTATION, Ticket};
use doris_api::{Component, labels};
use futures::StreamExt as _;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, Client, ResourceExt as _};
use serde_json::Value;
use tokio::time::Instant;

use super::leaving::Leaving;
use super::operations::Operations;
use super::pods::Pods;
use super::probe::ClusterAccounts;
use super::secrets::Passwords;
use super::volumes::Volumes;
use super::{ClusterName, lock};

/// Keys of the identity Secret that hold a password.
const PASSWORDS: [&str; 7] =
    ["operator.current", "operator.next", "root.generated", "root.applied", "root.next", "admin.generated", "admin.applied"];

/// A version of an identity Secret.
#[derive(Clone, Debug)]
struct IdentityVersion {
    revision: u64,
    at: Instant,
    data: BTreeMap<String, String>,
}

impl IdentityVersion {
    fn get(&self, key: &str) -> &str {
        self.data.get(key).map_or("", String::as_str)
    }

    /// What is stored under keys, as far as there is something.
    fn stored(&self, keys: &[&str]) -> Vec<String> {
        keys.iter().map(|key| self.get(key).to_owned()).filter(|value| !value.is_empty()).collect()
    }

    fn phase(&self) -> String {
        match self.get("phase") {
            "Founding" => format!("Founding({}, {})", self.get("founding.pod"), self.get("founding.attempt")),
            phase => phase.to_owned(),
        }
    }
}

/// A ticket as it first appeared on a pod.
#[derive(Clone, Debug)]
struct SeenTicket {
    cluster: ClusterName,
    pod: String,
    pod_uid: String,
    ticket: String,
    revision: u64,
}

/// What was seen so far.
#[derive(Debug, Default)]
pub(super) struct History {
    identities: BTreeMap<ClusterName, Vec<IdentityVersion>>,
    tickets: Vec<SeenTicket>,
    pod_names: BTreeSet<String>,
    services: BTreeSet<(String, String)>,
    claims_lost: BTreeSet<String>,
    leaving: Leaving,
    operations: Operations,
    /// Text of each configuration as it was seen last, and keys that were changed in it: name of the ConfigMap and key.
    configurations: BTreeMap<(String, String), String>,
    rewritten: BTreeSet<(String, String)>,
    volumes: Volumes,
    pods: Pods,
    passwords: Passwords,
    /// Sets of frontends that could elect nobody.
    too_few: BTreeSet<String>,
    /// Objects that are no secrets, as text, with what they are.
    texts: BTreeSet<(String, String)>,
    /// Clusters whose tables may be away during a restart, or where somebody overrode that.
    lenient: BTreeSet<ClusterName>,
    /// Clusters where somebody overrode that backups go on.
    reckless: BTreeSet<ClusterName>,
    /// Revision that the pods of a set are made from now, and since when, by namespace and set.
    revisions: BTreeMap<(String, String), (String, Instant)>,
    /// Revision that each pod was made from, by namespace and pod.
    made_from: BTreeMap<(String, String), String>,
}

/// Kinds that are followed.
pub(super) fn kinds() -> Vec<ApiResource> {
    let kind = |group, version, kind| ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    vec![
        kind("", "v1", "Secret"),
        kind("", "v1", "Pod"),
        kind("", "v1", "PersistentVolumeClaim"),
        kind("", "v1", "ConfigMap"),
        kind("", "v1", "Service"),
        kind("", "v1", "Event"),
        kind("apps", "v1", "StatefulSet"),
        kind("doris-operator.dev", "v1beta1", "DorisCluster"),
        kind("doris-operator.dev", "v1beta1", "DorisInitializer"),
    ]
}

/// Follows a kind for ever. A kind that is not served yet is asked for again.
pub(super) async fn follow(client: Client, kind: ApiResource, history: Arc<Mutex<History>>) {
    let mut events = watcher(Api::<DynamicObject>::all_with(client, &kind), Config::default()).boxed();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(object) | Event::InitApply(object)) => lock(&history).see(&kind.kind, object, false),
            Ok(Event::Delete(object)) => lock(&history).see(&kind.kind, object, true),
            Ok(Event::Init | Event::InitDone) => {}
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

impl History {
    fn see(&mut self, kind: &str, mut object: DynamicObject, deleted: bool) {
        let key = (object.namespace().unwrap_or_default(), object.name_any());
        let cluster = object.labels().get(labels::CLUSTER).cloned();
        self.revision(kind, &key, &object, deleted);
        if kind == "Secret" {
            self.secret(&object);
        }
        match (kind, &cluster) {
            ("Secret", Some(cluster)) if key.1 == format!("{cluster}-identity") => {
                if !deleted {
                    self.identity((key.0, cluster.clone()), &object);
                }
                return;
            }
            ("Secret", _) => return,
            ("Pod", Some(cluster)) => {
                self.volumes.pod((key.0.clone(), cluster.clone()), &object, deleted);
                self.pods.see(&(key.0.clone(), cluster.clone()), &object, deleted);
                self.pod((key.0.clone(), cluster.clone()), &object);
            }
            ("PersistentVolumeClaim", Some(cluster))
                if (deleted || object.metadata.deletion_timestamp.is_some())
                    && !self.leaving.may_delete(&(key.0.clone(), cluster.clone()), &object) =>
            {
                self.claims_lost.insert(format!("{}/{}", key.0, key.1));
            }
            ("StatefulSet", Some(cluster)) => {
                let owner = (key.0.clone(), cluster.clone());
                if self.volumes.set(&owner, &object, deleted) && key.1 == format!("{cluster}-fe") {
                    self.frontends_begin(&owner, &object);
                }
                self.leaving.set((key.0.clone(), cluster.clone()), &object, deleted);
            }
            ("PersistentVolumeClaim", Some(_)) if !deleted => {
                self.volumes.claim(&key, &object);
                self.pods.claim(&key, &object);
            }
            ("DorisCluster", _) => {
                if deleted {
                    self.volumes.forget(&key);
                } else {
                    self.volumes.spec(&key, &object);
                }
                self.leaving.spec(key.clone(), &object, deleted);
                self.operations.see(&key, &object, deleted);
            }
            ("ConfigMap", Some(_)) if key.1.contains("-conf-") && !deleted => self.configuration(&key, &object),
            ("Service", _) if deleted => {
                self.services.remove(&key);
            }
            ("Service", _) => {
                self.services.insert(key.clone());
            }
            _ => {}
        }
        object.metadata.managed_fields = None;
        if let Ok(text) = serde_json::to_string(&object) {
            self.texts.insert((format!("{kind} {}/{}", key.0, key.1), text));
        }
    }

    fn revision(&mut self, kind: &str, key: &(String, String), object: &DynamicObject, deleted: bool) {
        let text = |pointer: &str| object.data.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        match kind {
            "StatefulSet" => match text("/status/updateRevision").filter(|_| !deleted) {
                Some(revision) => {
                    let known = self.revisions.remove(key).filter(|(known, _)| *known == revision);
                    self.revisions.insert(key.clone(), known.unwrap_or_else(|| (revision, Instant::now())));
                }
                None => drop(self.revisions.remove(key)),
            },
            "Pod" => match object.labels().get("controller-revision-hash").filter(|_| !deleted) {
                Some(revision) => drop(self.made_from.insert(key.clone(), revision.clone())),
                None => drop(self.made_from.remove(key)),
            },
            "DorisCluster" => {
                let overrides = |rule: &str| object.annotations().contains_key(&format!("override.doris-operator.dev/{rule}"));
                if overrides("BackupIdle") {
                    self.reckless.insert(key.clone());
                }
                let overridden = overrides("ServeReplica");
                let is_lenient = overridden || text("/spec/update/unavailableTables").as_deref() == Some("Allow");
                if is_lenient {
                    self.lenient.insert(key.clone())
                } else {
                    self.lenient.remove(key)
                };
            }
            _ => {}
        }
    }

    fn secret(&mut self, object: &DynamicObject) {
        let data = object.data.get("data").and_then(Value::as_object);
        for value in data.into_iter().flat_map(|data| data.values()).filter_map(Value::as_str) {
            if let Ok(value) = STANDARD.decode(value) {
                self.passwords.store(&value);
            }
        }
    }

    /// Since when a pod's present template has been the one that pods of its set are made from; nothing if it is made from another.
    pub fn template_since(&self, cluster: &ClusterName, pod: &str) -> Option<Instant> {
        let (set, _) = pod.rsplit_once('-')?;
        let (revision, since) = self.revisions.get(&(cluster.0.clone(), set.to_owned()))?;
        let made_from = self.made_from.get(&(cluster.0.clone(), pod.to_owned()))?;
        (revision == made_from).then_some(*since)
    }

    /// Whether tables of a cluster may be away while a backend restarts, by its spec.
    pub fn allows_unavailable_tables(&self, cluster: &ClusterName) -> bool {
        self.lenient.contains(cluster)
    }

    /// Whether somebody said that backups of a cluster may break.
    pub fn allows_broken_backups(&self, cluster: &ClusterName) -> bool {
        self.reckless.contains(cluster)
    }

    /// Frontends of a cluster but for one whose pods are not made from the present template.
    pub fn outdated_frontends(&self, cluster: &ClusterName, but: &str) -> Vec<String> {
        let revision = |set: &str| self.revisions.get(&(cluster.0.clone(), format!("{}-{set}", cluster.1))).map(|(revision, _)| revision);
        let is_old = |pod: &str, made_from: &str| {
            let own = pod.strip_prefix(&format!("{}-", cluster.1)).and_then(|rest| rest.rsplit_once('-'));
            own.is_some_and(|(set, _)| ["fe", "fe-ob"].contains(&set) && revision(set).is_some_and(|revision| revision != made_from))
        };
        let pods = self.made_from.iter().filter(|((namespace, pod), _)| *namespace == cluster.0 && pod != but);
        pods.filter(|((_, pod), made_from)| is_old(pod, made_from)).map(|((_, pod), _)| pod.clone()).collect()
    }

    /// `majority-starts`: a set of frontends is made for a majority of those that are on record, or nobody could be elected.
    fn frontends_begin(&mut self, cluster: &ClusterName, set: &DynamicObject) {
        let Some(newest) = self.identities.get(cluster).and_then(|versions| versions.last()) else { return };
        let known: BTreeMap<String, Value> = serde_json::from_str(newest.get("frontends")).unwrap_or_default();
        let followers = known.values().filter(|known| known["role"] == "FOLLOWER").count();
        let replicas =
            set.data.pointer("/spec/replicas").and_then(Value::as_u64).and_then(|number| usize::try_from(number).ok()).unwrap_or(0);
        if replicas * 2 <= followers {
            self.too_few.insert(format!(
                "majority-starts: {} was made for {replicas} pods, and {followers} followers are on record",
                set.name_any()
            ));
        }
    }

    fn identity(&mut self, cluster: ClusterName, object: &DynamicObject) {
        let data = object.data.get("data").and_then(Value::as_object).cloned().unwrap_or_default();
        let decode = |value: &Value| STANDARD.decode(value.as_str()?).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let data = data.iter().filter_map(|(key, value)| Some((key.clone(), decode(value)?))).collect();
        self.identities.entry(cluster).or_default().push(IdentityVersion { revision: revision(object), at: Instant::now(), data });
    }

    fn pod(&mut self, cluster: ClusterName, object: &DynamicObject) {
        let text = |pointer: &str| object.data.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        self.pod_names.insert(format!("{}.{}.{}.svc", text("/spec/hostname"), text("/spec/subdomain"), cluster.0));
        let Some(ticket) = object.annotations().get(TICKET_ANNOTATION) else { return };
        let pod_uid = object.uid().unwrap_or_default();
        if self.tickets.iter().any(|seen| seen.pod_uid == pod_uid && seen.ticket == *ticket) {
            return;
        }
        self.tickets.push(SeenTicket { cluster, pod: object.name_any(), pod_uid, ticket: ticket.clone(), revision: revision(object) });
    }

    /// What is known of members that leave.
    pub fn leaving(&mut self) -> &mut Leaving {
        &mut self.leaving
    }

    /// Members of a component that the spec asks for now.
    pub fn members_wanted(&self, cluster: &ClusterName, component: Component) -> Option<u32> {
        self.leaving.wanted(cluster, component)
    }

    /// What is known of operations.
    pub fn operations(&mut self) -> &mut Operations {
        &mut self.operations
    }

    /// What is known of pods.
    pub fn pods(&self) -> &Pods {
        &self.pods
    }

    /// What is known of passwords that Doris learned.
    pub fn learned(&mut self) -> &mut Passwords {
        &mut self.passwords
    }

    /// Whether a pod got leave to start on empty disks.
    pub fn may_be_blank(&self, namespace: &str, pod: &str) -> bool {
        let of_pod = self.tickets.iter().filter(|seen| seen.cluster.0 == namespace && seen.pod == pod);
        of_pod.filter_map(|seen| seen.ticket.parse().ok()).any(|ticket| matches!(ticket, Ticket::BlankOk { .. }))
    }

    fn configuration(&mut self, name: &(String, String), object: &DynamicObject) {
        let data = object.data.get("data").and_then(Value::as_object);
        let text = data.and_then(|data| data.values().next()).and_then(Value::as_str).unwrap_or_default().to_owned();
        let before = self.configurations.insert(name.clone(), text.clone()).unwrap_or_else(|| text.clone());
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
        let changed = lines(&before).symmetric_difference(&lines(&text)).cloned().collect::<Vec<_>>();
        let keys = changed.iter().filter_map(|line| line.split_once(" = ")).map(|(key, _)| (name.1.clone(), key.to_owned()));
        self.rewritten.extend(keys);
    }

    /// Keys that were changed in a configuration while its name stayed.
    pub fn rewritten(&self) -> &BTreeSet<(String, String)> {
        &self.rewritten
    }

    /// First labels of the members' own names, without the cluster's domain.
    pub fn pod_names(&self) -> &BTreeSet<String> {
        &self.pod_names
    }

    /// Phase of a cluster's identity at a time.
    pub fn phase_at(&self, cluster: &ClusterName, at: Instant) -> Option<String> {
        let versions = self.identities.get(cluster)?;
        versions.iter().rev().find(|version| version.at <= at).map(IdentityVersion::phase)
    }

    /// Every password ever stored.
    pub fn passwords(&self) -> BTreeSet<String> {
        let versions = self.identities.values().flatten();
        let stored = versions.flat_map(|version| PASSWORDS.iter().map(|key| version.get(key).to_owned()));
        stored.filter(|password| !password.is_empty()).collect()
    }

    /// Founded clusters with the logins that have to work now.
    pub fn accounts(&self) -> Vec<ClusterAccounts> {
        let newest = self.identities.iter().filter_map(|(cluster, versions)| Some((cluster, versions.last()?)));
        newest
            .map(|(cluster, version)| ClusterAccounts {
                cluster: cluster.clone(),
                founded: version.get("phase") == "Founded",
                operator: version.stored(&["operator.current", "operator.next"]),
                root: version.stored(&["root.applied", "root.next"]),
                is_open: self.services.contains(&(cluster.0.clone(), format!("{}-fe", cluster.1))),
            })
            .collect()
    }

    /// Judges all that was seen.
    pub fn judge(&self) -> Vec<String> {
        let mut broken: Vec<String> = self.tickets.iter().filter_map(|ticket| self.judge_ticket(ticket)).collect();
        broken.extend(self.claims_lost.iter().map(|claim| format!("claims-stay: claim {claim} was deleted")));
        for (cluster, versions) in &self.identities {
            broken.extend(judge_phases(cluster, versions));
        }
        broken.extend(self.volumes.broken().iter().cloned());
        broken.extend(self.passwords.judge());
        broken.extend(self.too_few.iter().cloned());
        let passwords = self.passwords();
        for (what, text) in &self.texts {
            if passwords.iter().any(|password| text.contains(password.as_str())) {
                broken.push(format!("no-password: {what} shows a password"));
            }
        }
        broken
    }

    /// `ticket-names-pod` and `found-on-record`.
    fn judge_ticket(&self, seen: &SeenTicket) -> Option<String> {
        let SeenTicket { pod, ticket: text, .. } = seen;
        let ticket = match text.parse::<Ticket>() {
            Ok(ticket) => ticket,
            Err(error) => return Some(format!("ticket-names-pod: pod {pod} carries {error}")),
        };
        let (Ticket::Found { pod_uid, .. } | Ticket::Join { pod_uid, .. } | Ticket::BlankOk { pod_uid }) = &ticket;
        if *pod_uid != seen.pod_uid {
            return Some(format!("ticket-names-pod: the ticket on {pod} is for {pod_uid}, the pod is {}", seen.pod_uid));
        }
        let Ticket::Found { attempt, .. } = ticket else { return None };
        let versions = self.identities.get(&seen.cluster).map(Vec::as_slice).unwrap_or_default();
        let before = versions.iter().rev().find(|version| version.revision < seen.revision);
        let is_recorded = before.is_some_and(|version| {
            version.get("phase") == "Founding"
                && version.get("founding.pod") == pod_uid
                && version.get("founding.attempt") == attempt.to_string()
        });
        (!is_recorded).then(|| {
            let phase = before.map_or_else(|| "not there".into(), IdentityVersion::phase);
            format!("found-on-record: {pod} got the ticket of attempt {attempt} while the identity was {phase}")
        })
    }
}

/// `founded-for-good`: a founded cluster never becomes another one.
fn judge_phases(cluster: &ClusterName, versions: &[IdentityVersion]) -> Option<String> {
    versions.windows(2).find_map(|pair| {
        let (before, after) = (&pair[0], &pair[1]);
        let was = before.get("cluster-id");
        let is_other =
            before.get("phase") == "Founded" && (after.get("phase") != "Founded" || (!was.is_empty() && after.get("cluster-id") != was));
        is_other.then(|| format!("founded-for-good: the identity of {} went from Founded({was}) to {}", cluster.1, after.phase()))
    })
}

fn revision(object: &DynamicObject) -> u64 {
    object.resource_version().and_then(|version| version.parse().ok()).unwrap_or_default()
}
