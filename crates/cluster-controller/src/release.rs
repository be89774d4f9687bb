//! Which builds of Doris a cluster runs, and which ones its pod templates may name.
//!
//! A pod is made from the newest template, whoever makes it: a template that names a version too early lets a
//! crash install it out of turn. So templates follow this record, which is part of the identity, and the record
//! follows the spec only step by step.

use std::collections::BTreeMap;

use doris_api::version::Line;
use doris_api::{Component, DorisClusterSpec, DorisVersion};
use serde::{Deserialize, Serialize};

/// An image, and the version of Doris that it brings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// Version: what the image's tag names, else what the spec says.
    pub version: DorisVersion,
    /// Image.
    pub image: String,
}

/// A build for each component.
pub type Builds = BTreeMap<Component, Build>;

/// Builds of one cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// What the pod templates name.
    pub templates: Builds,
    /// The change that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<Upgrade>,
    /// What wrote the metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<Written>,
}

/// A change to other builds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upgrade {
    /// Version before.
    pub from: DorisVersion,
    /// Version that it leads to.
    pub to: DorisVersion,
    /// The builds that it leads to.
    pub target: Builds,
    /// The way forward, while it leads back to an older line: it is taken again if a frontend of the newer line becomes
    /// master before the last one is back.
    #[serde(default, skip_serializing_if = "Builds::is_empty")]
    pub forward: Builds,
}

/// The newest version that was ever master.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Version.
    pub version: DorisVersion,
    /// Journal id at which a frontend of its line was first seen as master; none if it was so from the beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// Pod of that frontend.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
}

impl Release {
    /// The version that the cluster runs, as far as it runs one.
    pub fn running(&self) -> Option<&DorisVersion> {
        match &self.upgrade {
            Some(upgrade) => Some(&upgrade.from),
            None => self.templates.get(&Component::Fe).map(|build| &build.version),
        }
    }

    /// The image of a component's template. A component that is new gets the version of the others, not one that
    /// the spec asks for and that nobody has let in yet.
    pub fn image(&self, spec: &DorisClusterSpec, component: Component) -> Option<String> {
        match self.templates.get(&component) {
            Some(build) => Some(build.image.clone()),
            None => Some(build_of(spec, component, self.running()?)?.image),
        }
    }

    /// The version that an image of ours brings.
    pub fn version_of(&self, image: &str) -> Option<DorisVersion> {
        let upgrade = self.upgrade.iter().flat_map(|upgrade| upgrade.target.values().chain(upgrade.forward.values()));
        let known = self.templates.values().chain(upgrade).find(|build| build.image == image);
        known.map(|build| build.version.clone()).or_else(|| DorisVersion::of_image(image))
    }

    /// Fills in components that are new in the spec and drops those that are gone altogether.
    pub fn complete(&mut self, spec: &DorisClusterSpec, stands: impl Fn(Component) -> bool) {
        let wanted = crate::build::components(spec);
        self.templates.retain(|component, _| wanted.contains(component) || stands(*component));
        let Some(version) = self.running().cloned() else { return };
        for component in wanted {
            // The followers' and the observers' image is one setting.
            let sibling = (component == Component::FeObserver).then(|| self.templates.get(&Component::Fe).cloned()).flatten();
            if let Some(build) = sibling.or_else(|| build_of(spec, component, &version)) {
                self.templates.entry(component).or_insert(build);
            }
        }
    }

    /// The newest line that any member may run now: what a version does is judged by it where the newer one is the one to be
    /// careful with.
    pub fn newest_line(&self) -> Option<Line> {
        let upgrade = self.upgrade.iter();
        let named = upgrade
            .flat_map(|upgrade| [&upgrade.from, &upgrade.to].into_iter().chain(upgrade.forward.values().map(|build| &build.version)));
        let written = self.written.iter().map(|written| &written.version);
        self.templates.values().map(|build| &build.version).chain(named).chain(written).map(DorisVersion::line).max()
    }

    /// Line of the newest version that was ever master.
    pub fn written_line(&self) -> Option<Line> {
        self.written.as_ref().map(|written| written.version.line())
    }
}

/// The build of a component by the spec, at some version.
fn build_of(spec: &DorisClusterSpec, component: Component, version: &DorisVersion) -> Option<Build> {
    let member = spec.member(component)?;
    Some(match &member.image {
        Some(image) => Build { version: DorisVersion::of_image(image).unwrap_or_else(|| version.clone()), image: image.clone() },
        None => Build { version: version.clone(), image: format!("{}:{}-{version}", spec.image.repository, component.process()) },
    })
}

/// Two parts of the spec that name different lines.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{component}.image {image} brings Doris {brings}, and spec.version is {version}: both have to name one version")]
pub struct Contradiction {
    component: Component,
    image: String,
    brings: DorisVersion,
    version: DorisVersion,
}

/// The builds that the spec asks for.
pub fn wanted(spec: &DorisClusterSpec) -> Result<Builds, Contradiction> {
    // The spec's own check has passed; a version that is none never comes here.
    let Ok(version) = spec.version.parse::<DorisVersion>() else { return Ok(Builds::new()) };
    let mut builds = Builds::new();
    for component in crate::build::components(spec) {
        let Some(build) = build_of(spec, component, &version) else { continue };
        if build.version.line() != version.line() {
            return Err(Contradiction { component, image: build.image, brings: build.version, version });
        }
        builds.insert(component, build);
    }
    Ok(builds)
}

/// The record of a cluster that has none yet: what its pods run, and where they do not tell, what the spec says.
pub fn first(spec: &DorisClusterSpec, running: impl Fn(Component) -> Option<String>) -> Release {
    let mut release = Release::default();
    let Ok(version) = spec.version.parse::<DorisVersion>() else { return release };
    for component in crate::build::components(spec) {
        let Some(said) = build_of(spec, component, &version) else { continue };
        let build = match running(component) {
            Some(image) if image != said.image => {
                Build { version: DorisVersion::of_image(&image).unwrap_or_else(|| version.clone()), image }
            }
            _ => said,
        };
        release.templates.insert(component, build);
    }
    // Members that are yet to come are of the version that the frontends have.
    if let Some(version) = release.running().cloned() {
        for component in crate::build::components(spec) {
            if let Some(build) = build_of(spec, component, &version).filter(|_| running(component).is_none()) {
                release.templates.insert(component, build);
            }
        }
    }
    release
}

#[cfg(test)]
mod tests {
    use doris_api::{Component, DorisClusterSpec};
    use serde_json::{Value, json};

    use super::{Release, Written, first, wanted};

    fn spec(change: &Value) -> DorisClusterSpec {
        let mut spec = json!({
            "version": "2.1.7",
            "fe": {"replicas": 3, "storage": {"size": "20Gi"}},
            "be": {"replicas": 3, "storage": [{"name": "data", "size": "100Gi"}]},
        });
        for (key, value) in change.as_object().expect("a change is an object") {
            spec[key] = value.clone();
        }
        serde_json::from_value(spec).expect("the test's own spec is one")
    }

    #[test]
    fn a_component_that_is_new_gets_the_version_of_the_others() {
        let mut release = first(&spec(&json!({})), |_| None);
        let more = spec(&json!({"version": "3.0.3", "cn": {"replicas": 1}}));
        assert_eq!(release.image(&more, Component::Cn).as_deref(), Some("apache/doris:be-2.1.7"));
        release.complete(&more, |_| false);
        assert_eq!(release.templates[&Component::Cn].image, "apache/doris:be-2.1.7");
        release.complete(&spec(&json!({})), |_| false);
        assert!(!release.templates.contains_key(&Component::Cn), "and goes with it");
    }

    #[test]
    fn a_cluster_without_a_record_runs_what_its_pods_run() {
        let asked = spec(&json!({"version": "3.0.3"}));
        let release = first(&asked, |component| (component == Component::Fe).then(|| "apache/doris:fe-2.1.7".to_owned()));
        assert_eq!(release.running().map(ToString::to_string).as_deref(), Some("2.1.7"));
        assert_eq!(release.templates[&Component::Be].image, "apache/doris:be-2.1.7");
    }

    #[test]
    fn images_of_another_line_than_the_version_are_a_contradiction() {
        let asked = spec(
            &json!({"version": "3.0.3", "be": {"image": "x/doris:be-2.1.7", "replicas": 1, "storage": [{"name": "d", "size": "1Gi"}]}}),
        );
        let error = wanted(&asked).expect_err("two lines");
        assert_eq!(
            error.to_string(),
            "be.image x/doris:be-2.1.7 brings Doris 2.1.7, and spec.version is 3.0.3: both have to name one version"
        );
    }

    #[test]
    fn the_newest_line_is_that_of_whoever_may_run_not_of_the_spec() {
        let asked = spec(&json!({}));
        let line = |release: &Release| release.newest_line().map(|line| line.to_string());
        let mut release = first(&asked, |_| None);
        assert_eq!(line(&release).as_deref(), Some("2.1"));
        // On its way back from a version that has been master: the spec says 2.1, and frontends of 3.0 run.
        let written = Written { version: "3.0.3".parse().expect("a version"), since: None, by: String::new() };
        release.written = Some(written);
        assert_eq!(line(&release).as_deref(), Some("3.0"));
        let newer = first(&spec(&json!({"version": "3.0.3"})), |_| None);
        release = Release { written: None, ..crate::plan::upgrade::begun(&first(&asked, |_| None), &newer.templates).expect("an upgrade") };
        assert_eq!(line(&release).as_deref(), Some("3.0"), "from the beginning of the upgrade on");
    }

    #[test]
    fn a_record_reads_back_as_it_was_written() {
        let release = first(&spec(&json!({"cn": {"replicas": 1}})), |_| None);
        let text = serde_json::to_string(&release).expect("JSON");
        assert_eq!(serde_json::from_str::<Release>(&text).ok(), Some(release));
    }
}
