//! What the spec does not ask for any more goes, except what holds members.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use doris_api::{Component, labels, names};
use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Api;
use kube::ResourceExt as _;
use kube::api::ListParams;

use super::Round;
use crate::act::sweep::Sweeper;
use crate::build::{self, IdentityFacts, Inventory, OldBudget};
use crate::cache::Stamp;
use crate::error::Error;
use crate::plan::pruning::{Revision, mentioned, unneeded};

type Stamps = BTreeMap<String, Arc<Stamp>>;

impl Round<'_> {
    /// Deletes what is not wanted and holds nothing: needs no answer of Doris, so that a policy or a
    /// budget that is in the way can always be switched off.
    pub(super) async fn sweep(&mut self) -> Result<(), Error> {
        let context = build::Context::new(self.laid.cluster(self.cluster), IdentityFacts::default(), self.ctx.kubernetes_minor)
            .map_err(|error| Error::Build(error.to_string()))?;
        let inventory =
            build::inventory(&context, &self.standing(), self.configurations.values().map(|chosen| chosen.name.clone()).collect());
        let caches = &self.ctx.caches;
        let services = without(caches.services.of(self.key), &inventory.services);
        let budgets = without(caches.budgets.of(self.key), &inventory.budgets);
        let policies = without(caches.policies.of(self.key), &inventory.policies);
        let config_maps = without(caches.config_maps.of(self.key), &inventory.config_maps);
        let mut sweeper = Sweeper::new(self.ctx, self.cluster, self.key, &mut self.memory.swept);
        for (name, stamp) in &services {
            sweeper.remove::<Service>(name, stamp).await?;
        }
        for (name, stamp) in &budgets {
            if build::budget_api_version(self.ctx.kubernetes_minor) == "policy/v1" {
                sweeper.remove::<PodDisruptionBudget>(name, stamp).await?;
            } else {
                sweeper.remove::<OldBudget>(name, stamp).await?;
            }
        }
        for (name, stamp) in &policies {
            sweeper.remove::<NetworkPolicy>(name, stamp).await?;
        }
        self.prune(&inventory, &config_maps).await
    }

    /// Components that the spec does not ask for any more and that have a set or pods yet.
    fn standing(&self) -> BTreeSet<Component> {
        let wanted = build::components(&self.cluster.spec);
        let sets = self.ctx.caches.sets.of(self.key);
        let stands = |component: &Component| {
            sets.contains_key(&names::set(&self.key.name, *component)) || !self.facts.seen.of(*component).is_empty()
        };
        Component::ALL.into_iter().filter(|component| !wanted.contains(component) && stands(component)).collect()
    }

    /// Deletes the sets of components that are gone from the spec once nothing of their members is left: with members they
    /// are taken down by a scale in.
    pub(super) async fn retire(&mut self) -> Result<(), Error> {
        if !self.facts.is_fresh {
            return Ok(());
        }
        for component in self.standing() {
            let name = names::set(&self.key.name, component);
            let Some(set) = self.ctx.caches.sets.get(self.key, &name).filter(|_| !self.leaving.contains(&component)) else { continue };
            let mut sweeper = Sweeper::new(self.ctx, self.cluster, self.key, &mut self.memory.swept);
            sweeper.remove::<StatefulSet>(&name, &set.stamp).await?;
        }
        Ok(())
    }

    /// Former scripts and configurations that no pod, and no template that a pod could be made from, names.
    /// The server is asked only when something has changed that could make a difference.
    async fn prune(&mut self, inventory: &Inventory, candidates: &Stamps) -> Result<(), Error> {
        if candidates.is_empty() {
            return Ok(());
        }
        let looked_at = self.fingerprint(candidates);
        if self.memory.swept.pruned == Some(looked_at) {
            return Ok(());
        }
        let names: BTreeSet<String> = candidates.keys().chain(&inventory.config_maps).cloned().collect();
        let used = self.used(&names).await?;
        let ours = ListParams::default().labels(&format!("{}={}", labels::CLUSTER, self.key.name));
        let config_maps: Api<ConfigMap> = Api::namespaced(self.ctx.client.clone(), &self.key.namespace);
        let live = config_maps.list_metadata(&ours).await.map_err(|source| Error::Read { what: "the cluster's ConfigMaps", source })?;
        let revisions: Vec<Revision> =
            live.iter().filter_map(|object| Some(Revision { name: object.name_any(), made: object.creation_timestamp()?.0 })).collect();
        let mut sweeper = Sweeper::new(self.ctx, self.cluster, self.key, &mut self.memory.swept);
        for name in unneeded(&revisions, &inventory.config_maps, &used) {
            if let Some(stamp) = candidates.get(&name) {
                sweeper.remove::<ConfigMap>(&name, stamp).await?;
            }
        }
        self.memory.swept.pruned = Some(looked_at);
        Ok(())
    }

    /// Which of these names pods and revisions mention.
    async fn used(&self, names: &BTreeSet<String>) -> Result<BTreeSet<String>, Error> {
        let ours = ListParams::default().labels(&format!("{}={}", labels::CLUSTER, self.key.name));
        let (client, namespace) = (self.ctx.client.clone(), &self.key.namespace);
        let failed = |source| Error::Read { what: "what the cluster's pods and revisions mount", source };
        let pods = Api::<Pod>::namespaced(client.clone(), namespace).list(&ours).await.map_err(failed)?;
        let revisions = Api::<ControllerRevision>::namespaced(client, namespace).list(&ours).await.map_err(failed)?;
        let unreadable = |error| Error::Build(format!("a pod is no JSON: {error}"));
        let mut used = BTreeSet::new();
        for pod in pods {
            mentioned(&serde_json::to_value(pod.spec).map_err(unreadable)?, names, &mut used);
        }
        for revision in revisions {
            mentioned(&serde_json::to_value(revision.data).map_err(unreadable)?, names, &mut used);
        }
        Ok(used)
    }

    fn fingerprint(&self, candidates: &Stamps) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.cluster.metadata.generation.hash(&mut hasher);
        for name in candidates.keys() {
            name.hash(&mut hasher);
        }
        for pod in self.facts.seen.pods.values().flatten() {
            pod.uid.hash(&mut hasher);
        }
        for (name, set) in self.ctx.caches.sets.of(self.key) {
            (name, &set.stamp.version, &set.revision).hash(&mut hasher);
        }
        hasher.finish()
    }
}

fn without(mut found: Stamps, wanted: &BTreeSet<String>) -> Stamps {
    found.retain(|name, _| !wanted.contains(name));
    found
}
