//! What all Leases have in common: requests with a deadline, and how long a record has stood unchanged.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::{Client, ResourceExt as _};
use tokio::time::{Instant, timeout};

/// What came of a write.
pub(super) enum Written {
    /// It was taken.
    Done(Box<Lease>),
    /// Somebody was faster: read again.
    Raced,
}

/// One Lease on the server.
pub(super) struct Record {
    api: Api<Lease>,
    name: String,
    limit: Duration,
}

impl Record {
    pub(super) fn new(client: Client, namespace: &str, name: &str, limit: Duration) -> Self {
        Self { api: Api::namespaced(client, namespace), name: name.to_owned(), limit }
    }

    pub(super) async fn get(&self) -> Result<Option<Lease>, RequestError> {
        Ok(timeout(self.limit, self.api.get_opt(&self.name)).await.map_err(|_| RequestError::Late)??)
    }

    /// Writes a spec and annotations over what was read; makes the Lease if there was none.
    pub(super) async fn put(&self, read: Option<&Lease>, spec: LeaseSpec, annotations: Annotations) -> Result<Written, RequestError> {
        let params = PostParams::default();
        let mut metadata = match read {
            Some(read) => ObjectMeta {
                name: Some(self.name.clone()),
                namespace: read.namespace(),
                resource_version: read.resource_version(),
                uid: read.uid(),
                labels: read.metadata.labels.clone(),
                annotations: read.metadata.annotations.clone(),
                owner_references: read.metadata.owner_references.clone(),
                ..ObjectMeta::default()
            },
            None => ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
        };
        for (key, value) in annotations {
            let all = metadata.annotations.get_or_insert_default();
            match value {
                Some(value) => all.insert(key.to_owned(), value),
                None => all.remove(key),
            };
        }
        let lease = Lease { metadata, spec: Some(spec) };
        let request = async {
            match read {
                Some(_) => self.api.replace(&self.name, &params, &lease).await,
                None => self.api.create(&params, &lease).await,
            }
        };
        match timeout(self.limit, request).await.map_err(|_| RequestError::Late)? {
            Ok(lease) => Ok(Written::Done(Box::new(lease))),
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() || status.is_not_found() => {
                Ok(Written::Raced)
            }
            Err(error) => Err(error.into()),
        }
    }
}

pub(super) type Annotations = Vec<(&'static str, Option<String>)>;

/// A request that failed; whether it took effect is unknown.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestError {
    #[error("the API server did not answer in time")]
    Late,
    #[error(transparent)]
    Api(#[from] kube::Error),
}

/// How long a record has stood unchanged **as seen by us**. Other machines' clocks are not believed.
#[derive(Clone, Debug, Default)]
pub(super) struct Watched {
    seen: Option<(String, Instant)>,
}

impl Watched {
    /// Notes a record and tells for how long it has been the same.
    pub(super) fn note(&mut self, lease: &Lease, now: Instant) -> Duration {
        let version = lease.resource_version().unwrap_or_default();
        match &self.seen {
            Some((seen, since)) if *seen == version => now.duration_since(*since),
            _ => {
                self.seen = Some((version, now));
                Duration::ZERO
            }
        }
    }

    /// Notes a record and tells who holds it and has been heard of within the time that they promised, as seen by us.
    pub(super) fn living_holder<'l>(&mut self, lease: &'l Lease, default: Duration, now: Instant) -> Option<&'l str> {
        let unchanged_for = self.note(lease, now);
        holder(lease).filter(|_| unchanged_for < duration(lease, default))
    }
}

pub(super) fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()).filter(|holder| !holder.is_empty())
}

pub(super) fn transitions(lease: &Lease) -> i32 {
    lease.spec.as_ref().and_then(|spec| spec.lease_transitions).unwrap_or(0).max(0)
}

/// The duration that the holder promised to renew within.
pub(super) fn duration(lease: &Lease, default: Duration) -> Duration {
    let seconds = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds).and_then(|seconds| u64::try_from(seconds).ok());
    seconds.filter(|seconds| *seconds > 0).map_or(default, Duration::from_secs)
}

/// The spec of a Lease that is taken or renewed.
pub(super) fn held(read: Option<&Lease>, identity: &str, length: Duration, now: jiff::Timestamp) -> LeaseSpec {
    let before = read.and_then(|read| read.spec.as_ref());
    let is_renewal = read.and_then(holder) == Some(identity);
    let transitions = read.map_or(0, |read| if is_renewal { transitions(read) } else { transitions(read).saturating_add(1) });
    LeaseSpec {
        holder_identity: Some(identity.to_owned()),
        lease_duration_seconds: Some(crate::clock::at_least_a_second(length)),
        acquire_time: before.filter(|_| is_renewal).and_then(|before| before.acquire_time.clone()).or(Some(MicroTime(now))),
        renew_time: Some(MicroTime(now)),
        lease_transitions: Some(transitions),
        ..LeaseSpec::default()
    }
}

/// The spec of a Lease that is given up: an empty holder, the count kept.
pub(super) fn released(read: &Lease, now: jiff::Timestamp) -> LeaseSpec {
    LeaseSpec {
        holder_identity: Some(String::new()),
        lease_duration_seconds: Some(1),
        renew_time: Some(MicroTime(now)),
        lease_transitions: Some(transitions(read)),
        ..LeaseSpec::default()
    }
}
