//! Reading and writing the identity Secret.
//!
//! It is written as Leases are, by POST and then PUT with the resource version that was read: a
//! phase is a compare-and-swap, and an apply without a version would be none.

use doris_api::{DorisCluster, labels, names};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, ResourceExt as _};

use crate::cache::{ClusterKey, Packed, Stamp};
use crate::context::Context;
use crate::error::Error;
use crate::identity::Identity;

/// The identity and the Secret that it was read from.
#[derive(Clone, Debug)]
pub struct Stored {
    /// What it says.
    pub identity: Identity,
    /// The object, without which it cannot be replaced; without its data, which is the identity, and without the record of field
    /// owners, which is larger than both and stays as it is on the server when it is not sent.
    secret: Secret,
}

impl Stored {
    fn read(mut secret: Secret) -> Result<Self, Error> {
        let data = secret.data.take().unwrap_or_default();
        let identity = Identity::from_data(&data).map_err(|source| Error::Identity { secret: secret.name_any(), source })?;
        secret.metadata.managed_fields = None;
        Ok(Self { identity, secret })
    }

    /// Whether the cache shows another version than this one.
    pub fn is_outdated(&self, cached: Option<&Stamp>) -> bool {
        cached.is_none_or(|stamp| *stamp != Stamp::of(&self.secret))
    }

    /// The object with another identity in it, or with its own.
    fn with(&self, identity: &Identity) -> Secret {
        Secret { data: Some(identity.to_data()), ..self.secret.clone() }
    }

    /// When the Secret was made.
    pub fn made_at(&self) -> Option<jiff::Timestamp> {
        self.secret.metadata.creation_timestamp.as_ref().map(|time| time.0)
    }
}

/// The identity as we last read or wrote it. Between rounds it is kept compressed: open it takes ten times the memory.
#[derive(Default)]
pub struct Remembered(Option<Packed<Secret>>);

impl Remembered {
    /// What is remembered; what cannot be read is read from the server.
    pub fn open(&self) -> Option<Stored> {
        Stored::read(self.0.as_ref()?.open()).ok()
    }

    /// Remembers this one.
    pub fn keep(&mut self, stored: &Stored) {
        self.0 = Some(Packed::new(&stored.with(&stored.identity)));
    }
}

fn api(ctx: &Context, key: &ClusterKey) -> Api<Secret> {
    Api::namespaced(ctx.client.clone(), &key.namespace)
}

/// Reads the identity from the server.
pub async fn get(ctx: &Context, key: &ClusterKey) -> Result<Option<Stored>, Error> {
    let secret =
        api(ctx, key).get_opt(&names::identity(&key.name)).await.map_err(|source| Error::Read { what: "the identity Secret", source })?;
    secret.map(Stored::read).transpose()
}

/// Creates the identity. Fails if there is one.
pub async fn create(ctx: &Context, key: &ClusterKey, identity: &Identity) -> Result<Stored, Error> {
    let name = names::identity(&key.name);
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            namespace: Some(key.namespace.clone()),
            labels: Some(labels::of_cluster(&key.name)),
            // No owner: it outlives the cluster, like the volumes.
            ..ObjectMeta::default()
        },
        type_: Some("Opaque".to_owned()),
        data: Some(identity.to_data()),
        ..Secret::default()
    };
    ctx.gate.check()?;
    let made = api(ctx, key).create(&params(), &secret).await.map_err(|error| failed(&name, error))?;
    remember(ctx, key, made)
}

/// Replaces the identity that was read by another, if nobody else did meanwhile.
pub async fn replace(ctx: &Context, key: &ClusterKey, stored: &Stored, identity: &Identity) -> Result<Stored, Error> {
    let secret = stored.with(identity);
    let name = secret.name_any();
    ctx.gate.check()?;
    let written = api(ctx, key).replace(&name, &params(), &secret).await.map_err(|error| failed(&name, error))?;
    remember(ctx, key, written)
}

fn remember(ctx: &Context, key: &ClusterKey, secret: Secret) -> Result<Stored, Error> {
    ctx.caches.secrets.put(key, secret.clone(), |secret| Stamp::of(&secret));
    Stored::read(secret)
}

fn params() -> PostParams {
    PostParams { field_manager: Some(labels::CLUSTER_CONTROLLER.to_owned()), ..PostParams::default() }
}

fn failed(name: &str, error: kube::Error) -> Error {
    Error::Apply { object: format!("Secret {name}"), source: error.into() }
}

/// Domain part of the followers' names, as it is now.
pub fn fqdn_suffix(cluster: &DorisCluster, key: &ClusterKey) -> String {
    names::members_domain(&key.name, doris_api::Component::Fe, &key.namespace, &cluster.spec.cluster_domain)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Secret;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    use super::{Remembered, Stored};
    use crate::cache::Stamp;
    use crate::identity::{Identity, KnownFrontend};

    #[test]
    fn an_identity_is_remembered_as_it_was_read() {
        let frontend = KnownFrontend { name: "fe_1".into(), role: "FOLLOWER".into() };
        let identity = Identity { id: "i".into(), frontends: [("c-fe-0.x".to_owned(), frontend)].into(), ..Identity::default() };
        let metadata = ObjectMeta {
            name: Some("c-identity".into()),
            uid: Some("u".into()),
            resource_version: Some("7".into()),
            ..ObjectMeta::default()
        };
        let secret = Secret { metadata, data: Some(identity.to_data()), type_: Some("Opaque".into()), ..Secret::default() };
        let stored = Stored::read(secret.clone()).expect("an identity");
        let mut remembered = Remembered::default();
        assert!(remembered.open().is_none());
        remembered.keep(&stored);
        let opened = remembered.open().expect("it was kept");
        assert_eq!(opened.identity, identity);
        assert_eq!(opened.with(&identity), secret);
        assert!(!opened.is_outdated(Some(&Stamp::of(&secret))));
    }
}
