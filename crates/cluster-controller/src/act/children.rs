//! The objects that a cluster consists of: built from the spec, applied when they differ from
//! what was applied, and otherwise only compared with the cache.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use controller_kit::apply::{Child, key_of};
use controller_kit::events::{Happening, Severity};
use doris_api::conditions::reason;
use doris_api::{Component, DorisCluster, labels, names};
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::{Api, Resource as _, ResourceExt as _};
use litemap::LiteMap;

use crate::build::{self, ClaimShape, IdentityFacts, SetInput};
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
    /// What was sent last, and which version of the object that left.
    in_place: LiteMap<Box<str>, (u64, Stamp)>,
}

/// The configuration of a component, as it was chosen.
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    /// ConfigMap that new pods are made with.
    pub name: String,
    /// Name, text and notes of every ConfigMap in use. That of new pods stands last: as long as it was not written,
    /// everything is chosen anew.
    pub files: Vec<(String, String, Option<String>)>,
    /// A process is asked first: the StatefulSet stays as it is, or its pods would be made twice.
    pub is_held: bool,
}

/// Configurations by the component that owns them.
pub type Configurations = BTreeMap<Component, Configuration>;

/// Where what is there decides about a set, and not the spec.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// Claim templates by component.
    pub claims: BTreeMap<Component, Vec<ClaimShape>>,
    /// Pods by component.
    pub replicas: BTreeMap<Component, i32>,
    /// Disks of backends, those in force and those that are about to be.
    pub disks: BTreeSet<String>,
}

/// What was found out about the sets before they are built.
#[derive(Clone, Copy, Debug)]
pub struct Chosen<'a> {
    /// Pods that stay, whatever the spec says.
    pub kept: &'a Kept,
    /// Configurations in use.
    pub configurations: &'a Configurations,
    /// What stands.
    pub standing: &'a Standing,
}

/// Applies the objects of a stage.
pub async fn apply(
    (ctx, cluster, key): (&Context, &DorisCluster, &ClusterKey),
    identity: &Identity,
    stage: Stage,
    chosen: Chosen<'_>,
    memory: &mut AppliedMemory,
) -> Result<(), Error> {
    let facts = IdentityFacts {
        id: identity.id.clone(),
        cluster_id: identity.cluster_id().filter(|id| !id.is_empty()).map(str::to_owned),
        epoch: identity.epoch,
        release: identity.release.clone(),
        had_data: identity.backends.keys().filter_map(|fqdn| fqdn.split('.').next()).map(str::to_owned).collect(),
        left: left_the_group(identity),
        fresh: fresh_roots(&chosen.standing.disks, identity),
    };
    let mut built = build::Context::new(cluster, facts, ctx.kubernetes_minor).map_err(|error| Error::Build(error.to_string()))?;
    built.operator_namespace.clone_from(&ctx.operator_namespace);
    built.restarts = Component::ALL.into_iter().map(|component| (component, restarts(ctx, cluster, key, component))).collect();
    let mut writer = Writer { ctx, cluster, key, chosen, memory };
    match stage {
        Stage::Frontends => frontends(&built, identity, &mut writer).await,
        Stage::Workers => workers(&built, &mut writer).await,
    }
}

/// Lines of the gate's list of frontends that left.
fn left_the_group(identity: &Identity) -> Vec<String> {
    let lines = |(host, names): (&String, &BTreeSet<String>)| names.iter().map(|name| format!("{host} {name}")).collect::<Vec<_>>();
    identity.left.iter().flat_map(lines).collect()
}

/// Requests to restart the members of a component. One that is taken back stays in the template that carries
/// it: to take it out would be one more change, and restart everybody.
fn restarts(ctx: &Context, cluster: &DorisCluster, key: &ClusterKey, component: Component) -> BTreeMap<String, String> {
    let carried = ctx.caches.sets.get(key, &names::set(&key.name, component)).map(|set| set.restarts.clone());
    let mut restarts = carried.unwrap_or_default();
    restarts.extend(labels::restarts(cluster.annotations(), component));
    restarts
}

async fn frontends(built: &build::Context<'_>, identity: &Identity, writer: &mut Writer<'_>) -> Result<(), Error> {
    writer.place(&build::scripts(built)).await?;
    if !identity.frontends.is_empty() || identity.epoch > 0 {
        writer.place(&build::gate(built)).await?;
    }
    for policy in &build::network_policies(built) {
        writer.place(policy).await?;
    }
    for component in [Component::Fe, Component::FeObserver] {
        if component == Component::Fe || built.spec().fe.observers > 0 {
            writer.component(built, component).await?;
        }
    }
    Ok(())
}

async fn workers(built: &build::Context<'_>, writer: &mut Writer<'_>) -> Result<(), Error> {
    for component in [Component::Be, Component::Cn, Component::Broker] {
        if built.spec().member(component).is_some() {
            writer.component(built, component).await?;
        }
    }
    for component in [Component::Fe, Component::Be, Component::Cn] {
        if let Some(service) = build::access_service(built, component) {
            writer.place(&service).await?;
        }
    }
    Ok(())
}

/// Pods that components have at least, whatever the spec asks for.
pub type Kept = BTreeMap<Component, i32>;

/// Pods that a cluster has when it runs: what the spec asks for, and those of members that are on record.
pub fn wanted_replicas(cluster: &DorisCluster, identity: &Identity, component: Component) -> i32 {
    cluster.spec.replicas(component).max(known_members(&cluster.name_any(), identity, component))
}

/// How many pods it takes to run every follower or backend that the identity knows. A cluster on kept volumes starts
/// with all followers that are registered: fewer could never elect a master. A backend that is a member keeps its pod
/// until it has been emptied: with the pod would go replicas, perhaps the last ones.
pub fn known_members(cluster: &str, identity: &Identity, component: Component) -> i32 {
    let hosts = match component {
        Component::Fe => identity.frontends.keys().collect::<Vec<_>>(),
        Component::Be => identity.backends.keys().collect(),
        Component::FeObserver | Component::Cn | Component::Broker => Vec::new(),
    };
    let ordinals = hosts.into_iter().filter_map(|host| {
        let (found, ordinal) = names::parse_pod(cluster, host.split('.').next()?)?;
        (found == component).then_some(ordinal)
    });
    ordinals.max().map_or(0, |highest| i32::try_from(highest).unwrap_or(i32::MAX).saturating_add(1))
}

/// Storage roots that a backend with data was never seen with: they were added, and are empty.
fn fresh_roots(disks: &BTreeSet<String>, identity: &Identity) -> Vec<String> {
    let of_backend = |host: &String| {
        let pod = host.split('.').next().unwrap_or_default().to_owned();
        let used = identity.disks.get(host);
        let new = disks.iter().filter(move |disk| used.is_some_and(|used| !used.contains(*disk)));
        new.map(move |disk| format!("{pod} {}", build::disk_path(disk)))
    };
    identity.backends.keys().flat_map(of_backend).collect()
}

/// Writes the objects of one cluster.
struct Writer<'a> {
    ctx: &'a Context,
    cluster: &'a DorisCluster,
    key: &'a ClusterKey,
    chosen: Chosen<'a>,
    memory: &'a mut AppliedMemory,
}

impl Writer<'_> {
    /// What a component needs, its StatefulSet last.
    async fn component(&mut self, built: &build::Context<'_>, component: Component) -> Result<(), Error> {
        let configuration = self.chosen.configurations.get(&build::config_owner(component)).cloned().unwrap_or_default();
        for (name, text, notes) in configuration.files {
            self.place(&build::config_named(built, component, name, text, notes)).await?;
        }
        self.place(&build::members_service(built, component)).await?;
        // A set is lowered by a scale in alone.
        let replicas = built.spec().replicas(component).max(self.chosen.kept.get(&component).copied().unwrap_or(0));
        if let Some(budget) = build::budget(built, component, replicas) {
            match build::budget_api_version(self.ctx.kubernetes_minor) {
                "policy/v1" => self.place(&budget).await?,
                _ => self.place(&build::OldBudget::from(budget)).await?,
            }
        }
        if configuration.is_held && self.ctx.caches.sets.get(self.key, &names::set(&built.name, component)).is_some() {
            return Ok(());
        }
        let replicas = self.chosen.standing.replicas.get(&component).copied().unwrap_or(replicas);
        let claims = self.chosen.standing.claims.get(&component).cloned().unwrap_or_default();
        let input = SetInput { replicas, config: configuration.name, scripts: build::scripts_name(&built.name), claims };
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
        if let (Some((before, stamp)), Some(cached)) = (self.memory.in_place.get(id.as_str()), cached)
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
            // Rarely, so in a box: what every round has room for stays small.
            Box::pin(self.tell_of_overridden(&id, &applied.overridden.join(", "))).await;
        }
        self.memory.in_place.insert(id.into(), (sent, Stamp::of(&applied.object)));
        Ok(Some(applied.object))
    }

    async fn tell_of_overridden(&self, id: &str, fields: &str) {
        tracing::warn!(object = id, fields, "the server did not take these fields as they were sent");
        let happening = Happening {
            severity: Severity::Warning,
            reason: reason::ADMISSION_OVERRIDE.to_owned(),
            action: "Apply".to_owned(),
            note: format!("{id}: the server did not take {fields} as sent: something changes objects at admission. It is left at that"),
        };
        self.ctx.recorder.record(&self.cluster.object_ref(&()), &happening).await;
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

#[cfg(test)]
mod tests {
    use super::known_members;
    use crate::identity::{Identity, KnownFrontend};
    use doris_api::Component;

    #[test]
    fn a_member_keeps_its_pod_whatever_the_spec_says() {
        let host = |pod: &str, service: &str| (format!("{pod}.demo-{service}-members.default.svc.cluster.local"), "1".to_owned());
        let mut identity = Identity::default();
        assert_eq!(known_members("demo", &identity, Component::Be), 0);
        identity.backends = [host("demo-be-0", "be"), host("demo-be-3", "be"), host("demo-cn-7", "cn")].into();
        assert_eq!(known_members("demo", &identity, Component::Be), 4);
        assert_eq!(known_members("other", &identity, Component::Be), 0);
        let follower = |(host, name): (String, String)| (host, KnownFrontend { name, role: "FOLLOWER".into() });
        identity.frontends =
            [follower(host("demo-fe-0", "fe")), follower(host("demo-fe-4", "fe")), follower(host("demo-fe-ob-8", "fe-ob"))].into();
        assert_eq!(known_members("demo", &identity, Component::Fe), 5, "the third and fourth have left, the fifth has not");
        assert_eq!(known_members("demo", &identity, Component::FeObserver), 0, "an observer has no vote that could be missed");
    }
}
