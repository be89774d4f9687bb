//! Oracles: what must never happen, watched in the API server and in the model of Doris, never in
//! the controller.
//!
//! Each rule carries the name by which the documentation explains it. [`end`] judges the state that
//! a run ends in.

pub mod end;
mod history;
mod leaving;
pub mod logs;
mod model;
pub(crate) mod operations;
mod pods;
mod probe;
mod rolls;
mod secrets;
mod starts;
mod upgrades;
mod volumes;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use doris_sim::{MemberFacts, World};
use kube::Client;
use tokio::task::JoinSet;

use history::History;
use model::Model;
use rolls::Rolls;
use starts::Starts;
use upgrades::Upgrades;

use super::storm::Storm;

/// What was never to happen and did: one sentence each, beginning with the rule's name.
pub type Verdicts = Vec<String>;

/// A cluster: namespace and name.
pub(crate) type ClusterName = (String, String);

/// The model tells of processes, ports and roles at once; rows and journals are looked at this often.
const LOOK: Duration = Duration::from_millis(200);
/// Who was taken away by somebody else so shortly before a controller acts was not known to be down.
pub(crate) const UNNOTICED: Duration = Duration::from_secs(10);
/// Between two rounds of logins.
const PROBE: Duration = Duration::from_secs(1);

/// Watches a laboratory from its beginning.
pub struct Watcher {
    world: World,
    history: Arc<Mutex<History>>,
    model: Arc<Mutex<Model>>,
    upgrades: Arc<Mutex<Upgrades>>,
    starts: Arc<Mutex<Starts>>,
    _tasks: JoinSet<()>,
}

impl Watcher {
    /// Watches a world and the objects of an API server. Stops of members are judged where it is known whose deletions they
    /// follow from.
    pub(crate) fn start(world: World, client: &Client, storm: Option<Storm>) -> Self {
        let (history, model) = (Arc::new(Mutex::new(History::default())), Arc::new(Mutex::new(Model::default())));
        let (upgrades, starts) = (Arc::new(Mutex::new(Upgrades::default())), Arc::new(Mutex::new(Starts::default())));
        let mut tasks = JoinSet::new();
        for kind in history::kinds() {
            tasks.spawn(history::follow(client.clone(), kind, history.clone()));
        }
        if let Some(storm) = storm.clone() {
            tasks.spawn(judge_stops(world.clone(), storm, history.clone(), model.clone()));
        }
        let seen = Seen { history: history.clone(), model: model.clone(), upgrades: upgrades.clone(), starts: starts.clone() };
        tasks.spawn(look(world.clone(), storm, seen));
        tasks.spawn(hear(world.clone(), history.clone(), model.clone()));
        tasks.spawn(log_in(world.clone(), history.clone(), model.clone()));
        Self { world, history, model, upgrades, starts, _tasks: tasks }
    }

    /// Looks at nothing.
    pub(crate) fn blind(world: World) -> Self {
        Self {
            world,
            history: Arc::default(),
            model: Arc::default(),
            upgrades: Arc::default(),
            starts: Arc::default(),
            _tasks: JoinSet::new(),
        }
    }

    /// All that was found so far.
    pub fn verdicts(&self) -> Verdicts {
        let (history, model) = (lock(&self.history), lock(&self.model));
        let mut broken: BTreeSet<String> = model.broken().clone();
        broken.extend(lock(&self.upgrades).broken().iter().cloned());
        broken.extend(judge_blank_starts(&history, &lock(&self.starts)));
        broken.extend(upgrades::judge_starts(&self.world.fe_starts(), &self.world.crossings()));
        broken.extend(history.judge());
        broken.extend(judge_names(&history, &model));
        broken.extend(judge_foundings(&history, &model));
        broken.extend(judge_configurations(&history, &self.world));
        broken.into_iter().collect()
    }

    /// Every password that an identity Secret ever held.
    pub fn passwords(&self) -> BTreeSet<String> {
        lock(&self.history).passwords()
    }
}

/// A panic of another holder left whole facts behind.
fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is looked at whenever something has happened.
struct Seen {
    history: Arc<Mutex<History>>,
    model: Arc<Mutex<Model>>,
    upgrades: Arc<Mutex<Upgrades>>,
    starts: Arc<Mutex<Starts>>,
}

async fn look(world: World, storm: Option<Storm>, seen: Seen) {
    let Seen { history, model, upgrades, starts } = seen;
    loop {
        let is_disturbed = storm.as_ref().is_some_and(|storm| storm.is_disturbed_for(UNNOTICED));
        lock(&upgrades).look(&world.versions());
        let members = world.members();
        lock(&starts).look(&members);
        let mut broken = lock(&history).leaving().look(&world, &members);
        broken.extend(lock(&history).operations().switches(&world.live_settings(), &members));
        broken.extend(lock(&history).operations().members(&members));
        let fresh = lock(&model).look(&members, is_disturbed);
        for (cluster, host) in &fresh {
            let mut history = lock(&history);
            broken.extend(history.leaving().registered(cluster, host));
            broken.extend(history.operations().registered(cluster, host));
        }
        for sentence in broken {
            lock(&model).break_rule(sentence);
        }
        tokio::select! {
            () = world.changed() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// Listens to what Doris is told, and looks at what backends are started on.
async fn hear(world: World, history: Arc<Mutex<History>>, model: Arc<Mutex<Model>>) {
    let (mut registrations, mut judged) = (0, BTreeSet::new());
    loop {
        let fresh = world.registrations_after(registrations);
        registrations += fresh.len();
        let mut broken = secrets::by_pods(&fresh, lock(&history).pods());
        let members = world.members();
        for backend in members.iter().filter_map(MemberFacts::backend).filter(|backend| judged.insert(backend.process)) {
            broken.extend(secrets::unmounted(&backend.fqdn, &backend.storage_paths, lock(&history).pods()));
        }
        lock(&history).learned().look(world.accounts());
        for sentence in broken {
            lock(&model).break_rule(sentence);
        }
        tokio::select! {
            () = world.changed() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// Judges every stop of a member as soon as it happens.
async fn judge_stops(world: World, storm: Storm, history: Arc<Mutex<History>>, model: Arc<Mutex<Model>>) {
    let mut rolls = Rolls::default();
    loop {
        let mut broken = rolls.look(&world, &storm, &lock(&history));
        broken.extend(rolls::images(&storm, &lock(&history)));
        for sentence in broken {
            lock(&model).break_rule(sentence);
        }
        tokio::select! {
            () = world.changed() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

async fn log_in(world: World, history: Arc<Mutex<History>>, model: Arc<Mutex<Model>>) {
    loop {
        tokio::time::sleep(PROBE).await;
        let clusters = lock(&history).accounts();
        for accounts in clusters {
            for broken in probe::judge(&world, &accounts) {
                lock(&model).break_rule(broken);
            }
        }
    }
}

/// `own-name`: only names that the pods themselves have are registered.
fn judge_names(history: &History, model: &Model) -> Vec<String> {
    let names = history.pod_names();
    let is_own = |host: &str| names.iter().any(|name| host.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('.')));
    let strangers = model.registered().iter().filter(|(_, host)| !is_own(host));
    strangers.map(|((_, cluster), host)| format!("own-name: {host} was registered in {cluster}, and no pod has that name")).collect()
}

/// `in-turn`: what only a restart changes never changes in a configuration that pods were made with, or a process
/// that crashes would start with it before its turn.
fn judge_configurations(history: &History, world: &World) -> Vec<String> {
    let hosts: BTreeSet<String> =
        world.members().iter().filter(|member| member.is_running()).map(|member| member.fqdn().to_owned()).collect();
    let is_fixed = |(name, key): &&(String, String)| {
        let family = name.rsplit_once("-conf-").map_or("", |(family, _)| family);
        let is_member = |host: &&String| host.strip_prefix(family).is_some_and(|rest| rest.starts_with('-'));
        let is_variable = key.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
        is_variable || hosts.iter().filter(is_member).filter_map(|host| world.setting(host, key)).any(|(_, mutable)| !mutable)
    };
    let broken = history.rewritten().iter().filter(is_fixed);
    broken.map(|(name, key)| format!("in-turn: {key} was changed in ConfigMap {name}, and only a restart changes it")).collect()
}

/// `blank-on-ticket`, and what else is wrong with starts.
fn judge_blank_starts(history: &History, starts: &Starts) -> Vec<String> {
    let without_leave = starts.blank().iter().filter(|start| !history.may_be_blank(&start.namespace, &start.pod));
    let told = without_leave.map(|start| format!("blank-on-ticket: {} had data and started on empty disks without leave", start.pod));
    told.chain(starts.broken().iter().cloned()).collect()
}

/// `found-on-record` and `found-once`: a founding start follows its committed record, and none
/// follows the record that the cluster exists.
fn judge_foundings(history: &History, model: &Model) -> Vec<String> {
    let mut broken = Vec::new();
    for founding in model.foundings() {
        let Some(pod) = founding.fqdn.split('.').next() else { continue };
        match history.phase_at(&founding.cluster, founding.at) {
            Some(phase) if phase.starts_with("Founding") => {}
            Some(phase) => broken.push(format!("found-once: {} founded a cluster while the identity said {phase}", founding.fqdn)),
            None => broken.push(format!("found-on-record: {pod} founded a cluster before there was an identity")),
        }
    }
    broken
}
