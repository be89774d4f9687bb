//! The objects that a cluster consists of: built from the spec, applied when they differ from
//! what was applied, and otherwise only compared with the cache.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use controller_kit::apply::{Child, key_of};
use doris_api::{Component, DorisCluster, labels, names};
use doris_client::initial_root_password;
use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt as _};

use crate::build::{self, IdentityFacts, SetInput};
use crate::cache::{ClusterKey, Stamp};
use crate::context::{Context, SetView, Stamped};
use crate::error::Error;
use crate::identity::Identity;

/// How far the cluster is: what may be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Frontends and what they need.
    Frontends,
    /// A master answers: backends, compute nodes, brokers, and the Services for clients.
    Workers,
}

/// What is known to be in place: the hash of what was sent, and the version it left on the server.
#[derive(Debug, Default)]
pub struct AppliedMemory {
    in_place: BTreeMap<String, (u64, Stamp)>,
}

/// Applies the objects of a stage.
pub async fn apply(
    ctx: &Context,
    cluster: &DorisCluster,
    key: &ClusterKey,
    identity: &Identity,
    stage: Stage,
    memory: &mut AppliedMemory,
) -> Result<(), Error> {
    let facts = IdentityFacts {
        id: identity.id.clone(),
        cluster_id: identity.cluster_id().filter(|id| !id.is_empty()).map(str::to_owned),
        epoch: identity.epoch,
    };
    let mut built = build::Context::new(cluster, facts, ctx.kubernetes_minor).map_err(|error| Error::Build(error.to_string()))?;
    built.operator_namespace.clone_from(&ctx.operator_namespace);
    let mut writer = Writer { ctx, key, memory };
    match stage {
        Stage::Frontends => frontends(&built, identity, &mut writer).await,
        Stage::Workers => workers(&built, identity, &mut writer).await,
    }
}

async fn frontends(built: &build::Context<'_>, identity: &Identity, writer: &mut Writer<'_>) -> Result<(), Error> {
    writer.place(&build::scripts(built)).await?;
    writer.place(&build::gate(built)).await?;
    writer.place(&initial_root(built, identity)).await?;
    for policy in build::network_policies(built) {
        writer.place(&policy).await?;
    }
    for component in [Component::Fe, Component::FeObserver] {
        if component == Component::Fe || built.spec().fe.observers > 0 {
            writer.component(built, identity, component).await?;
        }
    }
    Ok(())
}

async fn workers(built: &build::Context<'_>, identity: &Identity, writer: &mut Writer<'_>) -> Result<(), Error> {
    for component in [Component::Be, Component::Cn, Component::Broker] {
        if built.spec().member(component).is_some() {
            writer.component(built, identity, component).await?;
        }
    }
    for component in [Component::Fe, Component::Be, Component::Cn] {
        if let Some(service) = build::access_service(built, component) {
            writer.place(&service).await?;
        }
    }
    Ok(())
}

/// Pods wanted. A cluster on kept volumes starts with all followers that are registered: fewer
/// could never elect a master.
fn replicas(built: &build::Context<'_>, identity: &Identity, component: Component) -> i32 {
    let wanted = built.spec().replicas(component);
    if component != Component::Fe {
        return wanted;
    }
    wanted.max(i32::try_from(identity.follower_count()).unwrap_or(i32::MAX))
}

/// The hash that the founding frontend gives root. The password itself is in no pod.
fn initial_root(built: &build::Context<'_>, identity: &Identity) -> Secret {
    let accounts = &identity.accounts;
    let password = accounts.root_applied.as_ref().unwrap_or(&accounts.root_generated);
    let hash = initial_root_password(password).into_bytes();
    Secret {
        metadata: built.metadata(names::initial_root(&built.name), labels::of_cluster(&built.name)),
        data: Some(BTreeMap::from([(names::INITIAL_ROOT_KEY.to_owned(), ByteString(hash))])),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    }
}

/// Writes the objects of one cluster.
struct Writer<'a> {
    ctx: &'a Context,
    key: &'a ClusterKey,
    memory: &'a mut AppliedMemory,
}

impl Writer<'_> {
    /// What a component needs, its StatefulSet last.
    async fn component(&mut self, built: &build::Context<'_>, identity: &Identity, component: Component) -> Result<(), Error> {
        let rendered = build::render(built, component);
        let config = build::config_revision(built, component, &rendered);
        self.place(&config).await?;
        self.place(&build::members_service(built, component)).await?;
        let replicas = replicas(built, identity, component);
        if let Some(budget) = build::budget(built, component, replicas) {
            self.place(&budget).await?;
        }
        let input = SetInput { replicas, config: config.name_any(), scripts: build::scripts_name(&built.name), had_data: false };
        let set = build::stateful_set(built, component, &input).map_err(|error| Error::Build(error.to_string()))?;
        self.place_set(&set).await
    }

    async fn place<K: Child + Stamped>(&mut self, object: &K) -> Result<(), Error> {
        let index = K::index(&self.ctx.caches);
        let cached = index.get(self.key, &object.name_any());
        if let Some(written) = self.write(object, cached.as_deref()).await? {
            K::index(&self.ctx.caches).put(self.key, written, |object| Stamp::of(&object));
        }
        Ok(())
    }

    async fn place_set(&mut self, set: &StatefulSet) -> Result<(), Error> {
        let cached = self.ctx.caches.sets.get(self.key, &set.name_any());
        if let Some(written) = self.write(set, cached.as_ref().map(|view| &view.stamp)).await? {
            self.ctx.caches.sets.put(self.key, written, |set| SetView::of(&set));
        }
        Ok(())
    }

    /// Sends an object unless the same was sent before and the cache shows what that left.
    async fn write<K: Child>(&mut self, object: &K, cached: Option<&Stamp>) -> Result<Option<K>, Error> {
        let id = key_of(object);
        let sent = fingerprint(object)?;
        if let (Some((before, stamp)), Some(cached)) = (self.memory.in_place.get(&id), cached)
            && *before == sent
            && stamp == cached
        {
            return Ok(None);
        }
        let live = match cached {
            Some(_) => self.live(object).await?,
            None => None,
        };
        if live.as_ref().is_some_and(|live| live.meta().deletion_timestamp.is_some()) {
            // It is made anew once it is gone; what is applied to a dying object dies with it.
            return Ok(None);
        }
        let applied = self.ctx.applier.apply(object, live.as_ref()).await.map_err(|source| Error::Apply { object: id.clone(), source })?;
        if !applied.overridden.is_empty() && applied.sent {
            tracing::warn!(object = id, fields = applied.overridden.join(", "), "the server did not take these fields as they were sent");
        }
        self.memory.in_place.insert(id, (sent, Stamp::of(&applied.object)));
        Ok(Some(applied.object))
    }

    async fn live<K: Child>(&self, object: &K) -> Result<Option<K>, Error> {
        let api: Api<K> = Api::namespaced(self.ctx.client.clone(), &self.key.namespace);
        api.get_opt(&object.name_any()).await.map_err(|source| Error::Read { what: "an object of the cluster", source })
    }
}

fn fingerprint<K: serde::Serialize>(object: &K) -> Result<u64, Error> {
    let text = serde_json::to_string(object).map_err(|error| Error::Build(format!("an object is no JSON: {error}")))?;
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    Ok(hasher.finish())
}
