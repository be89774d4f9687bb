//! Electing one leader among the replicas of a controller.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::{Client, ResourceExt as _};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::record::{self, Annotations, Record, RequestError, Watched, Written};
use crate::clock::Clock;
use crate::leadership::Leadership;

/// Which Lease, as whom, for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElectionSettings {
    /// Namespace of the Lease.
    pub namespace: String,
    /// Name of the Lease.
    pub name: String,
    /// Who we are: different for every process, also for two containers of one pod.
    pub identity: String,
    /// How long a holder may be silent before others take over.
    pub duration: Duration,
    /// Leases of the same namespace that must not be held by anybody when this one is taken: those of another way to divide the work.
    pub rivals: Vec<String>,
}

/// Takes the Lease when it is free, renews it, and gives it up at the end.
pub struct LeaderElector {
    record: Record,
    rivals: Vec<(Record, Watched)>,
    settings: ElectionSettings,
    clock: Arc<dyn Clock>,
    leadership: Leadership,
    /// What was seen of the Lease, for whoever divides the work.
    view: watch::Sender<View>,
    watched: Watched,
    last_renewal: Option<Instant>,
    /// When the holder's time is up if it stays silent, as far as we saw.
    vacant_at: Option<Instant>,
}

/// What was last seen of a Lease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Who holds it, and is not known to be silent for too long.
    pub holder: Option<String>,
    /// Who asked for it to be handed over.
    pub wanted_by: Option<String>,
}

/// How often a process that waits for its turn looks: a Lease that was given up is taken within this time.
const LOOK: Duration = Duration::from_secs(1);

/// Annotation of a Lease: who would like to have it. Its holder gives it up when it can.
pub(super) const WANTED_BY: &str = "doris-operator.dev/wanted-by";

impl LeaderElector {
    /// Prepares an election; nothing is sent yet.
    pub fn new(client: &Client, settings: ElectionSettings, clock: Arc<dyn Clock>) -> Self {
        let leadership = Leadership::new(clock.clone());
        Self::again(client, settings, clock, leadership, watch::Sender::default())
    }

    /// Prepares another election for a leadership that was given up before, and for those who look at it.
    pub(super) fn again(
        client: &Client,
        settings: ElectionSettings,
        clock: Arc<dyn Clock>,
        leadership: Leadership,
        view: watch::Sender<View>,
    ) -> Self {
        let record = |name: &str| Record::new(client.clone(), &settings.namespace, name, settings.duration / 3);
        let rivals = settings.rivals.iter().map(|rival| (record(rival), Watched::default())).collect();
        let record = record(&settings.name);
        Self { record, rivals, settings, clock, leadership, view, watched: Watched::default(), last_renewal: None, vacant_at: None }
    }

    /// The leadership to check at every write.
    pub fn leadership(&self) -> Leadership {
        self.leadership.clone()
    }

    /// Runs until stopped, then gives the Lease up. Stop it only after the last write was sent.
    ///
    /// Ends by itself if leadership is lost: what was begun as leader is best ended with the process.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let was_leader = self.last_renewal.is_some();
            let wait = self.step().await;
            if was_leader && self.last_renewal.is_none() {
                tracing::warn!(lease = self.settings.name, "leadership is lost");
                return;
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = sleep(wait) => {}
            }
        }
        self.release().await;
    }

    /// One look and at most one write. Tells how long to wait for the next.
    async fn step(&mut self) -> Duration {
        let asked = self.clock.instant();
        match self.try_hold(asked).await {
            Ok(true) => {
                self.last_renewal = Some(asked);
                // Writing ends a third before others may take over.
                self.leadership.renewed(asked, self.settings.duration * 2 / 3);
            }
            Ok(false) => self.lose(),
            Err(error) => {
                tracing::warn!(lease = self.settings.name, error = %error, "the leader Lease cannot be renewed");
                if self.last_renewal.is_some_and(|renewed| self.clock.instant().duration_since(renewed) >= self.settings.duration) {
                    self.lose();
                }
            }
        }
        if self.last_renewal.is_some() { self.settings.duration / 3 } else { self.until_next_look() }
    }

    /// A silent holder is succeeded when its time is up, not at some look after that.
    fn until_next_look(&self) -> Duration {
        let regular = (self.settings.duration / 6).min(LOOK);
        let now = self.clock.instant();
        self.vacant_at.filter(|at| *at > now).map_or(regular, |at| regular.min(at - now))
    }

    fn lose(&mut self) {
        self.last_renewal = None;
        self.leadership.ended();
    }

    /// Whether we hold the Lease after this.
    async fn try_hold(&mut self, now: Instant) -> Result<bool, RequestError> {
        // A conflict with ourselves (somebody edited a label) is worth one more look.
        for _ in 0..2 {
            let read = self.record.get().await?;
            let may_take = read.as_ref().is_none_or(|read| self.may_take(read, now));
            self.see(read.as_ref(), may_take);
            let is_new = self.last_renewal.is_none();
            if !may_take || is_new && self.is_rivalled(now).await? {
                return Ok(false);
            }
            let spec = record::held(read.as_ref(), &self.settings.identity, self.settings.duration, self.clock.now());
            let wanted: Annotations = if is_new { vec![(WANTED_BY, None)] } else { Vec::new() };
            if let Written::Done(lease) = self.record.put(read.as_ref(), spec, wanted).await? {
                self.watched.note(&lease, now);
                // Looked at again afterwards: of two that take at the same time, one at least sees the other.
                if is_new && self.is_rivalled(now).await? {
                    self.record.put(Some(&lease), record::released(&lease, self.clock.now()), Vec::new()).await?;
                    return Ok(false);
                }
                self.see(Some(&lease), false);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether work that includes ours is held by somebody under another Lease.
    async fn is_rivalled(&mut self, now: Instant) -> Result<bool, RequestError> {
        for (rival, watched) in &mut self.rivals {
            let Some(read) = rival.get().await? else { continue };
            if watched.living_holder(&read, self.settings.duration, now).is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn see(&self, read: Option<&Lease>, is_vacant: bool) {
        let view = View {
            holder: read.and_then(record::holder).filter(|holder| !is_vacant || *holder == self.settings.identity).map(str::to_owned),
            wanted_by: read.and_then(|read| read.annotations().get(WANTED_BY)).cloned(),
        };
        self.view.send_if_modified(|seen| {
            let differs = *seen != view;
            *seen = view;
            differs
        });
    }

    fn may_take(&mut self, read: &Lease, now: Instant) -> bool {
        let unchanged_for = self.watched.note(read, now);
        match record::holder(read) {
            // It was given up for somebody who asked: they come first, for a while.
            None if read.annotations().get(WANTED_BY).is_some_and(|who| *who != self.settings.identity) => {
                unchanged_for >= self.settings.duration / 2
            }
            None => true,
            Some(holder) if holder == self.settings.identity => true,
            Some(_) => {
                let left = record::duration(read, self.settings.duration).saturating_sub(unchanged_for);
                self.vacant_at = Some(now + left);
                left.is_zero()
            }
        }
    }

    async fn release(mut self) {
        if self.last_renewal.is_none() {
            return;
        }
        self.lose();
        let given_up = async {
            let Some(read) = self.record.get().await? else { return Ok(()) };
            if record::holder(&read) == Some(self.settings.identity.as_str()) {
                self.record.put(Some(&read), record::released(&read, self.clock.now()), Vec::new()).await?;
            }
            Ok::<(), RequestError>(())
        };
        if let Err(error) = given_up.await {
            // It runs out by itself.
            tracing::warn!(lease = self.settings.name, error = %error, "the leader Lease could not be given up");
        }
    }
}
