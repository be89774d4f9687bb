//! One installation of several that are all to look after everything.
//!
//! Installations elect their leaders apart, each by Leases of its own namespace, so two that look after the same objects would not notice each
//! other. Those that look after all namespaces therefore have one more Lease in common, the claim: its holder is the installation, named by
//! its leader Lease, and it is written once and not renewed, for whether the holder lives is told by that leader Lease. Another installation
//! waits, and takes the claim when no Lease of the holder's has been held for a while: at an update of the holder its processes
//! change hands within moments, and that is no invitation.
//!
//! Whoever works holds a Lease of its own first and reads the claim afterwards; whoever takes the claim writes it first and looks at the
//! Leases of the former holder once more. So of two at the same moment, one at least sees the other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Client;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use super::elector::ElectionSettings;
use super::record::{self, Record, RequestError, Watched, Written};
use super::shards::{SHARDS, lease_of};
use crate::clock::Clock;
use crate::metrics::Metrics;

/// The namespace of claims: one that every cluster has and nobody can delete.
const PLACE: &str = "default";
/// How long no Lease of the holder's may have been held before another installation takes its place.
pub const SILENCE: Duration = Duration::from_mins(1);
/// Between two looks at a holder that is waited for.
const LOOK: Duration = Duration::from_secs(5);
/// Between two looks at a claim that is ours.
const CHECK: Duration = Duration::from_mins(1);
/// Between two words of the log about the same wait.
const WORD: Duration = Duration::from_mins(10);
/// How long the server may take for an answer.
const LIMIT: Duration = Duration::from_secs(5);

/// Which claim, for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimSettings {
    /// Namespace of the claim: the same for all that could meet.
    pub namespace: String,
    /// Name of the claim: the same for all that could meet.
    pub name: String,
    /// Namespace and name of our leader Lease; divided into shards, of the one that would be held undivided.
    pub leader: (String, String),
    /// How long holders of Leases that do not say it may be silent.
    pub duration: Duration,
}

impl ClaimSettings {
    /// The claim of a controller. Installations of different names look after different objects, so each name has a claim of its own.
    pub fn new(controller: &str, installation: Option<&str>, election: ElectionSettings) -> Self {
        let named = installation.filter(|name| !name.is_empty()).map(|name| format!("-{name}")).unwrap_or_default();
        Self {
            namespace: PLACE.to_owned(),
            name: format!("doris-operator.dev-{controller}-everywhere{named}"),
            leader: (election.namespace, election.name),
            duration: election.duration,
        }
    }
}

/// The claim, as this process sees it.
pub struct Claim {
    client: Client,
    record: Record,
    ours: String,
    duration: Duration,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    is_ours: AtomicBool,
    rival: Mutex<Rival>,
}

/// What was seen of the installation that holds the claim.
#[derive(Default)]
struct Rival {
    name: String,
    leases: BTreeMap<String, Watched>,
    silent_since: Option<Instant>,
    told: Option<Instant>,
}

impl Claim {
    /// Prepares it; nothing is sent yet.
    pub fn new(client: Client, settings: &ClaimSettings, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        let record = Record::new(client.clone(), &settings.namespace, &settings.name, LIMIT);
        let ours = format!("{}/{}", settings.leader.0, settings.leader.1);
        let duration = settings.duration;
        Self { client, record, ours, duration, clock, metrics, is_ours: AtomicBool::new(false), rival: Mutex::default() }
    }

    /// Waits until the claim is ours. Call it whenever a Lease was taken under which work is about to begin.
    pub async fn acquire(&self) {
        let mut rival = self.rival.lock().await;
        loop {
            match self.step(&mut rival).await {
                Ok(true) => break,
                Ok(false) => self.tell(&mut rival),
                Err(RequestError::Api(kube::Error::Api(status))) if status.code == 403 => {
                    tracing::warn!(
                        error = status.message,
                        "the claim on all namespaces may not be kept: nothing keeps another installation from working beside this one"
                    );
                    break;
                }
                Err(error) => tracing::warn!(error = %error, "the claim on all namespaces cannot be read or written"),
            }
            sleep(LOOK).await;
        }
        *rival = Rival::default();
        self.metrics.waits_for_installation(false);
        self.is_ours.store(true, Ordering::SeqCst);
    }

    /// Waits until the claim, once it was ours, is that of another installation that lives: what we do is best ended with the process.
    /// A claim that was deleted is made again.
    pub async fn lost(&self) {
        loop {
            sleep(CHECK).await;
            if !self.is_ours.load(Ordering::SeqCst) {
                continue;
            }
            // Held only as long as somebody waits for the claim, who then looks after it.
            let Ok(mut rival) = self.rival.try_lock() else { continue };
            match self.step(&mut rival).await {
                Ok(is_ours) if !is_ours && rival.silent_since.is_none() && !rival.name.is_empty() => {
                    tracing::error!(holder = rival.name, "another installation has the claim on all namespaces");
                    return;
                }
                Ok(_) => {}
                Err(error) => tracing::debug!(error = %error, "the claim on all namespaces cannot be read"),
            }
        }
    }

    /// One look and at most one write. Tells whether the claim is ours.
    async fn step(&self, rival: &mut Rival) -> Result<bool, RequestError> {
        let read = self.record.get().await?;
        let holder = read.as_ref().and_then(record::holder).unwrap_or_default().to_owned();
        if holder == self.ours {
            return Ok(true);
        }
        if rival.name != holder {
            *rival = Rival { name: holder.clone(), ..Rival::default() };
        }
        if holder.is_empty() {
            return Ok(matches!(self.write(read.as_ref(), &self.ours).await?, Written::Done(_)));
        }
        if self.lives(rival).await? {
            rival.silent_since = None;
            return Ok(false);
        }
        let now = self.clock.instant();
        if now.duration_since(*rival.silent_since.get_or_insert(now)) < SILENCE {
            return Ok(false);
        }
        let Written::Done(taken) = self.write(read.as_ref(), &self.ours).await? else { return Ok(false) };
        // It may have come back in the meantime and read the claim before we wrote it.
        if self.lives(rival).await? {
            rival.silent_since = None;
            self.write(Some(&taken), &holder).await?;
            return Ok(false);
        }
        tracing::info!(former = holder, "takes the claim on all namespaces: its holder has been silent");
        Ok(true)
    }

    /// Whether a Lease of the holder's is held: the undivided one, or that of a shard.
    async fn lives(&self, rival: &mut Rival) -> Result<bool, RequestError> {
        let Some((namespace, leader)) = rival.name.split_once('/') else { return Ok(false) };
        for name in std::iter::once(leader.to_owned()).chain((0..SHARDS).map(|shard| lease_of(leader, shard))) {
            let read = Record::new(self.client.clone(), namespace, &name, LIMIT).get().await?;
            let watched = rival.leases.entry(name).or_default();
            if read.is_some_and(|lease| watched.living_holder(&lease, self.duration, self.clock.instant()).is_some()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn write(&self, read: Option<&Lease>, holder: &str) -> Result<Written, RequestError> {
        let now = Some(MicroTime(self.clock.now()));
        let transitions = read.map_or(0, |read| record::transitions(read).saturating_add(1));
        let spec = LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            acquire_time: now.clone(),
            renew_time: now,
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        };
        self.record.put(read, spec, Vec::new()).await
    }

    fn tell(&self, rival: &mut Rival) {
        let now = self.clock.instant();
        if rival.name.is_empty() || rival.told.is_some_and(|told| now.duration_since(told) < WORD) {
            return;
        }
        rival.told = Some(now);
        self.metrics.waits_for_installation(true);
        tracing::warn!(
            holder = rival.name,
            "another installation looks after all namespaces; this one does nothing until the Leases of that one have not been held for a minute. To have \
             both, give one of them a name or namespaces of its own"
        );
    }
}

#[cfg(test)]
mod tests;
