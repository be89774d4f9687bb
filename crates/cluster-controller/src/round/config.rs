//! Configurations: which ConfigMap new pods are made with, and what running processes are told.
//!
//! A change goes a way of three steps, each of which is taken anew from what is seen. A running process is asked
//! about the keys and tries the values; then the files get them; then every process is told. Whoever restarts in
//! between starts with what its file says, and is told of the rest.

mod files;
mod live;
mod process;
mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use doris_api::Component;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::Round;
use crate::build;
use crate::plan::config::{Choice, Class, File};
use crate::view::MemberPod;

/// Components that have a configuration of their own.
const OWNERS: [Component; 4] = [Component::Fe, Component::Be, Component::Cn, Component::Broker];

/// What the operator itself writes into files, whatever Doris says of it.
const OWNED: [&str; 2] = ["storage_root_path", "be_node_role"];

/// A changed ConfigMap may reach a node so much later, and a process may have started with the former one.
const FILE_LAG: SignedDuration = SignedDuration::from_mins(2);

/// What is remembered of configurations. It only spares work: files are read again, processes asked again.
#[derive(Debug, Default)]
pub struct ConfigMemory {
    /// ConfigMaps by name, as we wrote them last or found them.
    files: BTreeMap<String, Arc<File>>,
    /// What was chosen in this round.
    choices: BTreeMap<Component, Choice>,
    /// What processes said.
    learned: BTreeMap<Component, Box<Learned>>,
}

impl ConfigMemory {
    /// What was chosen in a round is of no use after it.
    pub fn end_round(&mut self) {
        self.choices.clear();
    }
}

/// What the processes of a component said.
#[derive(Debug, Default)]
struct Learned {
    /// Image of the process that told of the keys; none if it was not made from the present template.
    image: Option<String>,
    /// Keys that were asked about: what they are, or that Doris does not have them.
    keys: BTreeMap<String, Option<KeyFacts>>,
    /// Values that a process took, by key.
    proven: BTreeMap<String, String>,
    /// Values that a process did not take.
    refused: BTreeMap<String, Refusal>,
    /// Values that keys had before they came into a file.
    defaults: BTreeMap<String, String>,
    /// Processes that were looked at, by pod.
    checked: BTreeMap<String, Checked>,
    /// Removed keys that no process has the former value of any more, and when they were removed.
    cleared: BTreeMap<String, Timestamp>,
    /// Since when an answer is waited for.
    held_since: Option<Instant>,
}

/// What Doris says of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
struct KeyFacts {
    mutable: bool,
    kind: String,
}

/// A value that a process did not take.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Refusal {
    value: String,
    reason: String,
}

/// A look at a process.
#[derive(Clone, Debug)]
struct Checked {
    /// Which run of which pod.
    run: Run,
    /// What was asked of it.
    demand: u64,
    /// The master at that time.
    master: Option<String>,
    /// When.
    at: Instant,
    /// The same by the wall clock.
    at_time: Timestamp,
    /// Keys that it has another value of, and why.
    differing: BTreeMap<String, Why>,
    /// It answered.
    answered: bool,
}

/// Why a process has another value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Why {
    /// Doris refused, in its own words.
    Refused(String),
    /// This build takes it over only when it starts.
    AtStart,
    /// An operation has switched it, and takes that back at its end.
    Operation,
    /// It could not be told.
    Silent,
}

impl Why {
    fn sentence(&self) -> String {
        match self {
            Self::Refused(words) => format!("refuses: {words}"),
            Self::AtStart => "takes it over when it is restarted".to_owned(),
            Self::Operation => "gets it when the operation under way is done".to_owned(),
            Self::Silent => "does not answer; it is tried again".to_owned(),
        }
    }
}

/// Uid of the pod, restarts of its container, and when the container started.
type Run = (String, i32, Option<Timestamp>);

fn run_of(pod: &MemberPod) -> Run {
    (pod.uid.clone(), pod.restarts, pod.started_at)
}

impl Learned {
    /// What is known of a key. `image` is the one that members are to run.
    fn class(&self, key: &str, image: &str) -> Class {
        match self.keys.get(key) {
            Some(Some(facts)) if facts.mutable => Class::Live,
            Some(Some(_)) => Class::Restart,
            // Another build may have it.
            Some(None) if self.image.as_deref() == Some(image) => Class::Unknown,
            Some(None) | None => Class::NotAsked,
        }
    }

    fn is_refused(&self, key: &str, value: &str) -> bool {
        self.refused.get(key).is_some_and(|refusal| refusal.value == value)
    }
}

/// What the running processes of a component are to have.
#[derive(Clone, Debug, Default)]
struct Demand {
    /// Values by key.
    wanted: BTreeMap<String, String>,
    /// Keys that left the file while processes ran, and when; those with a known default are in `wanted`.
    removed: BTreeMap<String, Timestamp>,
    /// Every key that is looked at.
    keys: BTreeSet<String>,
}

impl Demand {
    fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.wanted, &self.keys).hash(&mut hasher);
        for (key, at) in &self.removed {
            (key, at.as_second()).hash(&mut hasher);
        }
        hasher.finish()
    }
}

impl Round<'_> {
    /// Pods whose processes read the configuration of a component.
    fn readers(&self, owner: Component) -> impl Iterator<Item = (Component, &MemberPod)> {
        let components = [owner, if owner == Component::Fe { Component::FeObserver } else { owner }];
        let count = if owner == Component::Fe { 2 } else { 1 };
        components.into_iter().take(count).flat_map(move |component| self.facts.seen.of(component).iter().map(move |pod| (component, pod)))
    }

    fn render(&self, owner: Component) -> Option<(build::Rendered, String)> {
        let context =
            build::Context::new(self.laid.cluster(self.cluster), build::IdentityFacts::default(), self.ctx.kubernetes_minor).ok()?;
        Some((build::render(&context, owner), build::final_image(&context, owner)))
    }

    /// Whether the user names this key, or the operator because of what the user asks for.
    fn is_managed(&self, owner: Component, key: &str) -> bool {
        let member = self.cluster.spec.member(owner);
        !is_fixed(key) && (key == build::PREFER_COMPUTE_NODES || member.is_some_and(|member| member.config.contains_key(key)))
    }

    fn now(&self) -> (Instant, Timestamp) {
        (self.ctx.clock.instant(), self.ctx.clock.now())
    }
}

/// Doris is not asked about these.
fn is_fixed(key: &str) -> bool {
    build::is_script_variable(key) || OWNED.contains(&key)
}

/// Between two looks at a process that is as it should be.
const PERIOD: Duration = Duration::from_mins(10);
/// Between two tries at one that is not.
const RETRY: Duration = Duration::from_secs(20);
