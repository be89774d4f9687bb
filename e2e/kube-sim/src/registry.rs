//! Which resources are served: built-in ones by Kubernetes version, custom ones from their definitions.

mod builtin;

use std::collections::BTreeMap;
use std::sync::Arc;

use kube_schema::Kind;
use kube_schema::crd::Version;

use crate::status::Details;

/// Verbs of an ordinary stored resource, in the order of discovery documents.
pub const STORED_VERBS: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// One resource in one version.
#[allow(clippy::struct_excessive_bools)] // independent properties, as discovery lists them
#[derive(Clone, Debug)]
pub struct Resource {
    /// API group, empty for the core one.
    pub group: Arc<str>,
    /// Version.
    pub version: Arc<str>,
    /// Plural name, as in paths.
    pub plural: Arc<str>,
    /// Singular name.
    pub singular: Arc<str>,
    /// Kind.
    pub kind: Arc<str>,
    /// Kind of lists.
    pub list_kind: Arc<str>,
    /// Objects live in namespaces.
    pub namespaced: bool,
    /// Abbreviations.
    pub short_names: Vec<String>,
    /// Categories such as `all`.
    pub categories: Vec<String>,
    /// There is a status subresource: status is written there alone.
    pub has_status: bool,
    /// There is a scale subresource.
    pub has_scale: bool,
    /// `metadata.generation` counts changes of the specification.
    pub has_generation: bool,
    /// Only `create` is served: reviews and bindings.
    pub create_only: bool,
    /// Group and version in which objects are kept.
    pub storage: (Arc<str>, Arc<str>),
    /// Collection of the store: plural and group.
    pub key: Arc<str>,
    /// The type, in the storage version; a custom resource has one for each version. Reviews and bindings have none.
    pub types: Option<Arc<Kind>>,
    /// The type that request bodies are read as; differs from `types` in a version that objects are not kept in.
    pub body_types: Option<Arc<Kind>>,
    /// For a custom resource: what its definition says of this version.
    pub custom: Option<Arc<Version>>,
}

impl Resource {
    /// `statefulsets.apps`, or `pods`.
    pub fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.to_string() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// `apps/v1`, or `v1`.
    pub fn api_version(&self) -> String {
        group_version(&self.group, &self.version)
    }

    /// apiVersion in which objects are kept.
    pub fn storage_version(&self) -> String {
        group_version(&self.storage.0, &self.storage.1)
    }

    /// Details of a refusal.
    pub fn details(&self, name: &str) -> Details {
        Details { name: name.to_owned(), group: self.group.to_string(), kind: self.plural.to_string(), ..Details::default() }
    }

    /// Objects are kept in another version than this one.
    pub fn is_converted(&self) -> bool {
        self.group != self.storage.0 || self.version != self.storage.1
    }

    /// Core group and this plural.
    pub fn is_core(&self, plural: &str) -> bool {
        self.group.is_empty() && &*self.plural == plural
    }
}

/// `group/version`, or the version alone for the core group.
pub fn group_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// Splits an apiVersion.
pub fn split_api_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

type Versions = BTreeMap<String, BTreeMap<String, Arc<Resource>>>;

/// All served resources.
#[derive(Debug, Default)]
pub struct Registry {
    groups: BTreeMap<String, Versions>,
    order: BTreeMap<String, Vec<String>>,
}

impl Registry {
    /// The built-in resources of Kubernetes 1.`minor`.
    pub fn builtin(minor: u32) -> Self {
        let mut registry = Self::default();
        for resource in builtin::resources(minor) {
            registry.insert(Arc::new(resource));
        }
        registry
    }

    /// Starts to serve a resource.
    pub fn insert(&mut self, resource: Arc<Resource>) {
        let order = self.order.entry(resource.group.to_string()).or_default();
        if !order.iter().any(|version| **version == *resource.version) {
            order.push(resource.version.to_string());
            order.sort_by_key(|version| std::cmp::Reverse(version_priority(version)));
        }
        let versions = self.groups.entry(resource.group.to_string()).or_default();
        versions.entry(resource.version.to_string()).or_default().insert(resource.plural.to_string(), resource);
    }

    /// Stops to serve all versions of a resource.
    pub fn remove(&mut self, group: &str, plural: &str) {
        let Some(versions) = self.groups.get_mut(group) else { return };
        for resources in versions.values_mut() {
            resources.remove(plural);
        }
        versions.retain(|_, resources| !resources.is_empty());
        if let Some(order) = self.order.get_mut(group) {
            order.retain(|version| versions.contains_key(version));
        }
        if versions.is_empty() {
            self.groups.remove(group);
            self.order.remove(group);
        }
    }

    /// By the parts of a path.
    pub fn by_plural(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        self.groups.get(group)?.get(version)?.get(plural)
    }

    /// By kind in a given version.
    pub fn by_kind(&self, group: &str, version: &str, kind: &str) -> Option<&Arc<Resource>> {
        self.groups.get(group)?.get(version)?.values().find(|resource| &*resource.kind == kind)
    }

    /// By kind in the preferred version that has it.
    pub fn by_group_kind(&self, group: &str, kind: &str) -> Option<&Arc<Resource>> {
        self.versions(group).find_map(|version| self.by_kind(group, version, kind))
    }

    /// By plural in the preferred version that has it.
    pub fn by_group_plural(&self, group: &str, plural: &str) -> Option<&Arc<Resource>> {
        self.versions(group).find_map(|version| self.by_plural(group, version, plural))
    }

    /// The group is served.
    pub fn has_group(&self, group: &str) -> bool {
        self.groups.contains_key(group)
    }

    /// The version of the group is served.
    pub fn has_version(&self, group: &str, version: &str) -> bool {
        self.groups.get(group).is_some_and(|versions| versions.contains_key(version))
    }

    /// Names of all groups but the core one.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.groups.keys().map(String::as_str).filter(|group| !group.is_empty())
    }

    /// Versions of a group, the preferred one first.
    pub fn versions(&self, group: &str) -> impl Iterator<Item = &str> {
        self.order.get(group).into_iter().flatten().map(String::as_str)
    }

    /// Resources of one group version.
    pub fn resources(&self, group: &str, version: &str) -> impl Iterator<Item = &Arc<Resource>> {
        self.groups.get(group).and_then(|versions| versions.get(version)).into_iter().flat_map(BTreeMap::values)
    }

    /// Every stored resource once, in the preferred version that has it.
    pub fn preferred(&self) -> Vec<&Arc<Resource>> {
        let mut found: Vec<&Arc<Resource>> = Vec::new();
        for group in self.groups.keys() {
            for version in self.versions(group) {
                for resource in self.resources(group, version).filter(|resource| !resource.create_only) {
                    if !found.iter().any(|known| known.group == resource.group && known.plural == resource.plural) {
                        found.push(resource);
                    }
                }
            }
        }
        found
    }
}

/// Sort key of a version: stable before beta before alpha, then the higher number.
pub fn version_priority(version: &str) -> (u8, u32, u32) {
    let number = |text: &str| text.parse::<u32>().ok();
    let Some(rest) = version.strip_prefix('v') else { return (0, 0, 0) };
    for (word, class) in [("beta", 2), ("alpha", 1)] {
        if let Some((major, minor)) = rest.split_once(word) {
            return match (number(major), number(minor)) {
                (Some(major), Some(minor)) => (class, major, minor),
                _ => (0, 0, 0),
            };
        }
    }
    number(rest).map_or((0, 0, 0), |major| (3, major, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_servers_lack_what_came_later() {
        let old = Registry::builtin(16);
        assert!(old.by_plural("policy", "v1", "poddisruptionbudgets").is_none());
        assert!(old.by_plural("policy", "v1beta1", "poddisruptionbudgets").is_some());
        assert!(!old.has_version("events.k8s.io", "v1"));
        assert!(!old.has_group("discovery.k8s.io"));
        let new = Registry::builtin(36);
        assert!(new.by_plural("policy", "v1beta1", "poddisruptionbudgets").is_none());
        assert_eq!(
            new.by_group_kind("autoscaling", "HorizontalPodAutoscaler").map(|found| found.version.to_string()).as_deref(),
            Some("v2")
        );
    }

    #[test]
    fn versions_are_preferred_by_stability_then_number() {
        let mut versions = vec!["v1beta1", "v2", "v1", "v1alpha1", "v1beta2", "foo"];
        versions.sort_by_key(|version| std::cmp::Reverse(version_priority(version)));
        assert_eq!(versions, ["v2", "v1", "v1beta2", "v1beta1", "v1alpha1", "foo"]);
    }
}
